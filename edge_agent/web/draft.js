/** A shape being drawn with clicks or by dragging, until it is complete. */
import { distance, rectangle, within } from './shapes.js';

const CORNERS = { place: 4, mask: Infinity };

/** Points are those of the frame. */
export class Draft {
  constructor(kind, size) {
    Object.assign(this, { kind, size, points: [], cursor: null, isFirst: true });
  }

  press(point) {
    this.cursor = point;
    if (!this.points.length) this.points.push(point);
  }

  move(point) {
    this.cursor = point;
  }

  /** The pointer is let go: the complete shape's points, or null while there is more to come. Nearer than `near` is the same spot. */
  release(point, near) {
    const [first] = this.points;
    const dragged = distance(first, point) > near;
    this.cursor = point;
    if (this.isFirst) {
      this.isFirst = false;
      if (!dragged) return null;
      return this.done(this.kind === 'line' ? [first, point] : rectangle(first, point));
    }
    if (this.kind === 'line') return dragged ? this.done([first, point]) : null;
    if (this.points.length >= 3 && !dragged) return this.done(this.points);
    if (distance(this.points.at(-1), point) <= near) return null;
    this.points.push(point);
    return this.points.length >= CORNERS[this.kind] ? this.done(this.points) : null;
  }

  /** Enter: closes what has enough corners; before the first point, a shape in the middle of the frame. */
  enter() {
    const [width, height] = this.size;
    if (this.kind !== 'line' && this.points.length >= 3) return this.done(this.points);
    if (this.points.length) return null;
    const [a, b] = [[width / 3, height / 3], [(width * 2) / 3, (height * 2) / 3]];
    return this.kind === 'line' ? this.done([[a[0], height / 2], [b[0], height / 2]]) : this.done(rectangle(a, b));
  }

  done(points) {
    return points.map((point) => within(point, this.size));
  }
}

/** The picture with everything drawn over it, and the pointer and keys that draw there. */
import { Draft } from './draft.js';
import { el, svg } from './dom.js';
import { t } from './i18n.js';
import { drawDraft, drawHandles, drawSeen, drawShapes } from './overlay.js';
import { within } from './shapes.js';

const NEAR_PX = 7;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * `shapes()` gives the list; `selected()` and `select(index)` the chosen one; `moved(index, point, to)` moves a
 * point; `drawn(kind, points)` takes a new shape.
 */
export class Stage {
  constructor({ shapes, selected, select, moved, drawn }) {
    Object.assign(this, { shapes, selected, select, moved, drawn, seen: null, trails: new Map(), draft: null, grip: null });
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.layers = { seen: svg('g.seen'), shapes: svg('g'), draft: svg('g'), handles: svg('g') };
    this.svg = svg('svg.overlay', {
      tabindex: 0, preserveAspectRatio: 'none', 'aria-label': t('stage.label'), role: 'application',
      onpointerdown: (event) => this.press(event), onpointermove: (event) => this.move(event),
      onpointerup: (event) => this.release(event), onkeydown: (event) => this.key(event),
    }, ...Object.values(this.layers));
    this.waiting = el('p.waiting', {}, t('stage.waiting'));
    this.element = el('div.stage', {}, this.canvas, this.svg, this.waiting);
    this.watcher = new ResizeObserver(() => this.render());
    this.watcher.observe(this.element);
  }

  /** Pixels of the frame in one pixel of the screen. */
  get unit() {
    return this.seen ? this.seen.size[0] / (this.svg.clientWidth || 1) : 1;
  }

  /** The newest frame. */
  show(seen, bitmap) {
    const isOther = String(this.seen?.size) !== String(seen.size);
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
    }
    this.canvas.getContext('2d').drawImage(bitmap, 0, 0);
    this.seen = seen;
    this.waiting.hidden = true;
    if (isOther) {
      this.svg.setAttribute('viewBox', `0 0 ${seen.size.join(' ')}`);
      this.render();
    }
    drawSeen(this.layers.seen, seen, this.trails, this.unit);
    drawShapes(this.layers.shapes, this);
  }

  /** Draw shapes, handles and draft anew. */
  render() {
    if (!this.seen) return;
    const focused = document.activeElement?.dataset?.point;
    drawShapes(this.layers.shapes, this);
    drawHandles(this.layers.handles, this);
    drawDraft(this.layers.draft, this);
    this.element.classList.toggle('drawing', Boolean(this.draft));
    if (focused) this.layers.handles.querySelector(`[data-point="${focused}"]`)?.focus();
  }

  /** Begin to draw a shape of this kind; null: draw no longer. */
  begin(kind) {
    this.draft = kind && this.seen ? new Draft(kind, this.seen.size) : null;
    this.render();
    if (this.draft) this.svg.focus();
  }

  close() {
    this.watcher.disconnect();
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    const [width, height] = this.seen.size;
    return within([((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height], this.seen.size);
  }

  press(event) {
    if (!this.seen || event.button) return;
    const { shape, point } = event.target.dataset;
    if (this.draft) {
      this.draft.press(this.at(event));
    } else if (point !== undefined) {
      this.grip = { index: this.selected(), point: Number(point) };
    } else {
      this.select(shape === undefined ? -1 : Number(shape));
      return;
    }
    this.svg.setPointerCapture(event.pointerId);
    event.preventDefault();
    if (this.grip) event.target.focus();
    this.render();
  }

  move(event) {
    if (this.draft?.points.length) {
      this.draft.move(this.at(event));
      this.render();
    } else if (this.grip) {
      this.moved(this.grip.index, this.grip.point, this.at(event));
    }
  }

  release(event) {
    this.grip = null;
    if (this.draft?.points.length) this.finish(this.draft.release(this.at(event), NEAR_PX * this.unit));
  }

  finish(points) {
    if (!points) return this.render();
    const { kind } = this.draft;
    this.draft = null;
    this.drawn(kind, points);
  }

  key(event) {
    const { point } = event.target.dataset;
    if (point !== undefined && STEPS[event.key]) {
      const [dx, dy] = STEPS[event.key].map((step) => step * (event.shiftKey ? 10 : 1));
      const [x, y] = this.shapes()[this.selected()].points[point];
      this.moved(this.selected(), Number(point), within([x + dx, y + dy], this.seen.size));
      event.preventDefault();
    } else if (this.draft && event.key === 'Enter') {
      this.finish(this.draft.enter());
      event.preventDefault();
    } else if (this.draft && event.key === 'Escape') {
      this.drawn(null);
    }
  }
}


/** What lies over the picture, as SVG in pixels of the frame: people, lines, places, masks, handles. */
import { fill, svg } from './dom.js';
import { percent, t } from './i18n.js';
import { enteredSide, middle } from './shapes.js';

const TRAIL = 25;
const ARROW_PX = 34;
const HANDLE_PX = 8;
const TEXT_PX = 13;

const pairs = (points) => points.map((point) => point.join(',')).join(' ');

/** Boxes of the detector, the fainter the less sure; people who are followed, with the way their feet came. */
export function drawSeen(layer, { boxes, tracks }, trails, unit) {
  const present = new Set(tracks.map(({ id }) => id));
  for (const id of trails.keys()) if (!present.has(id)) trails.delete(id);
  fill(layer,
    boxes.map(([left, top, right, bottom, score]) => rect('found', [left, top, right, bottom], { opacity: score.toFixed(2) })),
    tracks.map(({ id, box, confirmed }) => {
      const trail = trails.get(id) ?? trails.set(id, []).get(id);
      trail.push([(box[0] + box[2]) / 2, box[3]].map(Math.round));
      if (trail.length > TRAIL) trail.shift();
      return svg(confirmed ? 'g.followed' : 'g.unsure', {}, rect('box', box), svg('polyline.trail', { points: pairs(trail) }),
        confirmed && text([box[0] + 4 * unit, box[1] - 4 * unit], `#${id}`, unit, 'start'));
    }));
}

/** All shapes; a place by its state. */
export function drawShapes(layer, { shapes, selected, seen, unit }) {
  fill(layer, shapes().map((shape, index) => {
    const classes = `${shape.kind}${index === selected() ? '.selected' : ''}`;
    const parts = shape.kind === 'line' ? lineParts(shape, unit) : areaParts(shape, seen.places[shape.id], unit);
    return svg(`g.shape.${classes}`, {}, parts.map((part) => { part.dataset.shape = index; return part; }));
  }));
}

/** The points of the selected shape, to be dragged or moved with the arrow keys. */
export function drawHandles(layer, { shapes, selected, draft, unit }) {
  const shape = draft ? null : shapes()[selected()];
  fill(layer, (shape?.points ?? []).map(([x, y], point) => svg('circle.handle', {
    cx: x, cy: y, r: HANDLE_PX * unit, tabindex: 0, role: 'button', 'data-point': point,
    'aria-label': t('handle.label', { n: point + 1, x, y }),
  })));
}

/** What is being drawn, up to the pointer. */
export function drawDraft(layer, { draft, unit }) {
  const points = draft?.points.length ? [...draft.points, draft.cursor] : [];
  const isBox = draft?.isFirst && draft.kind !== 'line' && points.length;
  const outline = isBox ? [points[0], [points[1][0], points[0][1]], points[1], [points[0][0], points[1][1]]] : points;
  fill(layer,
    outline.length > 0 && svg(draft.kind === 'line' || outline.length < 3 ? 'polyline.draft' : 'polygon.draft', { points: pairs(outline) }),
    draft?.kind === 'line' && points.length > 0 && arrow(points, unit),
    points.slice(0, -1).map(([cx, cy]) => svg('circle.corner', { cx, cy, r: 4 * unit })));
}

function lineParts({ id, points }, unit) {
  const [[x1, y1], [x2, y2]] = points;
  return [
    svg('line.reach', { x1, y1, x2, y2 }), svg('line.halo', { x1, y1, x2, y2 }), svg('line.ink', { x1, y1, x2, y2 }),
    svg('circle.ink', { cx: x1, cy: y1, r: 3.5 * unit }), arrow(points, unit),
    text([x1, y1 - 8 * unit], id, unit, 'start'),
  ];
}

/** Towards the side on which one has entered. */
function arrow(points, unit) {
  const [x, y] = middle(points);
  const [nx, ny] = enteredSide(points);
  const at = (along, across) => [x + (nx * along - ny * across) * unit, y + (ny * along + nx * across) * unit];
  const tip = at(ARROW_PX, 0);
  const label = at(ARROW_PX + 12, 0);
  return svg('g.arrow', {},
    svg('polyline.halo', { points: pairs([[x, y], tip]) }), svg('polyline.ink', { points: pairs([[x, y], tip]) }),
    svg('polygon.head', { points: pairs([tip, at(ARROW_PX - 11, 7), at(ARROW_PX - 11, -7)]) }),
    text([label[0], label[1] + 4 * unit], t('line.in'), unit, 'middle'));
}

function areaParts({ kind, id, points }, state, unit) {
  const area = svg(`polygon.area${state ? (state.gap ? '.gap' : '.stocked') : ''}`, { points: pairs(points) });
  const name = kind === 'mask' ? t('mask.name') : state ? `${id} · ${percent(state.fill)}` : id;
  return [area, text(middle(points), name, unit, 'middle')];
}

const rect = (name, [left, top, right, bottom], more = {}) =>
  svg(`rect.${name}`, { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0), ...more });

const text = ([x, y], words, unit, anchor) =>
  svg('text', { x, y: Math.max(y, TEXT_PX * unit), 'font-size': TEXT_PX * unit, 'text-anchor': anchor }, words);

/** Lines, places and masks as one list that can be edited, and back. Points in pixels of the source's frame. */

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The agent's shapes as a list of `{kind: 'line' | 'place' | 'mask', id, points, rest}`. */
export function asList({ masks, footfall, shelf_gap }) {
  return [
    ...footfall.lines.map(({ id, from, to, ...rest }) => ({ kind: 'line', id, points: [from, to], rest })),
    ...Object.entries(shelf_gap.facings).map(([id, points]) => ({ kind: 'place', id, points })),
    ...masks.map((points) => ({ kind: 'mask', id: '', points })),
  ];
}

/** And the list as the agent takes it. */
export function asShapes(list) {
  const of = (kind) => list.filter((shape) => shape.kind === kind);
  const lines = of('line').map(({ id, points: [from, to], rest }) => ({ id, from, to, ...rest }));
  return {
    masks: of('mask').map(({ points }) => points),
    footfall: { lines },
    shelf_gap: { facings: Object.fromEntries(of('place').map(({ id, points }) => [id, points])) },
  };
}

/** What must be mended before saving, as `{key, values}` of the catalogue; null when nothing. */
export function problemOf(list) {
  for (const shape of list.filter(({ kind }) => kind !== 'mask')) {
    const twice = list.filter(({ kind, id }) => kind === shape.kind && id === shape.id).length > 1;
    if (!ID.test(shape.id)) return { key: `problem.${shape.kind}.id`, values: { id: shape.id } };
    if (twice) return { key: `problem.${shape.kind}.twice`, values: { id: shape.id } };
  }
  return null;
}

/** A first name for a new line that no other has. */
export function freeLine(list) {
  const taken = new Set(list.filter(({ kind }) => kind === 'line').map(({ id }) => id));
  if (!taken.has('door')) return 'door';
  for (let n = 2; ; n += 1) if (!taken.has(`line-${n}`)) return `line-${n}`;
}

/** Into the frame, whole pixels. */
export const within = ([x, y], [width, height]) => [
  Math.round(Math.min(Math.max(x, 0), width)),
  Math.round(Math.min(Math.max(y, 0), height)),
];

export const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);

export const middle = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

export const rectangle = ([ax, ay], [bx, by]) => [[ax, ay], [bx, ay], [bx, by], [ax, by]];

/**
 * The unit vector towards the side on which one has entered: the right of from → to, y pointing down
 * ((to − from) × (p − from) > 0).
 */
export function enteredSide([from, to]) {
  const length = distance(from, to) || 1;
  return [-(to[1] - from[1]) / length, (to[0] - from[0]) / length];
}

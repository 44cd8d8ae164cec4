/** Where each facing stands: bays, in them shelves from top to bottom, on them facings from the left. */

const collator = new Intl.Collator('en', { numeric: true });
const DEFAULT_WIDTH_MM = 200;

/**
 * `facings` as HQ lists them, `planned` as the planogram places them (may lack any place).
 * Returns `[{bay, shelves: [{shelf, facings: [{id, width}]}]}]`; a facing without a shelf stands on the
 * shelf that its id names: `A1-01` on `A1`, `B2-1-3` on `B2-1`.
 */
export function arrange(facings, planned = []) {
  const places = new Map(planned.map((facing) => [facing.id, facing]));
  const bays = new Map();
  for (const { facing } of facings) {
    const place = places.get(facing) ?? {};
    const shelf = place.shelf || parent(facing) || '';
    const bay = parent(shelf) || shelf;
    const shelves = bays.get(bay) ?? bays.set(bay, new Map()).get(bay);
    const row = shelves.get(shelf) ?? shelves.set(shelf, []).get(shelf);
    row.push({ id: facing, x: place.x_mm ?? null, width: place.width_mm ?? DEFAULT_WIDTH_MM });
  }
  return [...bays].sort(byName).map(([bay, shelves]) => ({
    bay,
    // Shelves are numbered from the floor, so the highest number is on top.
    shelves: [...shelves].sort(byName).reverse().map(([shelf, row]) => ({ shelf, facings: row.sort(fromLeft) })),
  }));
}

const parent = (name) => name.replace(/[-._]?[^-._]*$/, '');
const byName = ([a], [b]) => collator.compare(a, b);

function fromLeft(a, b) {
  return (a.x ?? Infinity) - (b.x ?? Infinity) || collator.compare(a.id, b.id);
}

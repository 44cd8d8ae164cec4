/** The list of what is drawn: names to change, lines to turn round, everything to delete. */
import { el } from './dom.js';
import { t } from './i18n.js';

/** One row a shape. `change(index, values)`, `rename(index, id)`, `remove(index)`, `select(index)`; `facings` of the planogram. */
export function panel(shapes, { selected, crossed, facings, change, rename, remove, select }) {
  if (!shapes.length) return el('p.quiet', {}, t('drawn.none'));
  return el('ul.shapes', {}, shapes.map((shape, index) => row(shape, index)));

  function row(shape, index) {
    const name = nameOf(shape);
    return el(`li${index === selected ? '.selected' : ''}`, { onclick: () => select(index) },
      el(`span.swatch.${shape.kind}`, { 'aria-hidden': 'true' }),
      field(shape, index),
      shape.kind === 'line' && el('button.small', {
        onclick: act(() => change(index, { points: [...shape.points].reverse() })), 'aria-label': t('line.flip_named', { name }),
      }, t('line.flip')),
      el('button.small', { onclick: act(() => remove(index)), 'aria-label': t('shape.delete_named', { name }) }, t('shape.delete')),
      shape.kind === 'line' && el('span.count.quiet', {}, counted(shape)));
  }

  function field(shape, index) {
    const named = { 'aria-label': t(`${shape.kind}.name`), 'data-row': index, oninput: ({ target }) => rename(index, target.value.trim()), onfocus: () => select(index) };
    if (shape.kind === 'line') return el('input.name', { ...named, value: shape.id, maxlength: 64, spellcheck: 'false', autocomplete: 'off' });
    if (shape.kind === 'mask') return el('span.name', {}, nameOf(shape));
    const known = facings.some(({ id }) => id === shape.id) ? facings : [{ id: shape.id, name: '' }, ...facings];
    return el('select.name', named, known.map(({ id, name }) => el('option', { value: id, selected: id === shape.id }, name ? `${id} · ${name}` : id)));
  }

  function nameOf(shape) {
    return shape.id || t('mask.nth', { n: shapes.filter(({ kind }) => kind === 'mask').indexOf(shape) + 1 });
  }

  function counted({ id }) {
    const [entered, exited] = crossed[id] ?? [0, 0];
    return t('line.counted', { entered, exited });
  }
}

/** A button in a row that is not also a choice of the row. */
const act = (does) => (event) => {
  event.stopPropagation();
  does();
};

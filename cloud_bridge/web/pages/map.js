/** The shelves as they stand: bays side by side, facings in their places, the stock in each. */
import { html, useMemo, useRef, useState } from '../lib/html.js';
import { neighbour } from '../lib/arrows.js';
import { currentLanguage, number, percent, signed, t } from '../lib/i18n.js';
import { Status } from '../lib/parts.js';

export function ShelfMap({ bays, facings, moves, show, open, onOpen }) {
  const map = useRef(null);
  const [focused, setFocused] = useState(null);
  const byId = new Map(facings.map((facing) => [facing.facing, facing]));
  const stop = byId.has(focused) ? focused : bays[0]?.shelves[0]?.facings[0]?.id;

  const onKeyDown = (event) => {
    const from = event.target.closest('[data-facing]');
    const next = from && neighbour([...map.current.querySelectorAll('[data-facing]')], from, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  const tile = ({ id, width }) => html`<${Facing} key=${id} facing=${byId.get(id)} width=${width} move=${moves.get(id)}
    isOpen=${id === open} isStop=${id === stop} isDim=${show !== 'all' && byId.get(id).status !== show}
    onFocus=${() => setFocused(id)} onOpen=${() => onOpen(id)} />`;
  return html`<div class="map" ref=${map} onKeyDown=${onKeyDown}>${bays.map(({ bay, shelves }) => html`
    <section class="bay" key=${bay} style=${{ '--facings': Math.max(...shelves.map(({ facings: row }) => row.length)) }}>
      <h2>${bay || t('map.unplaced')}</h2>
      ${shelves.map(({ shelf, facings: row }) => html`
        <div class="shelf" key=${shelf} role="group" aria-label=${t('map.shelf', { shelf: shelf || t('map.unplaced') })}>
          ${shelves.length > 1 && html`<h3>${shelf}</h3>`}
          <div class="board" style=${{ '--count': row.length }}>${row.map(tile)}</div>
        </div>`)}
    </section>`)}
  </div>`;
}

/** Drawn again only when something on it moved: a store has hundreds. */
function Facing({ facing, width, move, isOpen, isStop, isDim, onFocus, onOpen }) {
  const tile = () => Tile({ facing, width, move, isOpen, isStop, isDim, onFocus, onOpen });
  return useMemo(tile, [facing, width, move, isOpen, isStop, isDim, currentLanguage()]);
}

function Tile({ facing, width, move, isOpen, isStop, isDim, onFocus, onOpen }) {
  const { facing: id, name, gtin, on_hand, capacity, status, confidence } = facing;
  const stock = on_hand === null ? '–' : number(on_hand);
  const spoken = t('map.facing', {
    id, name: name || gtin, stock: on_hand === null ? t('status.unknown') : t('map.stock', { stock, capacity }),
    status: t(`status.${status}`), confidence: percent(confidence),
  });
  return html`
    <button type="button" class="facing ${status} ${isDim ? 'dim' : ''}" data-facing=${id} style=${{ flexGrow: width }}
      aria-label=${spoken} aria-expanded=${isOpen} tabindex=${isStop ? 0 : -1} onFocus=${onFocus} onClick=${onOpen}>
      <span class="name">${name || gtin}</span>
      <span class="stock"><b key=${move?.at} class=${move ? 'moved' : ''}>${stock}</b><span> / ${number(capacity)}</span></span>
      <${Gauge} facing=${facing} />
      <span class="foot"><${Status} of=${status} />${on_hand !== null && percent(confidence)}</span>
      <span class="label">${id}</span>
      ${move && html`<span class="move" key=${move.at}>${signed(move.by)}</span>`}
    </button>`;
}

/** Stock against capacity, with a mark where reordering starts. */
function Gauge({ facing: { on_hand, capacity, reorder_point } }) {
  const share = (count) => `${Math.min(1, (count ?? 0) / capacity) * 100}%`;
  return html`<span class="gauge"><span class="level" style=${{ width: share(on_hand) }}></span>
    ${reorder_point > 0 && html`<span class="mark" style=${{ left: share(reorder_point) }}></span>`}</span>`;
}

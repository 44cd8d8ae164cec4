/** What is known of one facing, from which sources, and what changed there last. */
import { html, useEffect, useRef } from '../lib/html.js';
import { number, percent, t } from '../lib/i18n.js';
import { Ago, Due, Status } from '../lib/parts.js';
import { ChangeRows } from './changes.js';

export function FacingDetails({ facing, changes, onClose }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus({ preventScroll: innerWidth > 1100 }), []);
  const onKeyDown = (event) => event.key === 'Escape' && onClose();
  const own = changes.filter(({ data }) => data.facing === facing.facing).slice(0, 8);
  return html`
    <section class="card details" aria-labelledby="facing-title" onKeyDown=${onKeyDown}>
      <div class="card-head">
        <h2 id="facing-title" tabindex="-1" ref=${heading}>${facing.facing} <span class="quiet">${facing.name}</span></h2>
        <button class="close" onClick=${onClose} aria-label=${t('action.close')}><span aria-hidden="true">✕</span></button>
      </div>
      <p class="big"><b>${facing.on_hand === null ? '–' : number(facing.on_hand)}</b> / ${number(facing.capacity)}
        <${Status} of=${facing.status} /></p>
      <dl>
        <dt>${t('facing.confidence')}</dt>
        <dd><meter min="0" max="1" value=${facing.confidence} aria-label=${t('facing.confidence')}></meter> ${percent(facing.confidence)}</dd>
        <dt>${t('facing.sources')}</dt>
        <dd>${facing.sources.length ? facing.sources.map((source) => t(`source.${source}`)).join(', ') : t('source.none')}</dd>
        <dt>${t('facing.reorder_point')}</dt><dd>${number(facing.reorder_point)}</dd>
        <dt>${t('facing.reorder_due')}</dt><dd><${Due} facing=${facing} /></dd>
        <dt>${t('facing.gtin')}</dt><dd class="code">${facing.gtin}</dd>
        <dt>${t('facing.observed')}</dt><dd><${Ago} time=${facing.observed_at} /></dd>
        <dt>${t('facing.changed')}</dt><dd><${Ago} time=${facing.changed_at} /></dd>
      </dl>
      <h3>${t('changes.title')}</h3>
      ${own.length ? html`<${ChangeRows} changes=${own} />` : html`<p class="quiet">${t('changes.none')}</p>`}
    </section>`;
}

/** The same stock as a table: for reading row by row, for screen readers, for small screens. */
import { html } from '../lib/html.js';
import { number, percent, t } from '../lib/i18n.js';
import { Ago, Empty, Status } from '../lib/parts.js';

export function StockTable({ facings, show, onOpen }) {
  const rows = facings.filter(({ status }) => show === 'all' || status === show);
  if (rows.length === 0) return html`<${Empty} title=${t('filter.none')}>${t('filter.none.hint')}</${Empty}>`;
  return html`
    <div class="card scroll" tabindex="0" role="region" aria-label=${t('map.title')}><table class="rows">
      <thead><tr>
        <th scope="col">${t('facing.facing')}</th><th scope="col">${t('facing.product')}</th>
        <th scope="col" class="count">${t('facing.on_hand')}</th><th scope="col" class="count">${t('facing.capacity')}</th>
        <th scope="col">${t('facing.status')}</th><th scope="col" class="count">${t('facing.confidence')}</th>
        <th scope="col">${t('facing.observed')}</th>
      </tr></thead>
      <tbody>${rows.map((one) => html`<tr key=${one.facing}>
        <th scope="row"><button class="plain" data-facing=${one.facing} onClick=${() => onOpen(one.facing)}>${one.facing}</button></th>
        <td>${one.name || one.gtin}</td>
        <td class="count">${one.on_hand === null ? '–' : number(one.on_hand)}</td>
        <td class="count">${number(one.capacity)}</td>
        <td><${Status} of=${one.status} /></td>
        <td class="count">${percent(one.confidence)}</td>
        <td><${Ago} time=${one.observed_at} /></td>
      </tr>`)}</tbody>
    </table></div>`;
}

/** All stores: which are heard, and where something is missing. */
import { html } from '../lib/html.js';
import { number, t } from '../lib/i18n.js';
import { Ago, Empty, Notice, Status } from '../lib/parts.js';

export function StoreList({ stores, problem }) {
  return html`
    <h1>${t('stores.title')}</h1>
    ${problem && html`<${Notice} tone="warn" title=${t('error.unreachable')}>${t('error.unreachable.hint')}</${Notice}>`}
    ${stores.length === 0
      ? html`<${Empty} title=${t('stores.empty')}><code>cloud-bridge store add STORE -c bridge.yaml</code></${Empty}>`
      : html`<${Table} stores=${stores} />`}`;
}

const Table = ({ stores }) => html`
  <div class="card scroll" tabindex="0" role="region" aria-label=${t('stores.title')}><table class="rows">
    <thead><tr>
      <th scope="col">${t('stores.store')}</th><th scope="col">${t('stores.status')}</th>
      <th scope="col" class="count">${t('stores.facings')}</th><th scope="col" class="count">${t('status.out')}</th>
      <th scope="col" class="count">${t('status.low')}</th><th scope="col" class="count">${t('stores.pending')}</th>
      <th scope="col">${t('stores.seen')}</th>
    </tr></thead>
    <tbody>${stores.map((store) => html`<tr key=${store.store}>
      <th scope="row"><a href="#/stores/${encodeURIComponent(store.store)}">${store.name || store.store}</a>
        ${store.name && html`<span class="quiet"> ${store.store}</span>`}</th>
      <td><${Status} of=${store.status} /></td>
      <td class="count">${number(store.facings)}</td>
      <td class="count"><${Count} of="out" n=${store.out} /></td>
      <td class="count"><${Count} of="low" n=${store.low} /></td>
      <td class="count">${store.pending ? number(store.pending) : html`<span class="quiet">0</span>`}</td>
      <td><${Ago} time=${store.last_seen_at} /></td>
    </tr>`)}</tbody>
  </table></div>`;

const Count = ({ of, n }) => html`<span class=${n ? `status ${of}` : 'quiet'}>${number(n ?? 0)}</span>`;

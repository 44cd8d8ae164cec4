/** One store: its shelves now, and beside them what changed, who came in, which devices are well. */
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { LiveStore } from '../lib/live.js';
import { arrange } from '../lib/places.js';
import { clock, known, number, t } from '../lib/i18n.js';
import { Ago, Empty, Notice, Status, useNow } from '../lib/parts.js';
import { Announcer } from './announcer.js';
import { Changes } from './changes.js';
import { Devices } from './devices.js';
import { FacingDetails } from './facing.js';
import { Footfall } from './footfall.js';
import { Loading, Trouble } from './gate.js';
import { ShelfMap } from './map.js';
import { StockTable } from './table.js';

const STALE_AFTER_MS = 3000; // a short loss is not worth a warning
const SHOWN = ['all', 'out', 'low', 'unknown'];

export function StorePage({ id, store, query, onLogin, onLink }) {
  const [live, state] = useLive(id, onLogin);
  const [open, setOpen] = useState(null);
  const bays = useMemo(() => arrange(state.facings, state.planned), [state.facings, state.planned]);
  useEffect(() => onLink({ link: state.link, linkSince: state.linkSince }), [state.link, state.linkSince]);
  useEffect(() => () => onLink(null), []);

  if (state.phase === 'loading') return html`<${Loading} />`;
  if (state.phase === 'failed') return html`<${Trouble} problem=${state.problem} onRetry=${() => live.ringAll()} />`;

  const show = SHOWN.includes(query.get('show')) ? query.get('show') : 'all';
  const view = query.get('view') === 'table' ? 'table' : 'map';
  const facing = state.facings.find((one) => one.facing === open);
  const isStale = state.link === 'reconnecting' || store?.status === 'offline';
  const close = () => {
    document.querySelector(`[data-facing="${CSS.escape(open)}"]`)?.focus();
    setOpen(null);
  };
  return html`
    <${Heading} id=${id} store=${store} asOf=${state.asOf} />
    <${Warnings} state=${state} store=${store} />
    <${Filters} id=${id} facings=${state.facings} show=${show} view=${view} />
    <div class="layout">
      <div class="column"><section class="shelves ${isStale ? 'stale' : ''}" aria-label=${t('map.title')}>
        ${state.facings.length === 0
          ? html`<${Empty} title=${t('map.empty')}>${t('map.empty.hint')}</${Empty}>`
          : view === 'table'
            ? html`<${StockTable} facings=${state.facings} show=${show} onOpen=${setOpen} />`
            : html`<${ShelfMap} bays=${bays} facings=${state.facings} moves=${state.moves} show=${show} open=${open} onOpen=${setOpen} />`}
      </section>
      <${Footfall} buckets=${state.footfall} /></div>
      <div class="column">
        ${facing && html`<${FacingDetails} key=${open} facing=${facing} changes=${state.changes} onClose=${close} />`}
        <${Changes} changes=${state.changes} facings=${state.facings} />
        <${Devices} devices=${state.devices} />
      </div>
    </div>
    <${Announcer} facings=${state.facings} />`;
}

function useLive(id, onLogin) {
  const live = useRef(null);
  live.current ??= new LiveStore(id, { onLogin });
  const [state, setState] = useState(live.current.state);
  useEffect(() => {
    const off = live.current.subscribe(setState);
    live.current.start();
    return () => { off(); live.current.stop(); };
  }, []);
  return [live.current, state];
}

const Heading = ({ id, store, asOf }) => html`
  <div class="heading">
    <h1>${store?.name || id}</h1>
    ${store && html`<${Status} of=${store.status} />`}
    <span class="quiet">${t('store.seen')} <${Ago} time=${store?.last_seen_at ?? asOf} /></span>
  </div>`;

function Warnings({ state, store }) {
  const pending = store?.pending ?? 0;
  const now = useNow(1000);
  const isStale = state.link === 'reconnecting' && now - state.linkSince > STALE_AFTER_MS;
  const isProblem = state.problem && state.problem.code !== 'unreachable' && state.problem.code !== 'login';
  return html`
    ${isStale && state.freshAt && html`<${Notice} tone="warn" title=${t('store.stale', { time: clock(state.freshAt) })}>
      ${t('store.stale.hint')}</${Notice}>`}
    ${store?.status === 'offline' && html`<${Notice} tone="warn" title=${t('store.offline')}>
      ${store.last_seen_at && t('store.offline.hint', { time: clock(store.last_seen_at) })}</${Notice}>`}
    ${state.catchingUp && html`<${Notice} title=${t('store.catching_up')}>
      ${pending > 0 ? t('store.catching_up.pending', { n: pending }) : t('store.catching_up.hint')}</${Notice}>`}
    ${isProblem && html`<${Notice} tone="warn" title=${known(`error.${state.problem.code}`)}>${state.problem.detail}</${Notice}>`}`;
}

function Filters({ id, facings, show, view }) {
  const count = (of) => (of === 'all' ? facings.length : facings.filter(({ status }) => status === of).length);
  const to = (next) => `#/stores/${encodeURIComponent(id)}?${new URLSearchParams({ show, view, ...next })}`;
  return html`
    <div class="filters">
      <nav class="chips" aria-label=${t('filter.title')}>${SHOWN.map((of) => html`
        <a key=${of} class="chip ${of}" href=${to({ show: of })} aria-current=${of === show ? 'true' : undefined}>
          ${of === 'all' ? t('filter.all') : t(`status.${of}`)} <b class=${count(of) ? '' : 'none'}>${number(count(of))}</b></a>`)}</nav>
      <nav class="chips" aria-label=${t('view.title')}>${['map', 'table'].map((of) => html`
        <a key=${of} class="chip" href=${to({ view: of })} aria-current=${of === view ? 'true' : undefined}>${t(`view.${of}`)}</a>`)}</nav>
    </div>`;
}

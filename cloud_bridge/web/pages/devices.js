/** The store's devices: which are well, and what ails the others. */
import { html } from '../lib/html.js';
import { known, t } from '../lib/i18n.js';
import { Ago, Status } from '../lib/parts.js';

const WORST_FIRST = ['offline', 'degraded', 'online'];

export function Devices({ devices }) {
  const rank = ({ status }) => WORST_FIRST.indexOf(status);
  const rows = [...devices].sort((a, b) => rank(a) - rank(b) || a.device.localeCompare(b.device));
  return html`
    <section class="card devices" aria-labelledby="devices-title">
      <h2 id="devices-title">${t('devices.title')}</h2>
      ${rows.length === 0 && html`<p class="quiet">${t('devices.none')}</p>`}
      <ul class="device-rows">${rows.map((one) => html`
        <li key=${one.device}>
          <span><b>${one.device}</b> <span class="quiet">${one.driver}</span></span>
          <${Status} of=${one.status} />
          <span class="quiet">${one.status === 'online'
            ? html`${t('devices.seen')} <${Ago} time=${one.last_seen_at} />`
            : html`${reason(one.reason)} · <${Ago} time=${one.since} />`}</span>
        </li>`)}</ul>
    </section>`;
}

/** A reason is an error code or a short sentence of the agent. */
const reason = (text) => known(`error.${/^E-[A-Z-]+/.exec(text ?? '')?.[0]}`) ?? text ?? t('devices.no_reason');

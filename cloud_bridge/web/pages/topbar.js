/** The bar on every page: store picker, connection to HQ, language, who is logged in. */
import { logOut } from '../lib/api.js';
import { html } from '../lib/html.js';
import { LANGUAGES, chooseLanguage, clock, currentLanguage, t } from '../lib/i18n.js';
import { useNow } from '../lib/parts.js';

const OFFLINE_AFTER_MS = 10_000;

export function TopBar({ me, stores = [], shown, link, problem }) {
  return html`
    <a class="skip" href="#main" onClick=${skip}>${t('app.skip')}</a>
    <header class="topbar">
      <a class="brand" href="#/stores"><img src="/static/icon.svg" alt="" width="24" height="24" />${t('app.name')}</a>
      ${stores.length > 0 && html`<${Picker} stores=${stores} shown=${shown} />`}
      <span class="space"></span>
      ${me && html`<${Link} link=${link} problem=${problem} />`}
      <${LanguageSwitch} />
    </header>`;
}

/** Who is logged in, and the way out. */
export const Foot = ({ me, onLogin }) => html`
  <footer class="foot-bar quiet">${me.name} · ${t(`role.${me.role}`)}
    <button class="plain" onClick=${() => logOut(me.csrf).then(onLogin)}>${t('action.log_out')}</button>
  </footer>`;

function skip(event) {
  event.preventDefault(); // the hash is the route
  const main = document.getElementById('main');
  main.tabIndex = -1;
  main.focus();
}

const Picker = ({ stores, shown }) => html`
  <select class="picker" aria-label=${t('store.pick')} value=${shown ?? ''}
    onChange=${({ target }) => { location.hash = target.value ? `/stores/${encodeURIComponent(target.value)}` : '/stores'; }}>
    <option value="">${t('store.all')}</option>
    ${stores.map(({ store, name }) => html`<option value=${store} key=${store}>${name || store}</option>`)}
  </select>`;

/** Live, reconnecting, or offline since when: how far HQ itself can be heard. */
function Link({ link, problem }) {
  const now = useNow(1000);
  let state = link?.link ?? (problem ? 'reconnecting' : 'live');
  const since = link?.linkSince ?? now;
  if (state === 'reconnecting' && now - since > OFFLINE_AFTER_MS) state = 'offline';
  const text = t(`link.${state}`, { time: clock(since, { seconds: false }) });
  return html`<span class="link ${state}" role="status"><span class="dot" aria-hidden="true"></span>
    <span class="link-text">${text}</span></span>`;
}

function LanguageSwitch() {
  const other = Object.keys(LANGUAGES).find((tag) => tag !== currentLanguage());
  return html`<button class="language" lang=${other} onClick=${() => chooseLanguage(other)}
    aria-label=${t('app.language', { name: LANGUAGES[other] })}>${LANGUAGES[other]}</button>`;
}

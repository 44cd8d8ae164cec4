/** The camera page: who may look, which cameras there are, which of them is shown. */
import { ask } from './api.js';
import { CameraPage } from './camera.js';
import { el, fill } from './dom.js';
import { LANGUAGES, chooseLanguage, otherLanguage, preferredLanguage, setLanguage, t } from './i18n.js';
import { login } from './login.js';

const POLL_MS = 5_000;
const root = document.getElementById('app');
const nav = el('nav.cameras');
const main = el('main', { id: 'main', tabindex: -1 });
const edits = new Map(); // camera id → the list being edited, kept while another camera is looked at
let store = null;
let page = null;

const shownId = () => decodeURIComponent(location.hash.slice(1));

function render() {
  const other = otherLanguage();
  nav.setAttribute('aria-label', t('cameras'));
  fill(root,
    el('a.skip', { href: '#main', onclick: (event) => { event.preventDefault(); main.focus(); } }, t('app.skip')),
    el('header.topbar', {},
      el('span.brand', {}, el('img', { src: '/static/icon.svg', alt: '', width: 24, height: 24 }), el('span', {}, store?.store ?? t('app.name'))),
      el('span.space'),
      store?.logs_in && el('button.language', { onclick: logOut }, t('log_out')),
      el('button.language', { lang: other, onclick: () => chooseLanguage(other).then(restart), 'aria-label': t('app.language', { name: LANGUAGES[other] }) }, LANGUAGES[other])),
    nav, main);
  document.title = [shownId(), t('app.title')].filter(Boolean).join(' · ');
}

function renderNav() {
  fill(nav, (store?.cameras ?? []).map(({ id, status }) =>
    el('a.chip', { href: `#${encodeURIComponent(id)}`, 'aria-current': id === shownId() ? 'page' : null },
      el(`span.dot.${status}`, { 'aria-hidden': 'true' }), id, edits.has(id) && el('span.quiet', { title: t('save.unsaved') }, ' •'),
      el('span.visually-hidden', {}, ` ${t(`status.${status}`)}`))));
}

function open() {
  page?.close();
  page = null;
  const { cameras, facings } = store;
  if (!cameras.length) return fill(main, el('div.empty', {}, el('p', {}, t('cameras.none'))));
  const chosen = cameras.find(({ id }) => id === shownId());
  if (!chosen) return history.replaceState(null, '', `#${encodeURIComponent(cameras[0].id)}`), open();
  page = new CameraPage(chosen.id, { facings, edits, onTrouble: trouble });
  page.renderState(chosen);
  fill(main, page.element);
  render();
  renderNav();
}

/** A call failed: to the login, or try again in a while. */
function trouble({ status }) {
  if (status !== 401) return;
  page?.close();
  page = store = null;
  render();
  fill(nav);
  fill(main, login(load));
}

async function load() {
  try {
    store = await ask('/v1/cameras');
    open();
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status === 401) return trouble(error);
    render();
    fill(main, el('div.empty', {}, el('p', {}, t('trouble.unreachable')), el('button.button', { onclick: load }, t('retry'))));
  }
}

async function logOut() {
  await ask('/v1/logout', { method: 'POST' }).catch(() => null);
  trouble({ status: 401 });
}

function restart() {
  render();
  if (store) open();
  else load();
}

async function poll() {
  if (!store || document.hidden) return;
  try {
    store = await ask('/v1/cameras');
    renderNav();
  } catch (error) {
    trouble(error);
  }
}

addEventListener('hashchange', () => store && open());
addEventListener('beforeunload', (event) => edits.size && event.preventDefault());
setInterval(poll, POLL_MS);
await setLanguage(preferredLanguage());
render();
await load();

/** HQ's page: who is here, which stores there are, which of them is shown. */
import { html, render, useCallback, useEffect, useState } from './lib/html.js';
import { get, getAll } from './lib/api.js';
import { onLanguage, preferredLanguage, setLanguage, setTimeZone, t } from './lib/i18n.js';
import { Login, Loading, Trouble } from './pages/gate.js';
import { StoreList } from './pages/stores.js';
import { StorePage } from './pages/store.js';
import { Foot, TopBar } from './pages/topbar.js';

const STORES_POLL_MS = 5_000;
const CONNECTING = { link: 'connecting' };

/** An answer that was on its way when the session ended does not bring the page back; only a login link does. */
const unlessLoggedOut = (problem) => (problem?.code === 'login' ? problem : null);

/** `#/stores` is the list; `#/stores/ID?show=low&view=table` is one store. */
function readRoute() {
  const [path, query = ''] = location.hash.slice(1).split('?');
  const [, , store] = path.split('/');
  return { path, store: store ? decodeURIComponent(store) : null, query: new URLSearchParams(query) };
}

function App() {
  const [language, renderIn] = useState(null);
  const [route, setRoute] = useState(readRoute);
  const [me, setMe] = useState(null);
  const [stores, setStores] = useState(null);
  const [problem, setProblem] = useState(null);
  const [link, setLink] = useState(null);

  const load = useCallback(async () => {
    try {
      setMe(await get('/v1/me'));
      setStores((await getAll('/v1/stores')).items);
      setProblem(unlessLoggedOut);
    } catch (trouble) {
      if (!trouble.code) throw trouble;
      setProblem(trouble);
    }
  }, []);

  useEffect(() => {
    const off = onLanguage(renderIn);
    const onHash = () => setRoute(readRoute());
    addEventListener('hashchange', onHash);
    setLanguage(preferredLanguage()).then(load);
    return () => { off(); removeEventListener('hashchange', onHash); };
  }, []);

  useEffect(() => {
    if (problem?.code === 'login') return undefined;
    const timer = setInterval(() => document.hidden || load(), STORES_POLL_MS);
    return () => clearInterval(timer);
  }, [problem?.code]);

  const isOnly = stores?.length === 1 && !route.path;
  const shown = route.store ?? (isOnly ? stores[0].store : null);
  const store = stores?.find((one) => one.store === shown);
  setTimeZone(store?.timezone);
  useEffect(() => {
    document.title = [store?.name || shown, t('app.name')].filter(Boolean).join(' · ');
  }, [store?.name, shown, language]);

  if (language === null) return null;
  if (problem?.code === 'login') return html`<${TopBar} /><${Login} />`;
  const onLogin = () => setProblem({ code: 'login' });
  return html`
    <${TopBar} me=${me} stores=${stores ?? []} shown=${shown} link=${shown ? (link ?? CONNECTING) : null} problem=${problem} />
    <main id="main">${
      stores === null
        ? (problem ? html`<${Trouble} problem=${problem} onRetry=${load} />` : html`<${Loading} />`)
        : shown
          ? html`<${StorePage} key=${shown} id=${shown} store=${store} query=${route.query} onLogin=${onLogin} onLink=${setLink} />`
          : html`<${StoreList} stores=${stores} problem=${problem} />`
    }</main>
    ${me && html`<${Foot} me=${me} onLogin=${onLogin} />`}`;
}

render(html`<${App} />`, document.getElementById('app'));

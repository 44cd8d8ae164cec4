/** Before anything can be shown: not logged in, still loading, or no way through to HQ. */
import { html } from '../lib/html.js';
import { known, t } from '../lib/i18n.js';

export const Login = () => html`
  <main id="main" class="gate">
    <h1>${t('login.title')}</h1>
    <p>${t('login.ask')}</p>
    <p class="quiet">${t('login.command')}</p>
    <pre><code>cloud-bridge user add NAME --role viewer -c bridge.yaml</code></pre>
    <p class="quiet">${t('login.once')}</p>
  </main>`;

export const Loading = () => html`
  <div class="loading" role="status"><span class="visually-hidden">${t('state.loading')}</span>
    <div class="bone wide"></div><div class="bone tall"></div><div class="bone tall"></div>
  </div>`;

export const Trouble = ({ problem, onRetry }) => html`
  <section class="gate" role="alert">
    <h1>${known(`error.${problem.code}`) ?? t('error.server')}</h1>
    <p>${known(`error.${problem.code}.hint`) ?? t('error.server.hint')}</p>
    ${problem.detail && html`<p class="quiet"><code>${problem.detail}</code></p>`}
    <button class="button" onClick=${onRetry}>${t('action.retry')}</button>
  </section>`;

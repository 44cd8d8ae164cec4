/** The form for the page's token. It is sent once, in a body, and kept nowhere here. */
import { ask } from './api.js';
import { el, fill } from './dom.js';
import { t } from './i18n.js';

/** The form; `onDone` when the token was right. */
export function login(onDone) {
  const token = el('input', { type: 'password', id: 'token', autocomplete: 'current-password', required: true, autofocus: true });
  const said = el('p.said.bad', { role: 'alert' });

  async function send(event) {
    event.preventDefault();
    try {
      await ask('/v1/login', { method: 'POST', body: { token: token.value.trim() } });
    } catch ({ status }) {
      token.select();
      return fill(said, t(status === 401 ? 'login.wrong' : status === 429 ? 'login.wait' : 'trouble.unreachable'));
    }
    token.value = '';
    onDone();
  }

  return el('form.card.gate', { onsubmit: send },
    el('h1', {}, t('login.title')), el('p', {}, t('login.ask')),
    el('label', { for: 'token' }, t('login.token')), token, said,
    el('button.button', {}, t('login.go')));
}

/** A question with yes and no. */
import { el } from './dom.js';
import { t } from './i18n.js';

/** Whether the reader chose `yes`. */
export function ask(question, yes) {
  return new Promise((resolve) => {
    const answer = (value) => () => { dialog.close(); resolve(value); };
    const dialog = el('dialog', { 'aria-label': question, oncancel: () => resolve(false), onclose: () => dialog.remove() },
      el('p', {}, question),
      el('div.answers', {}, el('button.plain', { onclick: answer(false) }, t('cancel')), el('button.button', { onclick: answer(true) }, yes)));
    document.body.append(dialog);
    dialog.showModal();
  });
}

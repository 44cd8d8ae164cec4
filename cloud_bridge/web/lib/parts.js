/** Small pieces that several pages show: a status word, a time that ages, a notice. */
import { html, useEffect, useState } from './html.js';
import { ago, clock, t } from './i18n.js';

const SIGNS = {
  ok: '●', low: '▼', out: '✕', unknown: '?', online: '●', late: '◐', degraded: '◐', offline: '○',
};

/** A status as sign, word and colour: any one of the three is enough to read it. */
export const Status = ({ of }) => html`
  <span class="status ${of}"><span aria-hidden="true">${SIGNS[of] ?? '?'}</span> ${t(`status.${of}`)}</span>`;

/** The current time in ms, anew every `everyMs`. */
export function useNow(everyMs = 5000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** "3 minutes ago", the exact time on hover. */
export function Ago({ time }) {
  const now = useNow();
  return time ? html`<time datetime=${time} title=${clock(time)}>${ago(time, now)}</time>` : t('time.never');
}

/** When a facing is to be reordered, or since when it should have been. */
export function Due({ facing: { reorder_due_at: time, status } }) {
  if (!time) return t('facing.due_unknown');
  const shown = clock(time, { seconds: false });
  return html`<time datetime=${time}>${['low', 'out'].includes(status) ? t('facing.due_since', { time: shown }) : shown}</time>`;
}

export const Notice = ({ tone = 'calm', title, children }) => html`
  <div class="notice ${tone}" role="status"><strong>${title}</strong>${children && html`<span>${children}</span>`}</div>`;

export const Empty = ({ title, children }) => html`
  <div class="empty"><p class="empty-title">${title}</p><p>${children}</p></div>`;

/** Tells a screen reader which facings went out of stock, at most every ten seconds. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { t } from '../lib/i18n.js';

const EVERY_MS = 10_000;

export function Announcer({ facings }) {
  const out = useRef(null);
  const waiting = useRef([]);
  const [text, say] = useState('');

  useEffect(() => {
    const now = new Set(facings.filter(({ status }) => status === 'out').map(({ facing }) => facing));
    if (out.current) waiting.current.push(...[...now].filter((id) => !out.current.has(id)));
    out.current = now;
  }, [facings]);

  useEffect(() => {
    const timer = setInterval(() => {
      const news = [...new Set(waiting.current.splice(0))];
      if (news.length) say(t('map.announce_out', { facings: news.join(', ') }));
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);

  return html`<div class="visually-hidden" aria-live="polite">${text}</div>`;
}

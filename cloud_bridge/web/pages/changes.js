/** The latest stock changes of a store, newest first. */
import { html } from '../lib/html.js';
import { clock, known, number, signed, t } from '../lib/i18n.js';

const SHOWN = 8;

export function Changes({ changes, facings }) {
  const names = new Map(facings.map(({ facing, name }) => [facing, name]));
  return html`
    <section class="card changes" aria-labelledby="changes-title">
      <h2 id="changes-title">${t('changes.title')}</h2>
      ${changes.length
        ? html`<${ChangeRows} changes=${changes.slice(0, SHOWN)} names=${names} />`
        : html`<p class="quiet">${t('changes.none')}</p>`}
    </section>`;
}

export const ChangeRows = ({ changes, names }) => html`
  <ol class="change-rows">${changes.map(({ cursor, occurred_at, data }) => html`
    <li key=${cursor}>
      <time datetime=${occurred_at}>${clock(occurred_at)}</time>
      <b class="by">${signed(data.change)}</b>
      <span class="what">${names && html`<span class="code">${data.facing}</span> `}${known(`cause.${data.cause}`) ?? data.cause}
        ${names?.get(data.facing) && html`<span class="quiet"> ${names.get(data.facing)}</span>`}</span>
      <span class="quiet">→ ${data.on_hand === null ? '–' : number(data.on_hand)}</span>
    </li>`)}</ol>`;

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

/** `names`: product of each facing; without it the rows are all of one facing. */
export const ChangeRows = ({ changes, names }) => html`
  <ol class="change-rows">${changes.map(({ cursor, occurred_at, data }) => html`
    <li key=${cursor}>
      ${names && html`<span class="what"><span class="code">${data.facing}</span> ${names.get(data.facing)}</span>`}
      <span class="by"><b>${signed(data.change)}</b> → ${data.on_hand === null ? '–' : number(data.on_hand)}</span>
      <span class="quiet">${known(`cause.${data.cause}`) ?? data.cause} · <time datetime=${occurred_at}>${clock(occurred_at)}</time></span>
    </li>`)}</ol>`;

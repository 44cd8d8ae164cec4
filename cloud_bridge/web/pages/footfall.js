/** People in and out today, a minute at a time. A minute that nobody counted is a gap, not a zero. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { clock, currentLanguage, number, t } from '../lib/i18n.js';

const MINUTE_S = 60;
const SHORTEST_SPAN_S = 10 * MINUTE_S;
const HEIGHT_PX = 170;

export function Footfall({ buckets }) {
  const minutes = perMinute(buckets);
  const total = (of) => buckets.reduce((sum, bucket) => sum + bucket[of], 0);
  return html`
    <section class="card footfall" aria-labelledby="footfall-title">
      <div class="card-head">
        <h2 id="footfall-title">${t('footfall.title')}</h2>
        <p class="totals">
          <span class="key entered">${t('footfall.entered')} <b>${number(total('entered'))}</b></span>
          <span class="key exited">${t('footfall.exited')} <b>${number(total('exited'))}</b></span>
        </p>
      </div>
      ${buckets.length === 0
        ? html`<p class="quiet">${t('footfall.none')}</p>`
        : html`<${Chart} minutes=${minutes} /><${HourTable} buckets=${buckets} />`}
    </section>`;
}

/** `[start_s[], entered[], exited[]]`, all lines of a store added up, null where no bucket exists. */
export function perMinute(buckets) {
  const sums = new Map();
  for (const { start, entered, exited } of buckets) {
    const second = Date.parse(start) / 1000;
    const sum = sums.get(second) ?? { entered: 0, exited: 0 };
    sums.set(second, { entered: sum.entered + entered, exited: sum.exited + exited });
  }
  const seconds = [...sums.keys()];
  const columns = [[], [], []];
  if (seconds.length === 0) return columns;
  for (let at = Math.min(...seconds); at <= Math.max(...seconds); at += MINUTE_S) {
    columns[0].push(at);
    columns[1].push(sums.get(at)?.entered ?? null);
    columns[2].push(sums.get(at)?.exited ?? null);
  }
  return columns;
}

function Chart({ minutes }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [under, setUnder] = useState(null);
  const theme = useTheme();

  useEffect(() => {
    const element = box.current;
    plot.current = new window.uPlot(options(element, setUnder), minutes, element);
    const resize = new ResizeObserver(() => plot.current.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    resize.observe(element);
    return () => { resize.disconnect(); plot.current.destroy(); };
  }, [theme, currentLanguage()]);
  useEffect(() => plot.current.setData(minutes), [minutes]);

  const [at, entered, exited] = minutes.map((column) => column[under]);
  return html`<div class="chart" ref=${box} aria-hidden="true"></div>
    <p class="under quiet" aria-hidden="true">${at === undefined ? t('footfall.per_minute') : entered === null
      ? t('footfall.gap_at', { time: clock(at * 1000, { seconds: false }) })
      : t('footfall.at', { time: clock(at * 1000, { seconds: false }), entered, exited })}</p>`;
}

function options(box, onPoint) {
  const colour = (name) => getComputedStyle(box).getPropertyValue(name).trim();
  const axis = { stroke: colour('--quiet'), font: '12px system-ui, sans-serif', grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const line = (name, dash) => ({ stroke: colour(name), width: 2, dash, points: { size: 5, fill: colour(name) }, spanGaps: false });
  return {
    width: box.clientWidth, height: HEIGHT_PX, legend: { show: false }, cursor: { y: false, drag: { x: false } },
    scales: { x: { range: (plot) => span(plot.data[0]) }, y: { range: (_, low, high) => [0, Math.max(4, high)] } },
    axes: [
      { ...axis, size: 28, space: 70, values: (_, splits) => splits.map((at) => clock(at * 1000, { seconds: false })) },
      { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100] },
    ],
    series: [{}, line('--entered'), line('--exited', [6, 4])],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

// From the data itself: around a single minute uPlot would offer years.
function span(times) {
  const high = times.at(-1) ?? Date.now() / 1000;
  return [Math.min(times[0] ?? high, high - SHORTEST_SPAN_S), high];
}

function useTheme() {
  const query = useRef(matchMedia('(prefers-color-scheme: dark)')).current;
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const onChange = () => setDark(query.matches);
    query.addEventListener('change', onChange);
    return () => query.removeEventListener('change', onChange);
  }, []);
  return isDark;
}

function HourTable({ buckets }) {
  const hours = new Map();
  for (const { start, entered, exited } of buckets) {
    const hour = new Date(start).setMinutes(0, 0, 0);
    const sum = hours.get(hour) ?? { entered: 0, exited: 0 };
    hours.set(hour, { entered: sum.entered + entered, exited: sum.exited + exited });
  }
  return html`<details><summary>${t('footfall.table')}</summary>
    <table class="rows"><thead><tr><th scope="col">${t('footfall.hour')}</th>
      <th scope="col" class="count">${t('footfall.entered')}</th><th scope="col" class="count">${t('footfall.exited')}</th></tr></thead>
    <tbody>${[...hours].map(([hour, sum]) => html`<tr key=${hour}><th scope="row">${clock(hour, { seconds: false })}</th>
      <td class="count">${number(sum.entered)}</td><td class="count">${number(sum.exited)}</td></tr>`)}</tbody></table>
  </details>`;
}

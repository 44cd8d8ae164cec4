/** HQ's feed as Server-Sent Events, kept open: resumes after the last cursor, backs off with jitter. */
import { get, withQuery } from './api.js';

const BACKOFF_MS = { first: 500, most: 5_000 };

export class FeedStream {
  /** `on.event(event)`, `on.open()` after every (re)connection, `on.lost()` after each failed try,
   * `on.login()` when HQ no longer knows this session. */
  constructor(query, on) {
    this.query = query;
    this.on = on;
    this.cursor = query.after ?? null;
    this.failures = 0;
    this.open = this.open.bind(this);
    this.hurry = () => this.timer && this.open();
    addEventListener('online', this.hurry);
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.timer = null;
    const source = new EventSource(withQuery('/v1/stream', { ...this.query, after: this.cursor }));
    this.source = source;
    source.onopen = () => {
      this.failures = 0;
      this.opened = true;
      this.on.open();
    };
    // The browser's own retry never gives up a broken proxy nor retries an HTTP error: ours does both.
    source.onerror = () => this.lose();
    source.onmessage = ({ data, lastEventId }) => {
      this.cursor = lastEventId;
      this.on.event(JSON.parse(data));
    };
  }

  /** Give up this connection, found dead here or elsewhere, and try again later. */
  async lose() {
    if (this.source === null) return;
    this.source.close();
    this.source = null;
    this.on.lost();
    // An EventSource does not tell why it failed. Where HQ answers, it was the cursor: too old, or another feed's.
    const problem = await get('/v1/me').then(() => null, (trouble) => trouble);
    if (this.closed) return;
    if (problem?.code === 'login') return this.on.login();
    if (!problem && !this.opened) this.cursor = null;
    this.opened = false;
    const most = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** this.failures++);
    this.timer = setTimeout(this.open, most * (0.5 + Math.random() / 2));
  }

  close() {
    this.closed = true;
    removeEventListener('online', this.hurry);
    clearTimeout(this.timer);
    this.source?.close();
  }
}

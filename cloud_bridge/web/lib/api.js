/** HQ's REST, as a page needs it. */

const PAGE_LIMIT = 1000;
const TIMEOUT_MS = 10_000;

/** An answer that is not the one asked for. `code` is a translation key: `error.<code>`. */
export class Problem extends Error {
  constructor(code, detail = '', status = 0) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.status = status;
  }
}

/** GET one JSON document. Throws `Problem` with code login, denied, missing, server or unreachable. */
export async function get(path, query = {}) {
  let reply;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    reply = await fetch(withQuery(path, query), { signal, headers: { Accept: 'application/json' } });
    if (reply.ok) return await reply.json();
  } catch (error) {
    throw new Problem('unreachable', error.message);
  }
  throw await problemOf(reply);
}

/** GET all pages of a list: the last page with all `items`. */
export async function getAll(path, query = {}) {
  const items = [];
  let cursor = null;
  let page;
  do {
    page = await get(path, { limit: PAGE_LIMIT, ...query, ...(cursor && { cursor }) });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return { ...page, items };
}

export function withQuery(path, query) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null)).toString();
  return text ? `${path}?${text}` : path;
}

/** End this browser's session. */
export const logOut = (csrf) => fetch('/v1/logout', { method: 'POST', headers: { 'X-CSRF-Token': csrf } });

export const storePath = (store, rest = '') => `/v1/stores/${encodeURIComponent(store)}${rest}`;

async function problemOf(reply) {
  const code = { 401: 'login', 403: 'denied', 404: 'missing' }[reply.status] ?? 'server';
  let detail = `HTTP ${reply.status}`;
  try {
    const body = await reply.json();
    detail = body.detail || body.title || detail;
  } catch {
    // A proxy may answer with something else than JSON; the status line says enough.
  }
  return new Problem(code, detail, reply.status);
}

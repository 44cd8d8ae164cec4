/** What the agent answers; anything but success is a Trouble with the agent's code. */

export class Trouble extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code });
  }
}

/** The answer of one call as JSON. Status 0: the agent cannot be reached. */
export async function ask(path, { method = 'GET', body, headers = {} } = {}) {
  const sent = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  let reply;
  try {
    reply = await fetch(path, sent);
  } catch {
    throw new Trouble(0, 'unreachable', '');
  }
  const answer = reply.status === 204 ? null : await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Trouble(reply.status, answer.code ?? 'unreachable', answer.detail ?? '');
  return answer;
}

export const pathOf = (camera, call = '') => `/v1/cameras/${encodeURIComponent(camera)}${call}`;

/** One camera's live view: what is seen in a frame, then its picture, over a WebSocket that comes back by itself. */
import { pathOf } from './api.js';

const LEFT_OUT = 4429;
const LOGGED_OUT = 4401;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/**
 * `onLook(seen, bitmap)` for each frame, `onState({status, reason})`, `onLink('live' | 'connecting' | 'full')`,
 * `onLoggedOut()`. Returns what ends it.
 */
export function watch(camera, { onLook, onState, onLink, onLoggedOut }) {
  let socket, timer, seen;
  let ended = false;
  let wait = FIRST_WAIT_MS;

  function open() {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    socket = new WebSocket(`${scheme}//${location.host}${pathOf(camera, '/view')}`);
    socket.binaryType = 'blob';
    socket.onmessage = ({ data }) => (typeof data === 'string' ? hear(JSON.parse(data)) : show(data));
    socket.onclose = ({ code }) => {
      if (ended) return;
      if (code === LOGGED_OUT) return onLoggedOut();
      onLink(code === LEFT_OUT ? 'full' : 'connecting');
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
  }

  function hear(message) {
    if (message.kind === 'frame') seen = message;
    else onState(message);
    onLink('live');
    wait = FIRST_WAIT_MS;
  }

  async function show(blob) {
    const its = seen;
    const bitmap = await createImageBitmap(blob);
    if (!ended) onLook(its, bitmap);
    bitmap.close();
  }

  onLink('connecting');
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    socket.close();
  };
}

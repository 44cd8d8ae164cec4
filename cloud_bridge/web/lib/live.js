/**
 * One store as HQ sees it, kept fresh. The feed is a doorbell: it says which facing moved, the facing itself
 * is then asked for. So a store that catches up on its past never drags the map back with it.
 */
import { get, getAll, storePath } from './api.js';
import { Doorbell } from './doorbell.js';
import { day } from './i18n.js';
import { FeedStream } from './stream.js';

const POLL_MS = 10_000;
const SINGLE_FETCHES = 6;
const LONGEST_DAY_MS = 25 * 3_600_000;
const CHANGES_KEPT = 200;

export class LiveStore {
  /** `onLogin()` is called when HQ no longer knows this session. */
  constructor(store, { onLogin }) {
    this.store = store;
    this.onLogin = onLogin;
    this.listeners = new Set();
    this.moved = new Set(); // facings to ask for; `wantsAll`: ask for the whole list instead
    this.wantsAll = true;
    this.state = {
      phase: 'loading', problem: null, link: 'connecting', linkSince: Date.now(), freshAt: null,
      asOf: null, catchingUp: false, facings: [], planned: [], devices: [], footfall: [], changes: [], moves: new Map(),
    };
    this.bells = {
      facings: new Doorbell(this.guard(() => this.loadFacings()), 40),
      devices: new Doorbell(this.guard(() => this.loadDevices()), 150),
      footfall: new Doorbell(this.guard(() => this.loadFootfall()), 500),
      planogram: new Doorbell(this.guard(() => this.loadPlanogram()), 10),
    };
  }

  start() {
    this.stream = new FeedStream({ store: this.store }, {
      event: (event) => this.receive(event),
      open: () => this.link('live'),
      lost: () => this.state.link === 'reconnecting' || this.link('reconnecting'),
      login: this.onLogin,
    });
    this.ringAll();
    this.poll = setInterval(() => document.hidden || this.ringOften(), POLL_MS);
    this.onVisible = () => document.hidden || this.ringOften();
    document.addEventListener('visibilitychange', this.onVisible);
  }

  stop() {
    this.stream.close();
    clearInterval(this.poll);
    document.removeEventListener('visibilitychange', this.onVisible);
    Object.values(this.bells).forEach((bell) => bell.stop());
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  ringOften() {
    this.wantsAll = true;
    this.bells.facings.ring();
    this.bells.devices.ring();
  }

  ringAll() {
    this.ringOften();
    this.bells.planogram.ring();
    this.bells.footfall.ring();
  }

  // --- what comes in ---

  link(link) {
    this.set({ link, linkSince: Date.now() });
    if (link === 'live') this.ringAll();
  }

  receive(event) {
    const { type, data } = event;
    if (type === 'stock.changed') this.set({ changes: [event, ...this.state.changes].slice(0, CHANGES_KEPT) });
    if (type === 'stock.changed' || type.startsWith('gap.')) {
      this.moved.add(data.facing);
      this.bells.facings.ring();
    } else if (type === 'device.changed') this.bells.devices.ring();
    else if (type === 'footfall.counted') this.bells.footfall.ring();
  }

  // --- what is asked for ---

  async loadFacings() {
    const moved = [...this.moved];
    this.moved.clear();
    if (!this.wantsAll && moved.length <= SINGLE_FETCHES) return this.loadSingly(moved);
    this.wantsAll = false;
    const { items, as_of, catching_up } = await getAll(storePath(this.store, '/facings'));
    this.show(items, { asOf: as_of ?? null, catchingUp: catching_up ?? false });
  }

  async loadSingly(ids) {
    const byId = new Map(this.state.facings.map((facing) => [facing.facing, facing]));
    await Promise.all(ids.map(async (id) => {
      try {
        byId.set(id, await get(storePath(this.store, `/facings/${encodeURIComponent(id)}`)));
      } catch (problem) {
        if (problem.code !== 'missing') throw problem;
        byId.delete(id); // the planogram changed since
      }
    }));
    this.show([...byId.values()]);
  }

  show(facings, rest = {}) {
    const before = new Map(this.state.facings.map((facing) => [facing.facing, facing]));
    const moves = new Map(this.state.moves);
    // What did not move stays the same object, so that nothing is drawn again for it.
    const shown = facings.map((facing) => {
      const old = before.get(facing.facing);
      if (old?.version === facing.version && old.observed_at === facing.observed_at) return old;
      const by = (facing.on_hand ?? NaN) - (old?.on_hand ?? NaN);
      if (by) moves.set(facing.facing, { by, at: Date.now() });
      return facing;
    });
    const planned = new Set(this.state.planned.map(({ id }) => id));
    if (facings.some(({ facing }) => !planned.has(facing)) && before.size) this.bells.planogram.ring();
    this.set({ phase: 'ready', facings: shown, moves, ...rest });
  }

  async loadPlanogram() {
    const { facings } = await get(storePath(this.store, '/planogram'));
    this.set({ planned: facings });
  }

  async loadDevices() {
    const { items } = await getAll(storePath(this.store, '/devices'));
    this.set({ devices: items });
  }

  async loadFootfall() {
    const query = { bucket: '1m', from: new Date(Date.now() - LONGEST_DAY_MS).toISOString() };
    const { items } = await getAll(storePath(this.store, '/footfall'), query);
    this.set({ footfall: items.filter(({ start }) => day(start) === day(Date.now())) });
  }

  guard(load) {
    return async () => {
      try {
        await load();
        this.set({ problem: null, freshAt: Date.now() });
      } catch (problem) {
        if (!problem.code) throw problem;
        if (problem.code === 'login') return this.onLogin();
        if (problem.code === 'unreachable') this.stream.lose(); // a line cut silently sends no error to the stream
        this.set({ problem, phase: this.state.phase === 'loading' ? 'failed' : this.state.phase });
      }
    };
  }

  set(changes) {
    this.state = { ...this.state, ...changes };
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.listeners.forEach((listener) => listener(this.state));
    });
  }
}

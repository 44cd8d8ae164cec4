/** One camera: its live picture, the tools to draw on it, what is drawn, and saving it. */
import { ask, pathOf } from './api.js';
import { ask as confirmed } from './confirm.js';
import { el, fill } from './dom.js';
import { clock, known, t } from './i18n.js';
import { watch } from './live.js';
import { panel } from './panel.js';
import { asList, asShapes, freeLine, problemOf } from './shapes.js';
import { Stage } from './stage.js';

const TOOLS = ['line', 'place', 'mask'];
const STALE_MS = 5_000;

export class CameraPage {
  constructor(id, { facings, onTrouble, edits }) {
    Object.assign(this, { id, facings, onTrouble, edits, selected: -1, tool: null, crossed: {}, drawing: null, said: null });
    this.stage = new Stage({
      shapes: () => this.shapes,
      selected: () => this.selected,
      select: (index) => this.choose(index),
      moved: (index, point, to) => this.change(index, { points: this.shapes[index].points.map((old, n) => (n === point ? to : old)) }),
      drawn: (kind, points) => this.add(kind, points),
    });
    this.parts = Object.fromEntries(['state', 'link', 'tools', 'hint', 'list', 'save', 'patch'].map((name) => [name, el(`div.${name}`)]));
    this.parts.hint.setAttribute('role', 'status');
    this.element = el('section.camera', {},
      el('div.heading', {}, el('h1', {}, id), this.parts.state, el('span.space'), this.parts.link),
      el('div.layout', {},
        el('div.column', {}, this.parts.tools, this.parts.hint, this.stage.element, legend()),
        el('div.column', {}, el('div.card', {}, el('h2', {}, t('drawn.title')), this.parts.list, this.parts.save), this.parts.patch)));
    this.load().then(() => { this.stop = this.closed ? null : this.watching(); });
  }

  get shapes() {
    return this.edits.get(this.id)?.shapes ?? (this.drawing ? asList(this.drawing.shapes) : []);
  }

  get isEdited() {
    return this.edits.has(this.id);
  }

  close() {
    this.closed = true;
    this.stop?.();
    clearTimeout(this.ageing);
    this.stage.close();
  }

  watching() {
    return watch(this.id, {
      onLook: (seen, bitmap) => {
        const hasPictures = Boolean(this.stage.seen);
        const counted = JSON.stringify(seen.crossed) !== JSON.stringify(this.crossed);
        this.crossed = seen.crossed;
        this.stage.show(seen, bitmap);
        this.fresh(seen.captured_at);
        if (!hasPictures) this.renderTools();
        if (counted && !this.parts.list.contains(document.activeElement)) this.renderList();
      },
      onState: (state) => this.renderState(state),
      onLink: (link) => (link === 'live' ? this.answered() : this.link(link)),
      onLoggedOut: () => this.onTrouble({ status: 401 }),
    });
  }

  async load() {
    try {
      this.drawing = await ask(pathOf(this.id));
    } catch (trouble) {
      this.onTrouble(trouble);
    }
    this.render();
  }

  choose(index) {
    if (index === this.selected) return;
    this.selected = index;
    this.stage.render();
    for (const [n, item] of [...this.parts.list.querySelectorAll('li')].entries()) item.classList.toggle('selected', n === index);
  }

  /** Edits outlive a look at another camera, with what they began from: somebody else may draw meanwhile. */
  keep(shapes) {
    this.edits.set(this.id, { shapes, revision: this.edits.get(this.id)?.revision ?? this.drawing?.revision });
  }

  /** Take the list as edited; nothing is saved yet. */
  edit(shapes) {
    this.keep(shapes);
    this.said = null;
    this.render();
  }

  change(index, values) {
    this.edit(this.shapes.map((shape, n) => (n === index ? { ...shape, ...values } : shape)));
  }

  /** While it is typed: the list keeps its field, and a click that leaves the field still finds its button. */
  rename(index, id) {
    const wasEdited = this.isEdited && !this.said;
    this.keep(this.shapes.map((shape, n) => (n === index ? { ...shape, id } : shape)));
    this.said = null;
    if (!wasEdited) this.renderSave();
    this.stage.render();
  }

  remove(index) {
    this.selected = -1;
    this.edit(this.shapes.filter((_, n) => n !== index));
    this.parts.tools.querySelector('button')?.focus();
  }

  add(kind, points) {
    this.tool = null;
    this.stage.begin(null);
    if (!kind) return this.render();
    const shapes = this.shapes;
    this.selected = shapes.length;
    this.edit([...shapes, { kind, id: this.firstName(kind), points }]);
    this.parts.list.querySelector(`[data-row="${this.selected}"]`)?.focus();
  }

  firstName(kind) {
    if (kind === 'line') return freeLine(this.shapes);
    const taken = new Set(this.shapes.map(({ id }) => id));
    return kind === 'mask' ? '' : (this.facings.find(({ id }) => !taken.has(id)) ?? this.facings[0]).id;
  }

  async save() {
    const problem = problemOf(this.shapes);
    if (problem) return this.say('bad', t(problem.key, problem.values));
    const body = { ...asShapes(this.shapes), drawn_on: this.stage.seen?.size ?? this.drawing.drawn_on };
    await this.send({ method: 'PUT', body, headers: { 'If-Match': this.edits.get(this.id)?.revision ?? this.drawing.revision } }, 'save.done');
  }

  async discard() {
    if (await confirmed(t('patch.discard.ask', { camera: this.id }), t('patch.discard'))) {
      await this.send({ method: 'DELETE' }, 'patch.discarded');
    }
  }

  async send(call, done) {
    try {
      this.drawing = await ask(pathOf(this.id, '/drawing'), call);
    } catch (trouble) {
      if (trouble.status === 401) return this.onTrouble(trouble);
      return this.say('bad', trouble.status === 412 ? t('save.conflict') : t('save.refused', { why: trouble.message || known(`trouble.${trouble.code}`) || '' }));
    }
    this.edits.delete(this.id);
    this.selected = -1;
    this.say('good', t(done));
  }

  say(kind, words) {
    this.said = { kind, words };
    this.render();
  }

  /** A picture has come. One that is followed by none for a while is shown as an old one. */
  fresh(at) {
    this.link('live', at);
    this.ageing = setTimeout(() => this.link('stale', at), STALE_MS);
  }

  /** The agent speaks, with or without pictures. */
  answered() {
    if (this.linked === 'live' || this.linked === 'stale') return;
    const { seen } = this.stage;
    this.link(seen ? 'stale' : 'waiting', seen?.captured_at);
  }

  link(link, at) {
    clearTimeout(this.ageing);
    this.linked = link;
    this.stage.element.classList.toggle('stale', link !== 'live');
    const words = link === 'live' ? clock(at) : t(`link.${link}`, { time: at && clock(at) });
    fill(this.parts.link, el(`span.link.${link}`, {}, el('span.dot', { 'aria-hidden': 'true' }), el('span', {}, words)));
  }

  render() {
    this.renderTools();
    this.renderList();
    this.renderSave();
    this.renderPatch();
    this.stage.render();
  }

  renderState({ status, reason }) {
    fill(this.parts.state, el(`span.status.${status}`, {}, t(`status.${status}`)), reason && el('span.quiet', {}, ` ${reason}`));
  }

  renderTools() {
    const can = (kind) => this.stage.seen && (kind !== 'place' || this.facings.length > 0);
    fill(this.parts.tools, TOOLS.map((kind) => el('button.tool', {
      'aria-pressed': String(this.tool === kind), disabled: !can(kind), onclick: () => this.take(this.tool === kind ? null : kind),
    }, el(`span.swatch.${kind}`, { 'aria-hidden': 'true' }), t(`tool.${kind}`))));
    fill(this.parts.hint, el('span.quiet', {}, this.tool ? t(`hint.${this.tool}`) : t('hint.none')));
  }

  take(kind) {
    this.tool = kind;
    this.selected = -1;
    this.renderTools();
    this.stage.begin(kind);
  }

  renderList() {
    fill(this.parts.list, panel(this.shapes, {
      selected: this.selected, crossed: this.crossed, facings: this.facings,
      change: (index, values) => this.change(index, values), rename: (index, id) => this.rename(index, id), remove: (index) => this.remove(index), select: (index) => this.choose(index),
    }));
  }

  renderSave() {
    const undo = () => { this.edits.delete(this.id); this.selected = -1; this.said = null; this.load(); };
    fill(this.parts.save,
      el('button.button', { disabled: !this.isEdited || !this.drawing, onclick: () => this.save() }, t('save')),
      this.isEdited && el('button.plain', { onclick: undo }, t('save.undo')),
      el('p', { role: 'status', class: this.said ? `said ${this.said.kind}` : 'said' }, this.said?.words ?? (this.isEdited ? t('save.unsaved') : '')));
  }

  renderPatch() {
    if (!this.drawing) return fill(this.parts.patch);
    const { is_drawn: isDrawn, patch } = this.drawing;
    fill(this.parts.patch, el('div.card', {},
      el('h2', {}, t('patch.title')),
      el('p.quiet', {}, t(isDrawn ? 'patch.drawn' : 'patch.file')),
      patch.text && el('details', {}, el('summary', {}, t('patch.show')), el('p.quiet.code', {}, patch.path), el('pre', { tabindex: 0 }, patch.text)),
      isDrawn && el('button.plain', { onclick: () => this.discard() }, t('patch.discard'))));
  }
}

const legend = () => el('ul.legend', { 'aria-label': t('legend') },
  ['followed', 'unsure', 'line', 'place', 'stocked', 'gap', 'mask'].map((what) =>
    el('li', {}, el(`span.swatch.${what}`, { 'aria-hidden': 'true' }), t(`legend.${what}`))));

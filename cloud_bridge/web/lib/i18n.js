/** Words, numbers and times in the reader's language. HQ sends codes, never sentences. */

export const LANGUAGES = { en: 'English', 'zh-CN': '中文' };

const listeners = new Set();
const formats = new Map();
let words = {};
let language = 'en';
let timeZone; // undefined: the browser's own

/** The language chosen before, else the browser's, else English. */
export function preferredLanguage() {
  const wanted = [localStorage.getItem('language'), ...navigator.languages].filter(Boolean);
  for (const tag of wanted) {
    if (tag.toLowerCase().startsWith('zh')) return 'zh-CN';
    if (tag.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}

/** Load one catalogue and tell everyone who shows words. */
export async function setLanguage(tag) {
  const reply = await fetch(`/static/i18n/${tag}.json`);
  words = await reply.json();
  language = tag;
  document.documentElement.lang = tag;
  listeners.forEach((listener) => listener(tag));
}

/** As `setLanguage`, and remembered in this browser. */
export function chooseLanguage(tag) {
  localStorage.setItem('language', tag);
  return setLanguage(tag);
}

export const currentLanguage = () => language;

export function onLanguage(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The text for `key`; `{name}` takes values, `n` chooses between `key.one` and `key.other`. */
export function t(key, values = {}) {
  let text = words[key];
  if (text === undefined && 'n' in values) {
    text = words[`${key}.${made(Intl.PluralRules).select(values.n) === 'one' ? 'one' : 'other'}`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === 'number' ? number(value) : (value ?? '');
  });
}

/** As `t`, or null when the catalogue does not know the key: for codes from outside. */
export const known = (key) => words[key] ?? null;

/** An Intl formatter of the current language; making one costs more than using it a hundred times. */
function made(Kind, options = {}, tag = language) {
  const key = `${Kind.name} ${tag} ${JSON.stringify(options)}`;
  return formats.get(key) ?? formats.set(key, new Kind(tag, options)).get(key);
}

export const number = (value) => made(Intl.NumberFormat).format(value);
export const signed = (value) => made(Intl.NumberFormat, { signDisplay: 'exceptZero' }).format(value);
export const percent = (share) => made(Intl.NumberFormat, { style: 'percent' }).format(share);

/** From now on times are shown as on the clocks of that store; undefined: as on the reader's. */
export const setTimeZone = (zone) => { timeZone = zone; };

/** The calendar day of a time, to compare with another. */
export const day = (time) => made(Intl.DateTimeFormat, { timeZone }, 'en-CA').format(new Date(time));

/** Clock time; with the date when it is not today. */
export function clock(time, { seconds = true } = {}) {
  const parts = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone };
  if (seconds) parts.second = '2-digit';
  if (day(time) !== day(Date.now())) Object.assign(parts, { month: 'short', day: 'numeric' });
  return made(Intl.DateTimeFormat, parts).format(new Date(time));
}

const STEPS = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** "3 minutes ago"; "just now" below five seconds. */
export function ago(time, now = Date.now()) {
  const past = Math.max(0, Math.round((now - new Date(time).getTime()) / 1000));
  if (past < 5) return t('time.now');
  const [unit, size] = STEPS.find(([, seconds]) => past >= seconds);
  return made(Intl.RelativeTimeFormat, { numeric: 'auto' }).format(-Math.floor(past / size), unit);
}

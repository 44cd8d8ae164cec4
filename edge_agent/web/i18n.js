/** Words in the reader's language. The agent sends codes and numbers. */

export const LANGUAGES = { en: 'English', 'zh-CN': '中文' };

let words = {};
let language = 'en';

/** The language chosen before, else the browser's, else English. */
export function preferredLanguage() {
  for (const tag of [localStorage.getItem('language'), ...navigator.languages].filter(Boolean)) {
    if (tag.toLowerCase().startsWith('zh')) return 'zh-CN';
    if (tag.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}

/** Load one catalogue. */
export async function setLanguage(tag) {
  words = await (await fetch(`/static/i18n/${tag}.json`)).json();
  language = tag;
  document.documentElement.lang = tag;
}

/** As `setLanguage`, and remembered in this browser. */
export function chooseLanguage(tag) {
  localStorage.setItem('language', tag);
  return setLanguage(tag);
}

export const otherLanguage = () => Object.keys(LANGUAGES).find((tag) => tag !== language);

/** The text for `key`; `{name}` takes values. */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** As `t`, or null when the catalogue does not know the key: for codes from outside. */
export const known = (key) => words[key] ?? null;

export const percent = (share) => new Intl.NumberFormat(language, { style: 'percent' }).format(share);

/** The reader's clock. */
export const clock = (time) =>
  new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(new Date(time));

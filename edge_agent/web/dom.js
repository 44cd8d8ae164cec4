/** Elements with text that is never read as HTML: names and reasons come from outside. */

const SVG = 'http://www.w3.org/2000/svg';

/** `el('button.primary', { onclick, 'aria-label': … }, 'text', child)`; null children are left out. */
export const el = (tag, properties, ...children) => make(document.createElement.bind(document), tag, properties, children);

/** The same for a part of a drawing. */
export const svg = (tag, properties, ...children) =>
  make((name) => document.createElementNS(SVG, name), tag, properties, children);

/** Put `children` in the place of what is in `parent`. */
export const fill = (parent, ...children) => parent.replaceChildren(...children.flat().filter((child) => child != null && child !== false));

function make(create, tag, properties = {}, children = []) {
  const [name, ...classes] = tag.split('.');
  const element = create(name);
  if (classes.length) element.setAttribute('class', classes.join(' '));
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

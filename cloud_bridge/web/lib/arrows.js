/** Arrow keys over things that lie in two dimensions: the nearest one in that direction gets the focus. */

const AXES = {
  ArrowLeft: { along: 'x', sign: -1 }, ArrowRight: { along: 'x', sign: 1 },
  ArrowUp: { along: 'y', sign: -1 }, ArrowDown: { along: 'y', sign: 1 },
};
const SIDEWAYS_COST = 3;

/** The element of `all` that `key` leads to from `from`, or null. Home and End lead to the first and last. */
export function neighbour(all, from, key) {
  if (key === 'Home') return all[0];
  if (key === 'End') return all.at(-1);
  const axis = AXES[key];
  if (!axis) return null;
  const across = axis.along === 'x' ? 'y' : 'x';
  const start = middle(from);
  let best = null;
  let bestCost = Infinity;
  for (const element of all) {
    const end = middle(element);
    const ahead = (end[axis.along] - start[axis.along]) * axis.sign;
    const cost = ahead + SIDEWAYS_COST * Math.abs(end[across] - start[across]);
    if (ahead > 1 && cost < bestCost) [best, bestCost] = [element, cost];
  }
  return best;
}

function middle(element) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return { x: left + width / 2, y: top + height / 2 };
}

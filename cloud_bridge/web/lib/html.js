/** Templates and hooks, from one place. */
import { h, render, Fragment } from 'preact';
import htm from 'htm';

export * from 'preact/hooks';
export { render, Fragment };
export const html = htm.bind(h);

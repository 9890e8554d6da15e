import { h } from './element.js';
import { counted } from './format.js';

/** A unified diff as text with its signs; colour only repeats them. Long ones are folded behind their first changed lines. */

const shownLines = 6;

function kindOf(line) {
  if (line.startsWith('@@')) return 'hunk';
  if (/^(diff |index |--- |\+\+\+ )/.test(line)) return 'file';
  return line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : 'same';
}

function block(lines) {
  return h('pre', { class: 'diff', tabindex: '0', 'aria-label': 'Changed lines' }, lines.map(({ text, kind }) => h('span', { class: kind }, `${text === '' ? ' ' : text}\n`)));
}

/** @param text a unified diff, as whoever registered the version sent it. */
export function diffOf(text) {
  const lines = text.replace(/\n$/, '').split('\n').map((line) => ({ text: line, kind: kindOf(line) }));
  const told = lines.filter(({ kind }) => kind === 'added' || kind === 'removed');
  const added = told.filter(({ kind }) => kind === 'added').length;
  const summary = h('small', null, `${counted(added, 'line')} added, ${told.length - added} removed`);
  if (lines.length <= shownLines + 2) return [block(lines), summary];
  return [
    block(told.slice(0, shownLines)),
    h('details', { 'data-key': 'diff' }, h('summary', null, 'Whole diff ', summary), block(lines)),
  ];
}

import { h, scrolling } from './element.js';
import { count, metricName, quantity, versionName } from './format.js';

/** Versions by models, one metric: a cell has its value, its interval, and how much it rests on. */

export function matrixSection({ matrix, metric, names, onChoose }) {
  const known = names.includes(metric) ? names : [metric, ...names];
  return h('section', null,
    h('h2', null, 'Versions by models ', h('small', null, 'each cell by itself, with its 95 % interval')),
    h('p', null, h('label', { for: 'matrix-metric' }, 'Metric '), h('select', { id: 'matrix-metric', 'data-key': 'matrix-metric', onchange: (event) => onChoose(event.target.value) }, known.map((name) => h('option', { value: name, selected: name === metric }, metricName(name))))),
    matrix.error !== undefined
      ? h('p', { class: 'notice' }, `Cannot be read: ${matrix.error.message}`)
      : matrix.cells.length === 0
        ? h('p', { class: 'mute' }, 'Nothing was measured here.')
        : scrolling(`${metricName(metric)} of versions by models`, table(matrix)));
}

function table({ metric, versions, models, cells }) {
  const values = cells.map(({ summary }) => summary.value).filter((value) => value !== null);
  const most = Math.max(0, ...values);
  return h('table', { class: 'matrix' },
    h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Version'), models.map((model) => h('th', { scope: 'col' }, h('span', { class: 'clip', title: model }, model === '' ? 'no model' : model))))),
    h('tbody', null, versions.map((version) => h('tr', null,
      h('th', { scope: 'row' }, h('span', { class: 'clip', title: version }, versionName(version))),
      models.map((model) => {
        const summary = cells.find((cell) => cell.version === version && cell.model === model)?.summary;
        if (summary === undefined || summary.value === null) return h('td', { class: 'mute' }, '–');
        const { value, low, high, n, kind, p95 } = summary;
        return h('td', null,
          h('progress', { value: String(Math.max(0, value)), max: String(most || 1), 'aria-hidden': 'true', tabindex: '-1' }),
          h('b', null, quantity(metric, value, kind)),
          h('small', null, low === null ? ` of ${count(n)}` : ` ${quantity(metric, low, kind)} to ${quantity(metric, high, kind)}, ${count(n)}`, p95 === null ? null : `, p95 ${quantity(metric, p95, kind)}`));
      })))));
}

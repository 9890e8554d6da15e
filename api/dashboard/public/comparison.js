import { createCursor, intervalBar, timeChart } from './chart.js';
import { h, scrolling } from './element.js';
import { change, clockOf, metricName, odds, quantity, time } from './format.js';

/** What a comparison shows wherever it is shown: both arms over time, the evidence, and the table of all metrics. */

const verdicts = {
  regressed: { text: 'regressed', tone: 'bad' },
  not_worse: { text: 'not worse', tone: 'ok' },
  undecided: { text: 'undecided', tone: 'mid' },
  no_data: { text: 'no data', tone: 'mute' },
};

export function verdictOf(verdict) {
  return verdicts[verdict] ?? verdicts.undecided;
}

/** The quantile that a distribution is shown by: people wait for the slow ones. */
const isDistribution = (kind) => kind === 'distribution';

/** Red is kept for what is proved. */
const candidateTone = (comparison) => (comparison.verdict === 'regressed' ? 'b' : 'c');

function armsLines(series, { kind, comparison }) {
  // A bucket is shown at its middle.
  const middle = (point) => point.at_ms + series.step_seconds * 500;
  return series.arms.map((arm) => ({
    name: arm.value,
    tone: arm.role === 'baseline' ? 'a' : candidateTone(comparison),
    stepMs: series.step_seconds * 1000,
    points: arm.points
      .filter((point) => (isDistribution(kind) ? point.p50 : point.value) !== null)
      .map((point) => (isDistribution(kind) ? { at: middle(point), value: point.p50, low: point.p50, high: point.p95 } : { at: middle(point), value: point.value, low: point.low, high: point.high })),
  }));
}

function armsSentence(lines, { name, kind, onset }) {
  const parts = lines
    .filter((line) => line.points.length > 0)
    .map((line) => {
      const values = line.points.map((point) => point.value);
      return `${line.name}: between ${quantity(name, Math.min(...values), kind)} and ${quantity(name, Math.max(...values), kind)}, at the end ${quantity(name, values.at(-1), kind)}`;
    });
  return `${metricName(name)} over time. ${parts.join('. ')}.${onset === null ? '' : ` It began at ${clockOf(onset)}.`}`;
}

/** `alert` is null for a comparison that raised none. */
export function comparisonCharts({ comparison, series, looks, metric, alert, nowMs }) {
  const cursor = createCursor();
  const kind = comparison.results.find((result) => result.name === metric)?.kind ?? 'rate';
  const onset = alert === null ? null : Date.parse(alert.onset);
  const raised = alert === null ? null : Date.parse(alert.raised_at);
  const lines = armsLines(series, { kind, comparison });
  const from = series.from_ms;
  const to = series.to_ms;
  const marks = [
    { at: comparison.opened_ms, text: onset === null || Math.abs(onset - comparison.opened_ms) > (to - from) / 12 ? `${comparison.candidate} begins` : null, kind: 'faint' },
    ...(onset === null ? [] : [{ at: onset, text: `onset ${time(onset, nowMs)}`, kind: 'onset' }]),
  ];
  const points = looks.looks.map((look) => ({ at: look.at_ms, value: look.e_value, low: null, high: null }));
  const last = points.at(-1);
  const crossing = raised === null ? undefined : points.find((point) => point.at >= raised && point.value >= comparison.threshold) ?? points.find((point) => point.value >= comparison.threshold);
  const oneIn = Math.round(1 / comparison.alpha);
  return [
    timeChart({
      title: metricName(metric),
      note: isDistribution(kind) ? `${comparison.baseline} and ${comparison.candidate}: median, shaded up to the 95th percentile` : `${comparison.baseline} and ${comparison.candidate} on the same traffic, 95 % bands`,
      sentence: armsSentence(lines, { name: metric, kind, onset }),
      from,
      to,
      height: 172,
      lines,
      format: (value) => quantity(metric, value, kind),
      marks,
      cursor,
      key: 'arms',
    }),
    timeChart({
      title: `Evidence that ${comparison.candidate} is worse`,
      note: `odds against chance; 1 harmless rollout in ${oneIn} would ever reach the line, however long one looks`,
      sentence: `Evidence over time on a logarithmic axis. ${last === undefined ? 'No look yet.' : `Now ${odds(last.value)} to 1.`} The threshold is ${odds(comparison.threshold)} to 1.${crossing === undefined ? ' It was not reached.' : ` It was reached at ${clockOf(crossing.at)}.`}`,
      from,
      to,
      height: 124,
      lines: [{ name: 'odds', end: last === undefined ? '' : odds(last.value), tone: 'ink', stepMs: null, points }],
      format: odds,
      isLog: true,
      marks: marks.map((mark) => ({ ...mark, text: null })),
      threshold: { value: comparison.threshold, text: `${alert?.severity ?? 'page'} at ${odds(comparison.threshold)} : 1` },
      dot: crossing === undefined ? null : { at: crossing.at, value: crossing.value, text: `${alert === null ? 'reached' : alert.severity === 'page' ? 'paged' : 'raised'} ${time(crossing.at, nowMs)}` },
      cursor,
      key: 'evidence',
    }),
  ];
}

/** One row a metric; the button in a row's header shows that metric in the chart. */
export function resultsTable({ comparison, metric, onChoose }) {
  const rows = comparison.results.filter((result) => result.baseline.units > 0 || result.candidate.units > 0 || result.weight > 0);
  return h('div', null, scrolling(
    'All metrics of this comparison',
    h('table', { class: 'results' },
      h('caption', { class: 'unseen' }, `All metrics, ${comparison.candidate} against ${comparison.baseline}`),
      h('thead', null, h('tr', null,
        h('th', { scope: 'col' }, 'Metric'),
        h('th', { scope: 'col', class: 'number tone-a' }, comparison.baseline),
        h('th', { scope: 'col', class: `number tone-${candidateTone(comparison)}` }, comparison.candidate),
        h('th', { scope: 'col', class: 'number' }, 'Change'),
        h('th', { scope: 'col', class: 'wide' }, h('span', { class: 'ends' }, h('span', null, '◂ better'), h('span', { class: 'unseen' }, ' 95 % interval '), h('span', null, 'worse ▸'))),
        h('th', { scope: 'col' }, '95 % interval'),
        h('th', { scope: 'col', class: 'number' }, 'Odds'),
        h('th', { scope: 'col' }, 'Verdict'))),
      h('tbody', null, rows.map((result) => resultRow(result, { isShown: result.name === metric, onChoose })))),
  ), h('p', { class: 'mute legend' }, 'Change and interval are taken within the same model, route and time, and hold however often one looks. Grey is tolerated.', besideP95(rows)));
}

function resultRow(result, { isShown, onChoose }) {
  const { name, kind } = result;
  const shown = isDistribution(kind) ? 'p95' : 'value';
  const effect = result.effects.find((candidate) => candidate.kind === (isDistribution(kind) ? 'ratio_p95' : 'difference')) ?? null;
  const verdict = result.weight === 0 && result.verdict !== 'no_data' ? { text: result.verdict === 'not_worse' ? 'not worse' : 'shown only', tone: result.verdict === 'not_worse' ? 'ok' : 'mute' } : verdictOf(result.verdict);
  const flip = result.direction === 'up' ? 1 : -1;
  const badness = (value) => flip * (isDistribution(kind) ? Math.log(Math.max(value, 1e-9)) : value);
  const tolerated = isDistribution(kind) ? Math.log(result.tolerated) : result.tolerated;
  const interval = effect === null || effect.low === null || effect.high === null ? null : `${change(effect, effect.low, name, false)} to ${change(effect, effect.high, name)}`;
  return h('tr', { class: isShown ? 'shown' : null },
    h('th', { scope: 'row' }, h('button', { class: 'pick', type: 'button', 'aria-pressed': isShown ? 'true' : 'false', 'data-key': `metric ${name}`, title: 'Show in the chart', onclick: () => onChoose(name) }, metricName(name), isDistribution(kind) ? h('small', null, ' p95') : null)),
    h('td', { class: 'number' }, quantity(name, result.baseline[shown], kind)),
    h('td', { class: 'number' }, quantity(name, result.candidate[shown], kind)),
    h('td', { class: 'number' }, effect === null ? '–' : change(effect, effect.estimate, name)),
    h('td', { class: 'wide' }, effect === null ? null : intervalBar({ effect, badness, tolerated, tone: verdict.tone })),
    h('td', { class: 'mute' }, interval ?? 'no bound yet'),
    h('td', { class: 'number' }, result.weight === 0 ? h('span', { class: 'mute' }, '–') : odds(result.e_value)),
    h('td', null, h('b', { class: verdict.tone }, verdict.text)));
}

/** What regressed by its ranks shows in its mean, and not always in its p95. */
function besideP95(results) {
  const isWorse = ({ low, high }, direction) => (direction === 'up' ? (low ?? 0) > 1 : (high ?? 1) < 1);
  return results
    .filter(({ kind, verdict, weight, direction, effects, baseline, candidate }) => isDistribution(kind) && verdict === 'regressed' && weight > 0 && baseline.value > 0 && candidate.value !== null && !effects.some((effect) => effect.kind === 'ratio_p95' && isWorse(effect, direction)))
    .map(({ name, baseline, candidate }) => ` ${metricName(name)} is worse in its ranks: ${change({ kind: 'ratio' }, candidate.value / baseline.value, name)} in the mean, not at its p95.`);
}

/** Where it is worse. Null where all traffic is of one kind, or nothing was compared yet. */
export function slicesTable({ comparison, metric }) {
  const result = comparison.results.find(({ name }) => name === metric);
  const slices = result?.slices ?? [];
  if (slices.length === 0) return null;
  const { kind } = result;
  const named = slices.filter((slice) => slice.is_worse);
  const says = named.length === 0 ? 'nowhere proved by itself yet' : named.length === slices.length ? 'everywhere' : named.map((slice) => `${slice.dimension} ${slice.value}`).join(', ');
  return h('section', { class: 'slices' },
    h('h2', null, `Where ${metricName(metric).toLowerCase()} is worse`, h('small', null, ' ', says)),
    scrolling(
      'Where it is worse',
      h('table', { class: 'results' },
        h('thead', null, h('tr', null,
          h('th', { scope: 'col' }, 'Where'),
          h('th', { scope: 'col', class: 'number tone-a' }, comparison.baseline),
          h('th', { scope: 'col', class: `number tone-${candidateTone(comparison)}` }, comparison.candidate),
          h('th', { scope: 'col', class: 'number' }, 'Change'),
          h('th', { scope: 'col' }, '95 % interval'),
          h('th', { scope: 'col', class: 'number' }, 'Odds'),
          h('th', { scope: 'col' }, 'Here'))),
        h('tbody', null, slices.map((slice) => sliceRow(slice, { name: metric, kind })))),
    ),
    h('p', { class: 'mute legend' }, 'Of the places that are named worse, at most 5 % are expected to be harmless, however often one looks. Intervals are each for itself.'));
}

function sliceRow({ dimension, value, baseline, candidate, effect, e_value, is_worse }, { name, kind }) {
  const quantile = effect.kind === 'difference' ? null : h('small', null, ` ${effect.kind.slice('ratio_'.length)}`);
  const interval = effect.low === null || effect.high === null ? 'no bound yet' : `${change(effect, effect.low, name, false)} to ${change(effect, effect.high, name)}`;
  return h('tr', null,
    h('th', { scope: 'row' }, h('span', { class: 'mute' }, `${dimension} `), value === '' ? 'none' : value),
    h('td', { class: 'number' }, baseline.value === null ? '–' : quantity(name, baseline.value, kind)),
    h('td', { class: 'number' }, candidate.value === null ? '–' : quantity(name, candidate.value, kind)),
    h('td', { class: 'number' }, change(effect, effect.estimate, name), quantile),
    h('td', { class: 'mute' }, interval),
    h('td', { class: 'number' }, odds(e_value)),
    h('td', null, is_worse ? h('b', { class: 'bad' }, 'worse') : h('span', { class: 'mute' }, 'not proved')));
}

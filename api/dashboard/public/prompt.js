import { verdictOf, comparisonCharts, resultsTable } from './comparison.js';
import { timeChart, valueStrip } from './chart.js';
import { h, link, scrolling, stamp } from './element.js';
import { count, counted, duration, isFingerprint, metricName, odds, percent, quantity, versionName } from './format.js';
import { matrixSection } from './matrix.js';
import { readJson } from './request.js';
import { rolloutSection } from './rollout.js';
import { timelineSection } from './timeline.js';

const windows = [['1 h', 3_600_000], ['6 h', 21_600_000], ['24 h', 86_400_000], ['7 days', 604_800_000]];
/** Baseline blue; red only for what is proved worse; the others by turns. */
function toned(versions, comparisons) {
  const free = ['c', 'd', 'e', 'a'];
  const baseline = comparisons.find((comparison) => comparison.state === 'open')?.baseline ?? versions[0]?.version;
  const regressed = new Set(comparisons.filter((comparison) => comparison.alert_id !== null && comparison.factor === 'prompt_version').map((comparison) => comparison.candidate));
  return versions.map((version) => ({ ...version, tone: version.version === baseline ? 'a' : regressed.has(version.version) ? 'b' : (free.shift() ?? 'a') }));
}

export async function loadPrompt({ name, query, choice, nowMs }) {
  const windowMs = Number(query.get('window') ?? 86_400_000);
  const parameters = new URLSearchParams({ from: String(Math.max(0, Math.floor(nowMs - windowMs))) });
  if (query.get('environment') !== null) parameters.set('environment', query.get('environment'));
  const prompt = await readJson(`/v1/prompts/${encodeURIComponent(name)}?${parameters}`);
  const asked = choice.matrix ?? 'error_rate';
  const rolloutsThat = (state, limit) => readJson(`/v1/rollouts?${new URLSearchParams({ prompt: name, environment: prompt.environment, state, limit })}`).then(({ rollouts }) => rollouts, () => []);
  const [matrix, timeline, underWay, lapsed] = await Promise.all([
    readJson(`/v1/prompts/${encodeURIComponent(name)}/matrix?${new URLSearchParams({ metric: asked, environment: prompt.environment, from: parameters.get('from') })}`).catch((error) => ({ error })),
    readJson(`/v1/timeline?${new URLSearchParams({ prompt: name, limit: '30' })}`).catch(() => ({ events: [] })),
    rolloutsThat('under_way', '5'),
    rolloutsThat('lapsed', '1'),
  ]);
  const beside = { matrix, asked, events: timeline.events, rollouts: [...underWay, ...lapsed] };
  const watched = prompt.comparisons.find((comparison) => comparison.state === 'open') ?? null;
  if (watched === null) return { prompt, windowMs, found: null, metric: null, ...beside };
  const path = `/v1/comparisons/${encodeURIComponent(watched.id)}`;
  const [comparison, looks] = await Promise.all([readJson(path), readJson(`${path}/looks`)]);
  const metric = choice.metric ?? headlineOf(comparison);
  const series = await readJson(`${path}/series?metric=${encodeURIComponent(metric)}`);
  return { prompt, windowMs, found: { comparison, series, looks }, metric, ...beside };
}

/** What one looks at first: of what got worse that with the most evidence, else errors. */
function headlineOf({ results }) {
  const worse = results.filter(({ verdict }) => verdict === 'regressed').toSorted((one, other) => other.e_value - one.e_value);
  return worse[0]?.name ?? 'error_rate';
}

export function renderPrompt({ prompt, windowMs, found, metric, matrix, asked, events, rollouts }, { nowMs, choose, reload }) {
  const versions = toned(prompt.versions.slice(0, 4).toReversed(), prompt.comparisons);
  const older = prompt.versions.slice(4);
  const names = [...new Set(versions.flatMap((version) => version.metrics.map((one) => one.name)))];
  // Nobody needs a chart of a line at zero.
  const zeros = names.filter((name) => versions.every((version) => version.metrics.every((metric) => metric.name !== name || metric.value === 0)));
  const { comparison, series, looks } = found ?? { comparison: null };
  return {
    title: prompt.name,
    node: h('div', { class: 'prompt' },
      h('div', { class: 'top' },
        h('div', null, h('p', { class: 'crumb' }, link('/', null, 'Prompts')), h('h1', { tabindex: '-1' }, prompt.name), h('p', { class: 'lead' }, prompt.environment, ` · ${counted(prompt.calls, 'call')} in the last ${windows.find(([, ms]) => ms === windowMs)?.[0] ?? duration(windowMs)}`)),
        h('div', { class: 'filters' }, environmentLinks(prompt, windowMs), windowLinks(prompt, windowMs))),
      prompt.versions.some(({ version }) => isFingerprint(version)) ? h('p', { class: 'notice' }, 'Its version is unknown: nobody named one, and the fingerprint of its text stands for it. Set ', h('code', null, 'gen_ai.prompt.version'), ' on its spans.') : null,
      rollouts.map((rollout) => rolloutSection(rollout, { nowMs, reload })),
      prompt.versions.length === 0 ? h('p', { class: 'notice' }, 'No calls in this window.') : [
        comparison === null ? null : h('section', { class: 'watching' },
          h('h2', null, `${versionName(comparison.candidate)} against ${versionName(comparison.baseline)} `, h('b', { class: verdictOf(comparison.verdict).tone }, verdictOf(comparison.verdict).text)),
          h('p', { class: 'mute' }, 'Compared within the same model, route and minute, since ', stamp(comparison.opened_ms, nowMs), `. Evidence ${odds(comparison.e_value)} : 1, alert at ${odds(comparison.threshold)} : 1. `, comparison.alert_id === null ? null : link(`/alerts/${encodeURIComponent(comparison.alert_id)}`, null, 'The alert')),
          h('div', { class: 'pair' }, comparisonCharts({ comparison, series, looks, metric, alert: null, nowMs })),
          resultsTable({ comparison, metric, onChoose: (name) => choose({ metric: name }) })),
        h('section', null,
          h('h2', null, 'Versions side by side ', h('small', null, 'each by itself, over all its traffic: two intervals that overlap decide nothing')),
          versionTable(versions, names, nowMs)),
        matrixSection({ matrix, metric: asked, names, onChoose: (name) => choose({ matrix: name }) }),
        prompt.versions.length < 2 ? null : h('p', null, link(`/compare?${new URLSearchParams({ prompt: prompt.name, environment: prompt.environment, a: prompt.versions[1].version, b: prompt.versions[0].version, metric: asked })}`, null, 'Compare any two versions, models or periods')),
        older.length === 0 ? null : h('p', { class: 'mute' }, 'Earlier: ', older.map((version, index) => `${index === 0 ? '' : ', '}${versionName(version.version)} (${counted(version.calls, 'call')})`), prompt.version_count > prompt.versions.length ? `, and ${count(prompt.version_count - prompt.versions.length)} more` : null),
        h('section', null,
          h('h2', null, 'Over time ', h('small', null, '95 % bands; latency and other amounts: median, shaded up to the 95th percentile')),
          h('div', { class: 'multiples' }, names.filter((name) => !zeros.includes(name)).map((name) => multiple(name, { prompt, versions }))),
          zeros.length === 0 ? null : h('p', { class: 'mute' }, `Zero in every version, all the time: ${zeros.map(metricName).join(', ')}.`)),
      ],
      timelineSection(events, nowMs)),
  };
}

function environmentLinks(prompt, windowMs) {
  // The address may name one where nothing of the prompt was seen; then the one that has calls is a click away.
  if (prompt.environments.length < 2 && prompt.environments.includes(prompt.environment)) return null;
  return h('nav', { class: 'segments', 'aria-label': 'Environment' }, prompt.environments.map((environment) => link(`/prompts/${encodeURIComponent(prompt.name)}?environment=${encodeURIComponent(environment)}&window=${windowMs}`, { 'aria-current': environment === prompt.environment ? 'true' : null }, environment)));
}

function windowLinks(prompt, windowMs) {
  return h('nav', { class: 'segments', 'aria-label': 'Time window' }, windows.map(([text, ms]) => link(`/prompts/${encodeURIComponent(prompt.name)}?environment=${encodeURIComponent(prompt.environment)}&window=${ms}`, { 'aria-current': ms === windowMs ? 'true' : null }, text)));
}

function versionTable(versions, names, nowMs) {
  return scrolling('Versions side by side',
    h('table', { class: 'versions' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Metric'), versions.map((version) => h('th', { scope: 'col', class: `tone-${version.tone}` }, versionName(version.version))), h('th', { scope: 'col' }, h('span', { class: 'unseen' }, 'Intervals as a picture')))),
      h('tbody', null,
        h('tr', null, h('th', { scope: 'row' }, 'Calls'), versions.map((version) => h('td', null, count(version.calls), h('small', null, ` since `, stamp(version.first_seen_ms, nowMs)))), h('td', null)),
        names.map((name) => {
          const found = versions.map((version) => version.metrics.find((metric) => metric.name === name) ?? null);
          const rows = found.flatMap((metric, index) => (metric === null || metric.value === null ? [] : [{ value: metric.value, low: metric.low, high: metric.high, tone: versions[index].tone }]));
          const kind = found.find((metric) => metric !== null)?.kind;
          return h('tr', null,
            h('th', { scope: 'row' }, metricName(name), kind === 'distribution' ? h('small', null, ' mean') : null),
            found.map((metric) => h('td', null, metric === null ? '–' : [quantity(name, metric.value, kind), h('small', null, metric.low === null ? ` n ${count(metric.n)}` : ` ${quantity(name, metric.low, kind)} to ${quantity(name, metric.high, kind)}`, kind === 'distribution' && (name === 'latency' || name === 'ttft') ? h('span', { class: 'quantiles' }, `p50 ${quantity(name, metric.p50)}, p95 ${quantity(name, metric.p95)}`) : null)])),
            h('td', null, valueStrip(rows)));
        }))));
}

function multiple(name, { prompt, versions }) {
  const kind = versions.flatMap((version) => version.metrics).find((metric) => metric.name === name)?.kind;
  const lines = versions.map((version) => ({
    name: versionName(version.version),
    tone: version.tone,
    stepMs: prompt.step_seconds * 1000,
    points: (version.series[name] ?? []).map((point) => (kind === 'distribution' ? { at: point.at_ms + prompt.step_seconds * 500, value: point.p50, low: point.p50, high: point.p95 } : { at: point.at_ms + prompt.step_seconds * 500, value: point.value, low: point.low, high: point.high })),
  }));
  const times = versions.flatMap((version) => Object.values(version.series).flatMap((points) => points.map((point) => point.at_ms + prompt.step_seconds * 500)));
  const from = Math.min(...times);
  const to = Math.max(...times);
  return timeChart({
    title: metricName(name),
    sentence: `${metricName(name)} of each version over time. ${lines.filter((line) => line.points.length > 0).map((line) => `${line.name}: lately ${quantity(name, line.points.at(-1).value, kind)}`).join(', ')}.`,
    from,
    to: to === from ? from + prompt.step_seconds * 1000 : to,
    height: 132,
    lines,
    format: (value) => (kind === 'rate' ? percent(value) : quantity(name, value, kind)),
    isSmall: true,
    level: 'h3',
    key: `multiple ${name}`,
  });
}

import { comparisonCharts, resultsTable, slicesTable } from './comparison.js';
import { changedAround, changedText, culprit, mixCard } from './culprit.js';
import { card, h, link, stamp } from './element.js';
import { change, count, duration, factorName, metricName, odds, quantity, time } from './format.js';
import { rollbackButton, rollbackState } from './rollback.js';
import { act, ask, readJson } from './request.js';
import { askSilence, silenceList } from './silence.js';
import { renderFault } from './fault.js';

/** The page that a person is woken for, in the order of the questions: what, since when, who, how sure, who not, what to do. */

/** The sentence up to its figures, which stand in the line below; the summary itself where it has another shape. */
export function headline(alert) {
  const short = alert.summary.replace(/\s*\([^()]*\)/, '').replace(/,? since \d\d:\d\d( UTC)?$/, '');
  return short.length > 8 ? short : alert.summary;
}

export function chip(alert, nowMs) {
  const since = duration(nowMs - Date.parse(alert.raised_at));
  const text = alert.state === 'open' ? `${alert.severity} · open ${since}` : alert.state === 'acknowledged' ? `${alert.severity} · acknowledged` : 'resolved';
  return h('span', { class: `chip ${alert.state === 'resolved' ? 'ok' : alert.severity === 'page' ? 'bad' : 'mid'}` }, text);
}

/** A fault of Culprit itself: nothing is compared, and nobody accused. */
export function isFault(alert) {
  return alert.culprit.factor === 'pipeline';
}

/** A model or provider that moved on several prompts at once, or a prompt that got worse by itself or by its traffic: no two values are compared. */
function isWatch(alert) {
  return alert.prompt === null || alert.culprit.baseline === 'the hour before';
}

export async function loadAlert({ id, choice }) {
  const alert = await readJson(`/v1/alerts/${encodeURIComponent(id)}`);
  const metric = choice.metric ?? alert.metric;
  const path = `/v1/comparisons/${encodeURIComponent(alert.comparison_id)}`;
  // A watch over a model compares no two arms; what is known of it is in the alert itself.
  const around = readJson(`/v1/alerts/${encodeURIComponent(id)}/changes`).catch((error) => ({ error }));
  const known = alert.prompt === null ? { versions: [] } : readJson(`/v1/versions?${new URLSearchParams({ prompt: alert.prompt, environment: alert.environment, limit: '200' })}`).catch(() => ({ versions: [] }));
  const status = readJson('/v1/status').catch(() => ({ trace_url: null }));
  const found = isWatch(alert) || isFault(alert) ? null : await Promise.all([readJson(path), readJson(`${path}/series?metric=${encodeURIComponent(metric)}`), readJson(`${path}/looks`)]).catch((error) => ({ error }));
  return { alert, metric, found, around: await around, versions: (await known).versions, traceUrl: (await status).trace_url ?? null };
}

export function renderAlert({ alert, metric, found, around, versions, traceUrl }, { nowMs, choose, reload }) {
  if (isFault(alert)) return renderFault(alert, { traceUrl, nowMs, reload });
  const [comparison, series, looks] = Array.isArray(found) ? found : [null, null, null];
  return {
    title: headline(alert),
    node: h('div', { class: 'alert' },
      top(alert, { nowMs, reload }),
      h('div', { class: 'evidence' },
        comparison === null
          ? found === null ? beforeAndSince(alert) : h('p', { class: 'notice' }, `The comparison cannot be read: ${found.error.message}`)
          : [comparisonCharts({ comparison, series, looks, metric, alert, nowMs }), resultsTable({ comparison, metric, onChoose: (name) => choose({ metric: name }) }), slicesTable({ comparison, metric })]),
      h('aside', { 'aria-label': 'Who did it, who did not, and examples' }, culprit(alert, { versions, nowMs }), mixCard(alert), innocent(alert), examples(alert, traceUrl), changedText(alert, { versions }), changedAround(alert, around, nowMs), certainty(alert, { comparison, nowMs })),
      h('div', { class: 'since' }, history(alert, nowMs), told(alert, nowMs)),
    ),
  };
}

function beforeAndSince({ evidence, metric, prompt, culprit: who }) {
  const { effect, baseline, candidate } = evidence;
  const kind = effect.kind === 'difference' ? undefined : 'distribution';
  const row = (name, tone, arm) => h('tr', null, h('th', { scope: 'row' }, name), h('td', { class: `number ${tone}` }, arm.value === null ? '–' : quantity(metric, arm.value, kind)), h('td', { class: 'number' }, count(arm.units)));
  return h('section', null,
    h('h2', null, metricName(metric), h('small', null, prompt !== null ? ` of ${prompt}, against its own hour before` : ` on all prompts that ask for ${who.value}, against their own hour before`)),
    h('table', null,
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'When'), h('th', { scope: 'col', class: 'number' }, metricName(metric)), h('th', { scope: 'col', class: 'number' }, 'Units'))),
      h('tbody', null, row('Before', 'tone-a', baseline), row('Since the onset, when it was found', 'tone-b', candidate))),
    h('p', { class: 'mute' }, `Change ${change(effect, effect.estimate, metric)}, from ${change(effect, effect.low, metric)} to ${change(effect, effect.high, metric)} with 95 % confidence.`));
}

/** What the figures of an alert are of: "error rate", "latency p95". */
export function measured({ metric, evidence }) {
  return `${metricName(metric).toLowerCase()}${evidence.effect.kind === 'difference' ? '' : ` ${evidence.effect.kind.slice('ratio_'.length)}`}`;
}

function top(alert, { nowMs, reload }) {
  const { evidence, metric, culprit: who } = alert;
  const onset = Date.parse(alert.onset);
  const kind = evidence.effect.kind === 'difference' ? undefined : 'distribution';
  const name = measured(alert);
  const figures = evidence.candidate.value === null || evidence.baseline.value === null
    ? [h('b', null, change(evidence.effect, evidence.effect.estimate, metric)), ` ${name}`]
    : [h('b', { class: 'tone-b' }, quantity(metric, evidence.candidate.value, kind)), ` ${name} against `, h('b', { class: 'tone-a' }, quantity(metric, evidence.baseline.value, kind))];
  return h('div', { class: 'top' },
    h('div', null,
      h('p', { class: 'crumb' }, chip(alert, nowMs), h('span', { class: 'mute' }, ` ${alert.environment}`)),
      h('h1', { tabindex: '-1' }, headline(alert)),
      h('p', { class: 'lead' }, figures, ', since ', h('b', null, stamp(onset, nowMs)), `. Found ${duration(Date.parse(alert.raised_at) - onset)} later`, who.factor === 'unknown' ? '.' : `; ${count(evidence.candidate.units)} units have met ${who.factor === 'mix' ? 'it' : who.value}.`),
      rollbackState(alert, { nowMs, reload }),
      alert.recovery === undefined ? null : h('p', { class: `lead ${RECOVERY[alert.recovery].tone}` }, RECOVERY[alert.recovery].text(alert)),
      alert.silences.length === 0 ? null : h('div', { class: 'notice' }, h('b', null, 'Silenced'), silenceList(alert.silences, { nowMs, end: (silence) => endSilence(silence, reload) }))),
    actions(alert, reload));
}

/** What the test of the metric said once the culprit took no more traffic. */
const RECOVERY = {
  recovered: { tone: 'ok', text: ({ metric, culprit: who }) => `Tested before it was closed: without ${who.value}, ${metricName(metric).toLowerCase()} recovered.` },
  not_recovered: { tone: 'bad', text: ({ metric, state, culprit: who }) => `Tested${state === 'resolved' ? ' before it was closed' : ''}: without ${who.value}, ${metricName(metric).toLowerCase()} did not recover. It was not the culprit, or not alone.` },
  unknown: { tone: 'mid', text: ({ metric }) => `Tested before it was closed: too little traffic since then to tell whether ${metricName(metric).toLowerCase()} recovered.` },
};

export function endSilence(silence, reload) {
  ask({
    title: 'End this silence',
    text: 'What it held back and is still open is told now.',
    label: 'Why does it end?',
    submit: 'End',
    onSubmit: async (reason) => {
      try {
        await act(`/v1/silences/${encodeURIComponent(silence.id)}/end`, { reason });
        await reload();
      } catch (error) {
        document.getElementById('announcement').textContent = `Not done: ${error.message}`;
      }
    },
  });
}

export function actions(alert, reload) {
  const message = h('p', { class: 'mute', role: 'status' });
  const send = async (action, body) => {
    message.textContent = 'Sending…';
    try {
      await act(`/v1/alerts/${encodeURIComponent(alert.id)}/${action}`, body);
      await reload();
    } catch (error) {
      message.textContent = `Not done: ${error.message}`;
    }
  };
  if (alert.state === 'resolved') return h('div', { class: 'actions' }, h('p', { class: 'mute' }, `Resolved${alert.transitions.at(-1)?.by ? ` by ${alert.transitions.at(-1).by}` : ''}. ${alert.transitions.at(-1)?.reason ?? ''}`));
  return h('div', { class: 'actions' },
    h('div', { class: 'buttons' },
      rollbackButton(alert, reload),
      alert.state === 'open' ? h('button', { type: 'button', class: alert.can_roll_back ? null : 'go', 'data-key': 'acknowledge', onclick: () => send('acknowledge', {}) }, 'Acknowledge') : null,
      h('button', { type: 'button', 'data-key': 'silence', onclick: () => askSilence(alert, reload) }, 'Silence…'),
      h('button', { type: 'button', 'data-key': 'resolve', onclick: () => ask({
        title: 'Resolve this alert',
        text: isFault(alert) ? 'The reason is kept. If it is still so in 24 hours, a new alert opens.' : `The reason is kept. If ${alert.culprit.value} gets worse again, a new alert opens.`,
        label: 'Why is it resolved?',
        submit: 'Resolve',
        onSubmit: (reason) => send('resolve', { reason }),
      }) }, 'Resolve…')),
    message);
}

function innocent(alert) {
  if (alert.exonerated.length === 0) return card('Innocent', null, h('p', { class: 'mute' }, alert.evidence.grade === 'alone' ? 'Nobody could be ruled out: there was nothing to compare with.' : 'Nobody could be ruled out.'));
  return card('Innocent', null, h('ul', { class: 'innocent' }, alert.exonerated.map((one) =>
    h('li', null, h('span', { class: 'ok', 'aria-hidden': 'true' }, '✓'), h('div', null, h('b', null, one.value), ' ', h('span', { class: 'mute' }, factorName(one.factor), ': ', one.reason, one.e_value === null ? '' : ` (odds ${odds(one.e_value)})`))))));
}

/** The user's own trace viewer, where it is configured; else the record of the call. */
function traceLink({ trace_id, span_id }, traceUrl) {
  const short = h('code', null, `${trace_id.slice(0, 4)}…${trace_id.slice(-3)}`);
  if (traceUrl === null) return link(`/v1/calls?trace_id=${encodeURIComponent(trace_id)}`, { class: 'trace', title: `The call in trace ${trace_id}` }, short);
  const address = traceUrl.replaceAll('{trace_id}', encodeURIComponent(trace_id)).replaceAll('{span_id}', encodeURIComponent(span_id));
  return link(address, { class: 'trace', title: `Trace ${trace_id} in your viewer` }, short, ' ↗');
}

export function examples(alert, traceUrl) {
  const query = new URLSearchParams({ ...(alert.prompt === null ? {} : { prompt_name: alert.prompt }), ...(alert.prompt_version === null ? {} : { prompt_version: alert.prompt_version }), ...(alert.metric === 'error_rate' ? { is_error: 'true' } : {}), from: alert.onset });
  return card('Example calls', null,
    alert.examples.length === 0 ? h('p', { class: 'mute' }, 'None was kept.') : h('ul', { class: 'examples' }, alert.examples.slice(0, 8).map((one) => h('li', null, traceLink(one, traceUrl), h('span', null, one.why)))),
    h('p', { class: 'after' }, link(`/v1/calls?${query}`, null, alert.metric === 'error_rate' ? 'All failed calls since then' : 'All its calls since then')));
}

const grades = {
  concurrent: 'Both arms ran at the same time, on the same kinds of traffic.',
  before_after: 'A full cutover: later traffic against earlier, checked against prompts that did not change.',
  alone: 'There was no control. Weak: something else may have moved.',
};

function certainty(alert, { comparison, nowMs }) {
  const { evidence } = alert;
  const renewed = alert.transitions.findLast(({ event }) => event === 'updated');
  const facts = [
    ['evidence', `${odds(evidence.e_value)} : 1 ${renewed === undefined ? 'when raised' : `at ${time(renewed.at_ms, nowMs)}`}${comparison === null || comparison.e_value === null ? '' : `, now ${odds(comparison.e_value)} : 1`}`],
    ['false alarms', isWatch(alert) ? `one a month is to be expected at most, over all ${alert.prompt === null ? 'models and providers' : 'prompts'}` : `at most 1 harmless rollout in ${Math.round(1 / evidence.alpha)}, ever`],
    ['units', `${count(evidence.baseline.units)} and ${count(evidence.candidate.units)}`],
    ...(comparison === null ? [] : [['strata', count(comparison.results.reduce((sum, result) => Math.max(sum, result.strata), 0))], ['last look', comparison.last_look_ms === null ? 'none' : stamp(comparison.last_look_ms, nowMs)]]),
  ];
  return card('How sure', evidence.grade,
    h('p', { class: 'mute' }, alert.prompt === null ? 'Several prompts moved at the same time, each against its own hour before; it holds with any one of them left out.' : isWatch(alert) ? (evidence.grade === 'alone' ? grades.alone : 'It moved against its own hour before, and other prompts on its model did not.') : grades[evidence.grade]),
    h('dl', { class: 'facts' }, facts.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value)))),
    alert.comparison_id === '' ? null : h('p', null, link(`/v1/comparisons/${encodeURIComponent(alert.comparison_id)}/evidence`, { download: `evidence-${alert.comparison_id}.json` }, 'Evidence file'), h('span', { class: 'mute' }, ', recompute with '), h('code', null, 'culprit verify')));
}

export function history(alert, nowMs) {
  return h('section', { class: 'past' }, h('h2', null, 'History'), h('ol', null, alert.transitions.map((one) =>
    h('li', null, stamp(one.at_ms, nowMs), h('b', null, one.event), h('span', { class: 'mute' }, [one.by, one.reason].filter((part) => part !== '').join(': '))))));
}

const outcomes = { delivered: 'told', retry: 'tried again', failed: 'given up', withheld: 'not told', postponed: 'later' };

function told(alert, nowMs) {
  if (alert.told.length === 0) return null;
  return h('section', { class: 'past' }, h('h2', null, 'Who was told'), h('ol', null, alert.told.map((one) =>
    h('li', null, stamp(one.at_ms, nowMs), h('b', null, one.sink), h('span', { class: one.outcome === 'failed' ? 'bad' : one.outcome === 'retry' ? 'mid' : null }, outcomes[one.outcome]), h('span', { class: 'mute' }, one.until_ms === null ? one.detail : [`at ${time(one.until_ms, nowMs)}, ${one.detail}`])))));
}

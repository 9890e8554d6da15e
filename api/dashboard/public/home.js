import { chip, endSilence, headline, isFault, measured } from './alert.js';
import { sparkline } from './chart.js';
import { h, link, s, scrolling, stamp } from './element.js';
import { change, count, counted, duration, odds, percent, quantity, tick, versionName } from './format.js';
import { firstRun, firstSpan } from './first-run.js';
import { readJson } from './request.js';
import { readSilences, silenceList } from './silence.js';

/** What the API lists where nobody asks for more. */
const mostPrompts = 200;

export async function loadHome({ choice }) {
  const [{ alerts: open }, { alerts: acknowledged }, overview] = await Promise.all([readJson('/v1/alerts?state=open'), readJson('/v1/alerts?state=acknowledged'), readJson('/v1/prompts')]);
  const isEmpty = overview.prompts.length === 0 && overview.unattributed_calls === 0 && open.length === 0;
  // A page that was empty shows the first call itself, so that one sees what was understood of it.
  if (isEmpty) choice.wasEmpty = true;
  const [ledger, status, latest] = await Promise.all([isEmpty ? readJson('/v1/ledger') : null, isEmpty ? readJson('/v1/status') : null, !isEmpty && choice.wasEmpty ? readJson('/v1/calls?limit=1') : null]);
  return { alerts: [...open.toSorted(pagesFirst), ...acknowledged.toSorted(pagesFirst)], overview, isEmpty, ledger, status, first: latest?.calls[0] ?? null };
}

/** Newest first otherwise, as the API lists them. */
const pagesFirst = (one, other) => Number(other.severity === 'page') - Number(one.severity === 'page');

export function renderHome({ alerts, overview, isEmpty, ledger, status, first }, { nowMs }) {
  if (isEmpty) return { title: 'Waiting for the first span', node: firstRun({ ledger, status, nowMs }) };
  const open = alerts.filter((alert) => alert.state === 'open');
  const title = open.length === 0 ? (alerts.length === 0 ? 'No open alerts' : `No open alerts, ${alerts.length} acknowledged`) : open.length === 1 ? '1 open alert' : `${open.length} open alerts`;
  const watched = overview.open_comparisons;
  return {
    title: open.length === 0 ? 'Overview' : title,
    node: h('div', { class: 'home' },
      h('h1', { tabindex: '-1' }, title),
      h('p', { class: 'lead' }, `${overview.prompts.length >= mostPrompts ? `The ${mostPrompts} busiest prompts` : counted(overview.prompts.length, 'prompt')} in the last ${duration(overview.to_ms - overview.from_ms)}: ${counted(overview.prompts.reduce((sum, prompt) => sum + prompt.calls, 0), 'call')}, ${watched === 0 ? 'no comparison open' : `${counted(watched, 'comparison')} open`}.`),
      first === null ? null : firstSpan(first),
      alerts.length === 0 ? null : h('section', { class: 'alerts', 'aria-label': 'Open alerts' }, alerts.map((alert) => alertRow(alert, nowMs))),
      overview.prompts.length === 0 ? null : h('section', null, h('h2', null, 'Prompts'), promptTable(overview, nowMs)),
      overview.unattributed_calls === 0 ? null : h('p', { class: 'notice' }, `${counted(overview.unattributed_calls, 'call')} without a prompt name: no version can be compared there. Set `, h('code', null, 'gen_ai.prompt.name'), ' and ', h('code', null, 'gen_ai.prompt.version'), ' on their spans.')),
  };
}

export function alertRow(alert, nowMs) {
  if (isFault(alert)) {
    return h('article', { class: `card alert-row ${alert.state}` },
      chip(alert, nowMs),
      h('h2', null, link(`/alerts/${encodeURIComponent(alert.id)}`, null, headline(alert))),
      h('p', { class: 'mute' }, 'A fault of Culprit itself, since ', stamp(Date.parse(alert.onset), nowMs), `, ${alert.environment}`));
  }
  const { evidence, metric } = alert;
  const onset = Date.parse(alert.onset);
  const kind = evidence.effect.kind === 'difference' ? undefined : 'distribution';
  return h('article', { class: `card alert-row ${alert.state}` },
    chip(alert, nowMs),
    h('h2', null, link(`/alerts/${encodeURIComponent(alert.id)}`, null, headline(alert))),
    h('p', null,
      evidence.candidate.value === null || evidence.baseline.value === null ? change(evidence.effect, evidence.effect.estimate, metric) : [h('b', { class: 'tone-b' }, quantity(metric, evidence.candidate.value, kind)), ' against ', h('b', { class: 'tone-a' }, quantity(metric, evidence.baseline.value, kind))],
      h('span', { class: 'mute' }, ` ${measured(alert)}, since `, stamp(onset, nowMs), `, odds ${odds(evidence.e_value)} : 1${alert.culprit.owner === null ? '' : `, owner ${alert.culprit.owner}`}, ${alert.environment}`)));
}

function promptTable(overview, nowMs) {
  const environments = new Set(overview.prompts.map((prompt) => prompt.environment));
  return scrolling('Prompts',
    h('table', { class: 'prompts' },
      h('thead', null, h('tr', null,
        h('th', { scope: 'col' }, 'Prompt'),
        h('th', { scope: 'col' }, 'State'),
        h('th', { scope: 'col' }, 'Versions ', h('small', null, 'by calls')),
        h('th', { scope: 'col' }, 'Calls a minute'),
        h('th', { scope: 'col', class: 'number' }, 'Errors'),
        h('th', { scope: 'col', class: 'number' }, 'p95'),
        h('th', { scope: 'col', class: 'number' }, 'Last call'))),
      h('tbody', null, overview.prompts.map((prompt) => promptRow(prompt, { overview, nowMs, environments })))));
}

function promptRow(prompt, { overview, nowMs, environments }) {
  const path = `/prompts/${encodeURIComponent(prompt.name)}${environments.size > 1 ? `?environment=${encodeURIComponent(prompt.environment)}` : ''}`;
  const firstUsed = prompt.calls_over_time.findIndex((calls) => calls > 0);
  // From the first call on: an hour of traffic is not a spike at the end of an empty day.
  const begun = prompt.calls_over_time.slice(Math.max(0, firstUsed));
  // The last step is not over yet: it says nothing of the course, and of the rate only once it has lasted.
  const series = begun.length > 2 ? begun.slice(0, -1) : begun;
  const minutes = ((nowMs / 1000) % overview.step_seconds) / 60;
  const rate = minutes >= 10 ? (begun.at(-1) ?? 0) / minutes : (series.at(-1) ?? 0) / (overview.step_seconds / 60);
  return h('tr', null,
    h('th', { scope: 'row' }, link(path, { class: 'name' }, prompt.name), environments.size > 1 ? h('small', null, ` ${prompt.environment}`) : null),
    h('td', null, stateOf(prompt)),
    h('td', null, versionShares(prompt)),
    h('td', { class: 'calls' }, sparkline(series.length > 1 ? series : [0, ...series], `Calls over time, lately ${rate.toFixed(1)} a minute`), h('span', null, rate >= 10 ? count(rate) : rate.toFixed(1))),
    h('td', { class: 'number' }, percent(prompt.error_rate)),
    h('td', { class: 'number' }, quantity('latency', prompt.latency_p95_ms)),
    h('td', { class: 'number mute' }, nowMs - prompt.last_seen_ms < 90_000 ? 'now' : `${duration(nowMs - prompt.last_seen_ms)} ago`));
}

/** The share of calls of each version as one bar; names of the two largest, the newest always among them. */
function versionShares(prompt) {
  const known = prompt.versions.toSorted((one, other) => other.calls - one.calls);
  const newest = prompt.versions[0];
  const named = [...new Set([newest, ...known])].slice(0, 3);
  let x = 0;
  const regressed = new Set(prompt.comparisons.filter((comparison) => comparison.alert_id !== null).map((comparison) => comparison.candidate));
  const others = prompt.versions.length === 1 ? ['a'] : ['c', 'a', 'd'];
  const tones = named.map((version, index) => (regressed.has(version.version) ? 'b' : others[index]));
  return h('div', { class: 'shares' },
    s('svg', { width: 72, height: 8, viewBox: '0 0 72 8', 'aria-hidden': 'true' }, named.map((version, index) => {
      const width = (version.calls / Math.max(1, prompt.calls)) * 72;
      const bar = s('rect', { class: `tone-${tones[index]} share`, x, width: Math.max(1, width - 1), height: 8, rx: 1.5 });
      x += width;
      return bar;
    })),
    h('span', null, named.map((version, index) => [index === 0 ? null : ', ', h('b', { class: `tone-${tones[index]}` }, versionName(version.version)), h('small', null, ` ${tick(percent(version.calls / Math.max(1, prompt.calls)))}`)]), prompt.version_count > named.length ? h('small', null, ` and ${count(prompt.version_count - named.length)} more`) : null));
}

function stateOf(prompt) {
  const worst = prompt.comparisons.find((comparison) => comparison.alert_id !== null) ?? prompt.comparisons[0];
  if (worst === undefined) return h('span', { class: 'mute' }, prompt.versions.length === 1 ? 'one version' : 'steady');
  const pair = `${versionName(worst.candidate)} against ${versionName(worst.baseline)}`;
  if (worst.alert_id !== null) return link(`/alerts/${encodeURIComponent(worst.alert_id)}`, { class: 'state bad' }, h('b', null, 'regressed'), h('small', null, ` ${pair}`));
  return h('span', { class: 'state' }, meter(worst), h('span', null, `watching ${pair}`, h('small', null, ` odds ${odds(worst.e_value)} of ${odds(worst.threshold)}`)));
}

/** How far the evidence is on its way to the threshold, on the log axis that it moves on. */
function meter({ e_value, threshold }) {
  const share = e_value === null || e_value <= 1 ? 0 : Math.min(1, Math.log(e_value) / Math.log(threshold));
  return s('svg', { class: 'meter', width: 34, height: 8, viewBox: '0 0 34 8', 'aria-hidden': 'true' }, s('rect', { class: 'track', width: 34, height: 8, rx: 2 }), s('rect', { class: 'fill', width: Math.max(share * 34, share > 0 ? 2 : 0), height: 8, rx: 2 }));
}

export async function loadAlerts() {
  const [listed, silences] = await Promise.all([readJson('/v1/alerts?limit=200'), readSilences()]);
  return { ...listed, silences };
}

export function renderAlerts({ alerts, unreadable, silences }, { nowMs, reload }) {
  return {
    title: 'Alerts',
    node: h('div', { class: 'home' },
      h('h1', { tabindex: '-1' }, 'Alerts'),
      silences.length === 0 ? null : h('section', { class: 'card', 'aria-label': 'Silences' }, h('h2', null, 'Silences'), silenceList(silences, { nowMs, end: (silence) => endSilence(silence, reload) })),
      unreadable === 0 ? null : h('p', { class: 'notice' }, `${unreadable} stored alerts cannot be read by this version.`),
      alerts.length === 0 ? h('p', { class: 'mute' }, 'None was ever raised. An alert opens when a version is proved worse than the one before it.') : h('section', { class: 'alerts', 'aria-label': 'All alerts, newest first' }, alerts.map((alert) => alertRow(alert, nowMs)))),
  };
}

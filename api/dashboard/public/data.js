import { h, s, scrolling } from './element.js';
import { count, counted, percent, quantity } from './format.js';
import { readJson } from './request.js';

const outcomes = [
  ['stored', 'Stored', 'a call, a score or a span around one'],
  ['duplicate', 'Duplicate', 'sent again, kept once'],
  ['ignored', 'Ignored', 'understood and not needed, by reason'],
  ['rejected', 'Rejected', 'malformed, or unstorable; the sender was told'],
  ['waiting', 'Waiting', 'stored, for a relative that may still come (30 s)'],
];

export async function loadData() {
  const [ledger, audit, quality] = await Promise.all([readJson('/v1/ledger'), readJson('/v1/audit'), readJson('/v1/quality')]);
  return { ...ledger, audit, quality };
}

export function renderData(ledger) {
  const title = ledger.received === 0 ? 'Nothing has been received yet' : ledger.balanced ? 'Every span is accounted for' : `${count(Math.abs(ledger.difference))} ${Math.abs(ledger.difference) === 1 ? 'span is' : 'spans are'} not accounted for`;
  return {
    title: 'Data',
    node: h('div', { class: 'data' },
      h('h1', { tabindex: '-1', class: ledger.balanced ? null : 'bad' }, title),
      h('p', { class: 'lead' }, h('b', null, count(ledger.received)), ' spans and log records received = ', outcomes.map(([key, name], index) => [index === 0 ? '' : ' + ', h('b', null, count(ledger[key])), ` ${name.toLowerCase()}`]), ledger.balanced ? '.' : [h('b', { class: 'bad' }, ` ${ledger.difference > 0 ? '+' : '−'} ${count(Math.abs(ledger.difference))} unaccounted`), '.']),
      ledger.received === 0 ? null : stackedBar(ledger),
      scrolling('What became of everything',
        h('table', { class: 'ledger' },
          h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Outcome'), h('th', { scope: 'col' }, 'Reason'), h('th', { scope: 'col' }, 'Signal'), h('th', { scope: 'col', class: 'number' }, 'Count'), h('th', { scope: 'col', class: 'number' }, 'Share'))),
          outcomes.map(([key, name, text]) => h('tbody', null,
            h('tr', { class: 'total' }, h('th', { scope: 'row' }, h('span', { class: `key key-${key}`, 'aria-hidden': 'true' }), name), h('td', { class: 'mute' }, text), h('td', null), h('td', { class: 'number' }, h('b', null, count(ledger[key]))), h('td', { class: 'number' }, ledger.received === 0 ? '–' : percent(ledger[key] / ledger.received))),
            (ledger.by_outcome[key] ?? []).map((entry) => h('tr', null, h('td', null), h('td', null, entry.reason === '' ? '–' : entry.reason), h('td', { class: 'mute' }, entry.signal), h('td', { class: 'number' }, count(entry.count)), h('td', { class: 'number mute' }, ledger.received === 0 ? '–' : percent(entry.count / ledger.received)))))))),
      qualitySection(ledger.quality, ledger.scores),
      auditLine(ledger.audit),
      parkedLine(ledger.parked),
      h('p', { class: 'mute' }, 'Counted in durable rows, written with the data itself. ', h('a', { href: '/v1/ledger' }, 'As JSON'), ' · ', h('a', { href: '/openapi.json' }, 'API'))),
  };
}

/** What all else rests on: tags, and how late calls come. */
function qualitySection(quality, scores) {
  const share = (part) => (quality.calls === 0 ? '–' : percent(part / quality.calls));
  const judged = scores.joined + scores.pending + scores.ambiguous + scores.not_compared;
  const rows = [
    ['Without a prompt name', share(quality.unnamed), 'nothing is compared there', quality.unnamed],
    ['Without a version', share(quality.unversioned), 'their versions cannot be told apart', quality.unversioned],
    ['Naming several prompts', share(quality.ambiguous), 'kept, and compared with nothing', quality.ambiguous],
    ['Past the limit of versions', share(quality.over_limit), 'filed under (other), and compared with nothing', quality.over_limit],
    ['Without the model that answered', share(quality.without_model), 'of calls that succeeded', quality.without_model],
    ['Ended after they arrived', share(quality.clock_ahead), 'the clock of their sender is ahead', quality.clock_ahead],
    ['Scores without a target', judged === 0 ? '–' : percent(scores.pending / judged), 'wait for what they judge', scores.pending],
  ];
  const { p50, p95, p99 } = quality.lateness_ms;
  return h('section', { class: 'quality' },
    h('h2', null, 'Quality of the telemetry ', h('small', null, `${counted(quality.calls, 'call')} of the last 24 hours`)),
    h('p', null, 'From the end of a call to its arrival: ', p50 === null ? 'no call yet' : [h('b', null, quantity('latency', p50)), ' in the middle, ', h('b', null, quantity('latency', p95)), ' for 95 of 100, ', h('b', null, quantity('latency', p99)), ' for 99.']),
    scrolling('Quality of the telemetry', h('table', { class: 'tags' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Calls'), h('th', { scope: 'col', class: 'number' }, 'Share'), h('th', { scope: 'col', class: 'number' }, 'Count'), h('th', { scope: 'col' }, 'What that means'))),
      h('tbody', null, rows.map(([name, part, text, of]) => h('tr', null, h('th', { scope: 'row' }, name), h('td', { class: of > 0 ? 'number mid' : 'number' }, part), h('td', { class: 'number' }, count(of)), h('td', { class: 'mute' }, text)))))),
    quality.services.length === 0 ? null : h('details', { 'data-key': 'services' }, h('summary', null, counted(quality.services.length, 'sender')), scrolling('By sender', h('table', null,
      h('thead', null, h('tr', null, ['Service', 'Dialect', 'Calls', 'No prompt', 'No version', 'Arrives after, p95'].map((text, index) => h('th', { scope: 'col', class: index > 1 ? 'number' : null }, text)))),
      h('tbody', null, quality.services.map((sender) => h('tr', null, h('th', { scope: 'row' }, h('span', { class: 'clip', title: sender.service }, sender.service === '' ? 'no name' : sender.service)), h('td', null, sender.dialect), h('td', { class: 'number' }, count(sender.calls)), h('td', { class: 'number' }, percent(sender.unnamed / sender.calls)), h('td', { class: 'number' }, percent(sender.unversioned / sender.calls)), h('td', { class: 'number' }, quantity('latency', sender.lateness_p95_ms)))))))),
    scoresLine(scores));
}

const places = [
  ['joined', 'judge a call'],
  ['pending', 'wait for what they judge'],
  ['ambiguous', 'judge several versions at once, and are not compared'],
  ['not_compared', 'have another type than the first score of their name, and are not compared'],
  ['deleted', 'were deleted'],
];

function scoresLine(scores) {
  const shown = places.filter(([key]) => scores[key] > 0);
  return shown.length === 0 ? null : h('p', { class: 'scores' }, 'Of the scores ', shown.map(([key, text], index) => [index === 0 ? '' : ', ', h('b', null, count(scores[key])), ` ${text}`]), '. ', scores.pending === 0 ? null : h('a', { href: '/v1/scores?join_state=pending' }, 'Those that wait'));
}

/** The false-page rate that was measured on this traffic, beside the promised one. */
function auditLine({ running, audits }) {
  if (running !== null) return h('p', { class: 'audit' }, 'False pages on this traffic: an audit of ', h('b', null, running.prompt), ' is running.');
  const [newest] = audits;
  if (newest === undefined) return h('p', { class: 'audit mute' }, 'False pages on this traffic: not measured yet. ', h('code', null, 'culprit audit --prompt NAME'), ' gives fake versions to the history, many times.');
  const { told, runs, alpha } = newest;
  return h('p', { class: newest.is_kept ? 'audit' : 'audit bad' }, 'False pages on this traffic: ', h('b', null, `${told.found} of ${runs}`), ` fake rollouts of ${newest.prompt} (${percent(told.low)} to ${percent(told.high)}), promised at most ${percent(alpha)}. `, h('a', { href: '/v1/audit' }, 'As JSON'));
}

function parkedLine(parked) {
  if (parked.messages === 0) return null;
  return h('p', { class: 'notice' }, h('b', null, counted(parked.messages, 'message')), ` with ${counted(parked.records, 'record')} could not be stored and ${parked.messages === 1 ? 'is' : 'are'} kept aside: `, h('a', { href: '/v1/parked' }, 'why'), ', ', h('code', null, 'culprit parked'), '.');
}

function stackedBar(ledger) {
  let x = 0;
  return s('svg', { class: 'stack', viewBox: '0 0 1000 16', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, outcomes.map(([key]) => {
    const width = (Math.max(0, ledger[key]) / Math.max(1, ledger.received)) * 1000;
    const bar = s('rect', { class: `key-${key}`, x, width, height: 16 });
    x += width;
    return bar;
  }));
}

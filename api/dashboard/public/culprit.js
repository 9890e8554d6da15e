import { diffOf } from './diff.js';
import { card, h, link, stamp } from './element.js';
import { counted, factorName, isFingerprint } from './format.js';

/** Who did it: the culprit with all that is known of it, what it changed, and what else was new when it began. */

/** Facts of the version, as they were registered; {} where nobody told. */
const factsOf = (alert, versions) => versions.find(({ version }) => version === alert.prompt_version)?.facts ?? {};

/** Where a link leads, said in one word. */
const numberOf = (address) => /\/(?:pull|merge_requests|pullrequests)\/(\d+)/.exec(address)?.[1];

export function culprit(alert, { versions, nowMs }) {
  const who = alert.culprit;
  const facts = factsOf(alert, versions);
  const number = facts.pull_request_url === undefined ? undefined : numberOf(facts.pull_request_url);
  const seen = versions.find(({ version, first_seen_ms }) => version === alert.prompt_version && first_seen_ms !== null);
  const rows = [
    isFingerprint(who.value) && ['version', 'unknown; this is the fingerprint of its text'],
    who.author && ['author', who.author],
    who.owner && ['owner', who.owner],
    who.commit && ['commit', h('code', null, who.commit.slice(0, 10))],
    facts.pull_request_url && ['pull request', link(facts.pull_request_url, null, number === undefined ? 'open ↗' : `${number} ↗`)],
    who.provider && ['provider', who.provider],
    seen && ['first seen', stamp(seen.first_seen_ms, nowMs)],
    alert.prompt && ['prompt', link(`/prompts/${encodeURIComponent(alert.prompt)}`, null, alert.prompt)],
  ].filter(Boolean);
  const isUnknown = who.factor === 'unknown';
  return card('Culprit', null,
    h('p', { class: 'who' }, isUnknown ? `${who.value} itself` : who.factor === 'mix' ? `Other traffic: ${who.value}` : [h('small', null, `${factorName(who.factor)} `), who.value], who.baseline === '' ? null : h('small', null, ` against ${who.baseline}`)),
    isUnknown ? changesBefore(alert, nowMs) : null,
    (who.confounded_with ?? []).map((other) => h('p', { class: 'mid' }, `Moved together with ${factorName(other.factor)} ${other.value}: cannot be told apart.${other.told_apart_by ? ` What would tell: ${other.told_apart_by}.` : ''}`)),
    h('dl', { class: 'facts' }, rows.map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value)))));
}

/** Where none of what is watched moved: what was last changed on the prompt. */
function changesBefore(alert, nowMs) {
  const changes = alert.recent_changes ?? [];
  if (changes.length === 0) return h('p', { class: 'mid' }, 'Nothing that is watched changed on it in the day before.');
  return changes.map((one) => h('p', { class: 'mid' }, `Changed before: ${factorName(one.factor)} ${one.value} at `, stamp(Date.parse(one.at), nowMs), '.'));
}

/** What the culprit changed. Nothing where there is no version whose text could have been registered. */
export function changedText(alert, { versions }) {
  const { diff, message } = factsOf(alert, versions);
  const url = alert.culprit.diff_url;
  if (alert.culprit.factor !== 'prompt_version' && url === null && diff === undefined) return null;
  if (url === null && diff === undefined && message === undefined) return card('What it changed', null, h('p', { class: 'mute' }, 'Not registered. ', h('code', null, 'culprit versions push'), ' tells it from Git.'));
  return card('What it changed', null,
    message === undefined ? null : h('p', { class: 'said' }, `“${message}”`),
    diff === undefined ? null : diffOf(diff),
    url === null ? null : h('p', { class: 'after' }, link(url, null, 'In the repository ↗')));
}

/** What else was new when it began: it may be the culprit's companion, or nothing. */
export function changedAround(alert, around, nowMs) {
  const title = 'Also new around then';
  if (around.error !== undefined) return card(title, null, h('p', { class: 'mute' }, `Cannot be read: ${around.error.message}`));
  const others = around.changes.filter((one) => !one.is_culprit);
  if (others.length === 0) return card(title, null, h('p', { class: 'mute' }, 'Nothing: no other version, model, provider, application version, flag or label.'));
  const shown = others.slice(0, 6);
  return card(title, others.length > shown.length ? `the nearest ${shown.length} of ${others.length}` : null, h('ul', { class: 'changes' }, shown.map((one) =>
    h('li', null, stamp(Date.parse(one.first_seen), nowMs), h('div', null, h('b', null, one.value), ' ', h('span', { class: 'mute' }, [factorName(one.factor), one.prompt === null || one.prompt === alert.prompt ? '' : ` on ${one.prompt}`, one.calls === null ? '' : `, ${counted(one.calls, 'call')}`, one.by === null ? '' : `, by ${one.by}`].join('')))))));
}

/** Whose share of the traffic moved, and what the change would be without that. */
export function mixCard(alert) {
  const { effect } = alert.evidence;
  const kind = effect.kind === 'difference' ? undefined : 'distribution';
  const share = (of) => `${Number((of * 100).toPrecision(2))} %`;
  const left = (value) => (kind === undefined ? Number(value.toPrecision(2)) : share(value));
  if ((alert.mix ?? []).length === 0) return null;
  return card('Mix of its traffic', null, h('ul', null, alert.mix.map((one) =>
    h('li', null, h('b', null, `${one.dimension} ${one.value}`), ` ${share(one.before)} → ${share(one.after)} `, h('span', { class: one.explains ? 'ok' : 'mute' },
      `${one.explains ? 'explains it' : 'does not explain it'}: with the earlier mix worse by ${left(one.standardised.estimate)} (${left(one.standardised.low)} to ${left(one.standardised.high)}), as it was by ${left(one.raw)}`)))));
}

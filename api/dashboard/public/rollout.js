import { h, link, stamp } from './element.js';
import { count, duration, metricName, versionName } from './format.js';
import { act, ask } from './request.js';

/** A rollout that is under way: go, hold or back, why, when it will be known, and its steps with what is seen of them. */

const TONES = { go: 'ok', hold: 'mid', back: 'bad' };
const STATES = { done: 'done', skipped: 'skipped', present: 'now', ahead: 'ahead', stopped: 'stopped here' };

export function rolloutSection(rollout, { nowMs, reload }) {
  const { candidate, baseline, advice, share, steps } = rollout;
  const present = steps.find((step) => step.state === 'present');
  if (advice === null) return lapsedSection(rollout, present, { nowMs, reload });
  return h('section', { class: 'rollout', 'aria-label': `Rollout of ${versionName(candidate)}` },
    h('h2', null, heading(candidate, baseline), h('b', { class: `chip ${TONES[advice.says]}` }, advice.says), ' ', h('small', null, saysStep(rollout, present))),
    h('p', null, h('b', { class: TONES[advice.says] }, saysAdvice(rollout, present)), ` ${advice.reason}. `, knownAt(advice, nowMs), advice.alert_id === null ? null : [' ', link(`/alerts/${encodeURIComponent(advice.alert_id)}`, null, 'The alert')]),
    advice.waits_for.length === 0 ? null : h('p', { class: 'mute' }, `Not proved yet: ${advice.waits_for.map(metricName).join(', ').toLowerCase()}.`),
    share.differs ? h('p', { class: 'notice' }, h('b', { class: 'mid' }, 'Another share than declared.'), ` ${share.says}.`) : null,
    h('ol', { class: 'stages', tabindex: '0', 'aria-label': 'Steps' }, steps.map((step) => stepItem(step, nowMs))),
    steering(rollout, present, reload),
    h('p', { class: 'mute' }, origin(rollout, nowMs)));
}

/** Nothing is advised of it; what remains is to say how it went. */
function lapsedSection(rollout, present, { nowMs, reload }) {
  const { candidate, baseline } = rollout;
  return h('section', { class: 'rollout', 'aria-label': `Rollout of ${versionName(candidate)}` },
    h('h2', null, heading(candidate, baseline), h('b', { class: 'chip mid' }, 'lapsed'), ' ', h('small', null, saysStep(rollout, present))),
    h('p', { class: 'mute' }, 'Nobody has said anything of it since ', stamp(Date.parse(present.began_at), nowMs), ', so nothing is advised any more. Say how it ended, or that it goes on.'),
    steering(rollout, present, reload),
    h('p', { class: 'mute' }, origin(rollout, nowMs)));
}

function heading(candidate, baseline) {
  return `Rollout of ${versionName(candidate)}${baseline === null ? '' : ` beside ${versionName(baseline)}`} `;
}

function saysStep({ steps }, present) {
  return present === undefined ? '' : `step ${present.number} of ${steps.length}${present.name === null ? '' : `, ${present.name}`}`;
}

/** What to do. Culprit moves no traffic itself. */
function saysAdvice({ advice, origin: from, baseline, steps }, present) {
  if (advice.says === 'hold') return 'Stay at this step:';
  if (advice.says === 'back') return `Back to ${baseline === null ? 'what served' : versionName(baseline)}:`;
  const next = steps.find((step) => step.number > (present?.number ?? steps.length));
  if (next !== undefined) return `On to ${next.share_percent} %:`;
  return from === 'declared' ? 'It may have all traffic:' : 'It may go on:';
}

/** What a person says of it, with a reason that is kept. Null where nobody declared it. */
function steering({ id, origin: from, candidate, steps, advice }, present, reload) {
  const advised = advice?.says;
  if (from !== 'declared') return null;
  const message = h('p', { class: 'mute', role: 'status' });
  const button = (text, path, said, { title, submit, isAdvised = false }) => h('button', { type: 'button', class: isAdvised ? 'go' : null, 'data-key': `${id} ${text}`, onclick: () => ask({
    title,
    text: 'The reason is kept. Culprit moves no traffic itself: do that where it is divided.',
    label: 'Why?',
    submit,
    onSubmit: (reason) => act(`/v1/rollouts/${encodeURIComponent(id)}/${path}`, { ...said, reason }).then(reload, (error) => (message.textContent = `Not done: ${error.message}`)),
  }) }, text);
  const next = steps.find((step) => step.number > (present?.number ?? steps.length));
  return h('div', { class: 'steering' },
    h('div', { class: 'buttons' },
      advice === null ? button(`Step ${present.number} goes on…`, 'advance', { step: present.number }, { title: `${versionName(candidate)} is still rolled out`, submit: 'Go on' }) : null,
      next === undefined ? null : button(`Step ${next.number} has begun…`, 'advance', { step: next.number }, { title: `${versionName(candidate)} gets ${next.share_percent} % now`, submit: 'Begin', isAdvised: advised === 'go' }),
      button('Completed…', 'end', { outcome: 'completed' }, { title: `${versionName(candidate)} stays`, submit: 'Complete', isAdvised: advised === 'go' && next === undefined }),
      button('Aborted…', 'end', { outcome: 'aborted' }, { title: `${versionName(candidate)} is taken back`, submit: 'Abort', isAdvised: advised === 'back' })),
    message);
}

function knownAt({ says, known_at }, nowMs) {
  if (says !== 'hold') return null;
  if (known_at === null) return 'When it will be known is not in sight.';
  const wait = Date.parse(known_at) - nowMs;
  return ['Known about ', stamp(Date.parse(known_at), nowMs), wait > 0 ? ` (in ${duration(wait)})` : null, ', if both versions are alike.'];
}

function stepItem({ number, name, state, share_percent, observed, began_at, by, left }, nowMs) {
  const planned = share_percent ?? observed?.share_percent ?? 0;
  return h('li', { class: state, 'aria-current': state === 'present' ? 'step' : null },
    h('progress', { max: '100', value: planned, 'aria-label': `Share of step ${number}` }),
    h('b', null, `${planned} %`), name === null ? null : ` ${name}`, h('small', null, ` ${STATES[state]}`),
    h('small', null, began_at === null ? 'not begun' : ['since ', stamp(Date.parse(began_at), nowMs), by === '' ? null : `, ${by}`]),
    observed === null ? null : h('small', null, share_percent === null ? `${count(observed.candidate_units)} of ${count(observed.all_units)} units` : `${observed.share_percent} % of ${count(observed.all_units)} units`),
    left === null ? null : h('small', { title: left.reason }, 'left at ', h('b', { class: TONES[left.says] }, left.says)));
}

function origin({ origin: from, began_at, by, reason, metrics }, nowMs) {
  if (from === 'recognised') return 'Nobody declared it: it is recognised by the share that the version takes. Steps are stretches with one share.';
  return ['Declared ', stamp(Date.parse(began_at), nowMs), ` by ${by}${reason === '' ? '' : `: ${reason}`}. `, metrics === null ? null : `Waits for ${metrics.map(metricName).join(', ').toLowerCase()} only. `, 'Culprit moves no traffic itself.'];
}

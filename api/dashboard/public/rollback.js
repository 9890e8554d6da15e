import { h } from './element.js';
import { duration } from './format.js';
import { act, ask } from './request.js';

/** The rollback of an alert: the button that lets its hook be asked, what has become of it, and the veto while it waits. */

const TONES = { waiting: 'mid', retry: 'mid', asked: 'mid', confirmed: 'mid', not_moved: 'bad', not_recovered: 'bad', failed: 'bad', recovered: 'ok' };

/** The newest first; an alert has one for each hook that was configured meanwhile, so nearly always one. */
function newest(alert) {
  return (alert.rollbacks ?? []).toSorted((one, other) => other.steps.at(-1).at_ms - one.steps.at(-1).at_ms)[0];
}

function decide(alert, action, reason, reload) {
  return act(`/v1/alerts/${encodeURIComponent(alert.id)}/rollback`, { action, reason }).then(reload, (error) => {
    document.getElementById('announcement').textContent = `Not done: ${error.message}`;
    return reload();
  });
}

/** Null where no hook may be asked, or it has been. */
export function rollbackButton(alert, reload) {
  const rollback = newest(alert);
  if (!alert.can_roll_back || (rollback !== undefined && !rollback.can.includes('confirm'))) return null;
  return h('button', { type: 'button', class: 'go', 'data-key': 'rollback', onclick: () => decide(alert, 'confirm', '', reload) }, rollback?.state === 'waiting' ? `Roll back to ${alert.culprit.baseline} now` : `Roll back to ${alert.culprit.baseline}`);
}

/** What has become of it, in a line, with the veto where there still is one. */
export function rollbackState(alert, { nowMs, reload }) {
  const rollback = newest(alert);
  if (rollback === undefined) return null;
  const wait = rollback.state === 'waiting' ? Date.parse(rollback.due_at) - nowMs : 0;
  const text = rollback.state === 'waiting' ? `${rollback.hook} rolls back to ${rollback.baseline} ${wait > 0 ? `in ${duration(wait)}` : 'now'}, unless somebody vetoes.` : `${rollback.says}.`;
  const veto = () => ask({ title: 'Veto the rollback', text: `${rollback.hook} is not asked. It can still be rolled back by hand.`, label: 'Why not?', submit: 'Veto', onSubmit: (reason) => decide(alert, 'veto', reason, reload) });
  return h('div', { class: 'notice rollback', id: 'rollback' },
    h('p', { class: TONES[rollback.state] ?? null }, h('b', null, 'Rollback'), ` ${text}`),
    rollback.can.includes('veto') && rollback.state !== 'proposed' ? h('button', { type: 'button', 'data-key': 'veto', onclick: veto }, 'Veto…') : null);
}

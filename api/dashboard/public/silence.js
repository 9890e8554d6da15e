import { h } from './element.js';
import { duration, time } from './format.js';
import { act, readJson } from './request.js';

/** Silences: the dialog that makes one, with what it would match, and the list of those that are. */

const lengths = [[1800, '30 minutes'], [7200, '2 hours'], [28_800, '8 hours'], [86_400, '1 day'], [604_800, '1 week']];

/** Proposals from narrow to wide. A `*` in a name stands for itself too, so the narrow one always fits. */
function scopes(alert) {
  const prompt = alert.prompt === null ? [] : [[`prompt=${alert.prompt}`, 'this prompt']];
  const own = [...prompt, [`culprit=${alert.culprit.value}`, alert.culprit.value], [`metric=${alert.metric}`, alert.metric], [`environment=${alert.environment}`, alert.environment]].map(([matcher]) => matcher);
  return [
    ['This alert alone', [`alert=${alert.id}`]],
    [`The same regression of ${alert.culprit.value}`, own],
    ...(alert.prompt === null ? [] : [[`Everything on ${alert.prompt}`, [`prompt=${alert.prompt}`]]]),
  ];
}

export function askSilence(alert, onDone) {
  const proposals = scopes(alert);
  const scope = h('select', { id: 'silence-scope', onchange: () => preview() }, proposals.map(([name], index) => h('option', { value: String(index) }, name)));
  const length = h('select', { id: 'silence-length' }, lengths.map(([seconds, name]) => h('option', { value: String(seconds), ...(seconds === 7200 ? { selected: true } : {}) }, name)));
  const reason = h('textarea', { id: 'silence-reason', rows: '2', maxlength: '900', required: true });
  const matched = h('p', { class: 'mute', role: 'status' });
  const chosen = () => proposals[Number(scope.value)][1];
  const preview = async () => {
    const matchers = chosen();
    matched.textContent = '…';
    try {
      const { matching, of } = await act('/v1/silences/preview', { matchers });
      if (matchers === chosen()) matched.textContent = `${matchers.join(', ')}: matches ${matching} of ${of} alerts that are not resolved.`;
    } catch (error) {
      matched.textContent = error.message;
    }
  };
  const dialog = h('dialog', { 'aria-labelledby': 'silence-title' },
    h('form', { onsubmit: async (event) => {
      event.preventDefault();
      if (reason.value.trim() === '') return;
      try {
        await act('/v1/silences', { matchers: chosen(), duration_s: Number(length.value), reason: reason.value.trim() });
        dialog.close();
        await onDone();
      } catch (error) {
        matched.textContent = `Not done: ${error.message}`;
      }
    } },
      h('h2', { id: 'silence-title' }, 'Silence'),
      h('p', { class: 'mute' }, 'Nobody is told while it lasts. What is still open when it ends is told then.'),
      h('label', { for: 'silence-scope' }, 'What'),
      scope,
      matched,
      h('label', { for: 'silence-length' }, 'For how long'),
      length,
      h('label', { for: 'silence-reason' }, 'Why'),
      reason,
      h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), h('button', { type: 'submit', class: 'go' }, 'Silence'))));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  void preview();
}

/** @param end asks for the reason and ends the silence. */
export function silenceList(silences, { nowMs, end }) {
  return h('ul', { class: 'silences' }, silences.map((silence) =>
    h('li', null,
      h('div', null,
        h('b', null, silence.matchers.join(', ')),
        h('span', { class: 'mute' }, ` ${silence.state === 'pending' ? `from ${time(Date.parse(silence.starts_at), nowMs)}` : `for another ${duration(Date.parse(silence.ends_at) - nowMs)}`}, by ${silence.by}: ${silence.reason}`)),
      h('button', { type: 'button', 'data-key': `end ${silence.id}`, 'aria-label': `End the silence of ${silence.matchers.join(', ')}`, onclick: () => end(silence) }, 'End…'))));
}

export async function readSilences() {
  const { silences } = await readJson('/v1/silences?limit=200');
  return silences.filter((silence) => silence.state !== 'ended');
}

import { expect, it } from 'vitest';
import { loadAlertStates } from '../../../analyzer/look/look-store.ts';
import { transitionRow } from '../../../schemas/alert.ts';
import { alertAt } from '../../api/sinks/alert.ts';
import { lookStore } from './look-run.ts';

const on = lookStore();
const AT_MS = Date.parse('2026-06-01T09:00:00Z');

it('an alert of which a body cannot be read is as its last readable one was, with the state and the number that it has now; no other is missing', async () => {
  const row = (id: string, sequence: number, state: 'open' | 'resolved') => transitionRow(alertAt(id, state, AT_MS), { comparison_id: `cmp_${id}`, sequence, at_ms: AT_MS + sequence, reason: 'because' });
  const torn = (id: string, sequence: number, body = '{"schema":') => ({ ...row(id, sequence, 'resolved'), body });
  await on.store.insert('alert_transitions', [row('whole', 1, 'open'), row('torn', 1, 'open'), torn('torn', 2), torn('never', 1), torn('odd', 1, '{"schema":"culprit.alert/1"}')]);
  const states = await loadAlertStates(on.store, ['cmp_whole', 'cmp_torn', 'cmp_never', 'cmp_odd', 'cmp_none']);
  expect([...states].sort(([left], [right]) => (left < right ? -1 : 1))).toEqual([
    ['cmp_torn', { alert: { ...alertAt('torn', 'open', AT_MS), state: 'resolved' }, transition_id: torn('torn', 2).transition_id, sequence: 2, at_ms: AT_MS + 2 }],
    ['cmp_whole', { alert: alertAt('whole', 'open', AT_MS), transition_id: row('whole', 1, 'open').transition_id, sequence: 1, at_ms: AT_MS + 1 }],
  ]);
});

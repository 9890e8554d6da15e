import { Alert, NEWEST_TRANSITION, transitionRow } from '../schemas/alert.ts';
import type { Clock } from '../schemas/clock.ts';
import type { Store } from '../schemas/store.ts';
import type { Transition } from './alerts.ts';

/** What people do to an alert: a new row on top of its history. The look loop reads it before it looks next. */
export function createTransition(deps: { readonly store: Store; readonly clock: Clock }, onTransition: (alert: Alert) => void): Transition {
  return async (alertId, { state, reason, who }) => {
    const [newest] = await deps.store.select<{ sequence: number; comparison_id: string; body: string }>(
      `SELECT sequence, comparison_id, body FROM alert_transitions WHERE alert_id = {alert_id:String} ORDER BY ${NEWEST_TRANSITION} DESC LIMIT 1`,
      { alert_id: alertId },
    );
    if (newest === undefined) return;
    const nowMs = deps.clock();
    const alert: Alert = { ...Alert.parse(JSON.parse(newest.body)), state, resolved_at: state === 'resolved' ? new Date(nowMs).toISOString() : null };
    await deps.store.insert('alert_transitions', [transitionRow(alert, { comparison_id: newest.comparison_id, sequence: newest.sequence + 1, at_ms: nowMs, reason, who })]);
    onTransition(alert);
  };
}

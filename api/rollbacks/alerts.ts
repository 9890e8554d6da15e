import { alertIn, NEWEST_TRANSITION, transitionRow, type Alert } from '../../schemas/alert.ts';
import type { Store } from '../../schemas/store.ts';
import type { Rollback, RollbackState } from './records.ts';
import { CONFIRMED_BY_PERSON } from './rules.ts';
import { saysOf } from './words.ts';

/** Alerts as rollbacks see them: those that have none yet, and one with what has become of its rollback written onto it. */

export type Standing = { readonly alert: Alert; readonly comparison_id: string; readonly sequence: number };
type Row = { last_state: Alert['state']; last_body: string; last_sequence: number; comparison_id: string };

const NEWEST = `argMax(state, ${NEWEST_TRANSITION}) AS last_state, argMax(body, ${NEWEST_TRANSITION}) AS last_body, max(sequence) AS last_sequence, any(alert_transitions.comparison_id) AS comparison_id`;
const MOST_NEW = 1000;
/** Older alerts are not taken up: a person can still have them rolled back. */
const TAKEN_UP_MS = 86_400_000;

/** Steps that are worth a line in the history of the alert; the others pass within seconds. */
const TOLD: readonly RollbackState[] = ['proposed', 'waiting', 'vetoed', 'withdrawn', 'dry_run', 'done', 'failed', 'not_moved', 'recovered', 'not_recovered', 'unknown'];

/** All of it throws what the store throws. */
export function createAlertReader(store: Store) {
  return {
    async newestOf(alertIds: readonly string[]): Promise<ReadonlyMap<string, Standing>> {
      const rows = alertIds.length === 0 ? [] : await store.select<Row>(`SELECT alert_id, ${NEWEST} FROM alert_transitions WHERE alert_id IN {ids:Array(String)} GROUP BY alert_id`, { ids: alertIds });
      return new Map(rows.flatMap((row) => standingOf(row) ?? []).map((standing) => [standing.alert.id, standing]));
    },

    /** Unresolved pages that no hook has been thought of for, the newest first. */
    async withoutRollback(nowMs: number): Promise<Standing[]> {
      const rows = await store.select<Row>(
        `SELECT ${NEWEST} FROM alert_transitions WHERE at_ms >= {since:UInt64} AND alert_id NOT IN (SELECT alert_id FROM rollbacks) GROUP BY alert_id HAVING last_state != 'resolved' AND JSONExtractString(last_body, 'severity') = 'page' ORDER BY max(at_ms) DESC, alert_id LIMIT ${MOST_NEW}`,
        { since: Math.max(0, nowMs - TAKEN_UP_MS) },
      );
      return rows.flatMap((row) => standingOf(row) ?? []);
    },

    /**
     * Writes the rollback onto its alert, which pages nobody, unless it is there already; so it may be called again after a crash.
     * @returns the alert where that was news
     */
    async tell(rollback: Rollback, { alert, comparison_id, sequence }: Standing, nowMs: number): Promise<Alert | null> {
      const { identity, last } = rollback;
      if (!TOLD.includes(last.state) || (alert.rollback?.hook === identity.hook && alert.rollback.state === last.state)) return null;
      const says = saysOf(rollback);
      const told: Alert = { ...alert, rollback: { hook: identity.hook, state: last.state, says } };
      // That a person may confirm it is no news: the alert has the button.
      const event = last.state === 'proposed' && last.reason === CONFIRMED_BY_PERSON ? 'updated' : 'rollback';
      await store.insert('alert_transitions', [transitionRow(told, { comparison_id, sequence: sequence + 1, at_ms: nowMs, reason: says, event, who: last.who })]);
      return told;
    },
  };
}

function standingOf({ last_state, last_body, last_sequence, comparison_id }: Row): Standing | null {
  const alert = alertIn(last_body);
  return alert === null ? null : { alert: { ...alert, state: last_state }, comparison_id, sequence: last_sequence };
}

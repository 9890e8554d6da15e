import type { Alert } from '../../schemas/alert.ts';
import type { AlertState, LookRows } from './look-store.ts';
import { slotOf } from '../slots.ts';

/** The one alert that a comparison may have, and its transitions: each is a row with the next sequence number. */
export type AlertRecord = {
  current(): Alert | null;
  /** Its further transitions are about another comparison: what was found later says more. */
  follow(comparison_id: string): void;
  /** Files a transition with the rows to be written. */
  change(alert: Alert, what: { readonly atMs: number; readonly reason: string; readonly event?: 'updated' }): Alert;
  /** What people decided since the last look, or at its very moment: then it has the number of the look's own transition, and is the newer one. */
  adopt(state: AlertState | undefined): void;
  /** An alert that was durable before the process that raised it could tell: told when the look comes to its slot. */
  untoldIn(slot: number): Alert | null;
};

/** @param restored the newest transition that an earlier process, or a person, left. */
export function createAlertRecord(rows: LookRows, comparison_id: string, restored: AlertState | null = null): AlertRecord {
  let alert = restored?.alert ?? null;
  let sequence = restored?.sequence ?? 0;
  let of = comparison_id;
  let newest = restored?.transition_id ?? null;
  const untold = restored === null ? null : { slot: slotOf(restored.at_ms) - 1, alert: restored.alert };
  return {
    current: () => alert,
    follow: (next) => void (of = next),
    change(next, what) {
      sequence += 1;
      alert = next;
      newest = rows.transition(of, sequence, next, what);
      return next;
    },
    adopt(state) {
      if (state === undefined || state.sequence < sequence || state.transition_id === newest) return;
      ({ alert, sequence, transition_id: newest } = state);
    },
    untoldIn: (slot) => (untold?.slot === slot ? untold.alert : null),
  };
}

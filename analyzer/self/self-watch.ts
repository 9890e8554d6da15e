import { alertIn, NEWEST_READABLE, transitionRow, type Alert, type NewestReadable } from '../../schemas/alert.ts';
import type { Store } from '../../schemas/store.ts';
import { CAUSE, causeIdOf, selfAlertOf, type Fault, type FaultKind } from './fault.ts';

/**
 * Culprit's own faults, raised as alerts like any other: the same rows, sinks and pages. One alert for each cause, opened once; it resolves by
 * itself when the cause has been gone for a while, and a cause that comes back then has a new one. Whoever resolves it by hand has said
 * that they know: the same cause is not raised again for a day.
 *
 * All that it stands on is in the store, so a restart goes on where it was; only how long a fault has been gone begins anew. Ids are derived
 * from the cause and the number of its alert.
 */
export type SelfWatch = {
  /**
   * Looks for faults as of `nowMs`, ms: the clock of a server, event time in a replay. Resolves with the alerts that changed, when they are durable.
   * One at a time.
   */
  look(nowMs: number): Promise<readonly SelfEvent[]>;
};

export type SelfEvent = { readonly kind: 'alert'; readonly alert: Alert };

export type SelfWatchSettings = { readonly kinds: readonly FaultKind[]; readonly project: string; readonly publicUrl: string; readonly startedMs: number };

const DAY_MS = 86_400_000;

type State = { readonly alert: Alert; readonly cause: string; readonly sequence: number; readonly at_ms: number; readonly reason: string };

export function createSelfWatch(deps: { readonly store: Store }, settings: SelfWatchSettings): SelfWatch {
  const { store } = deps;
  /** Since when a cause with an open alert is gone. */
  const goneSince = new Map<string, number>();

  const raise = async (kind: FaultKind, fault: Fault, { earlier, nowMs }: { readonly earlier: readonly State[]; readonly nowMs: number }): Promise<Step | null> => {
    const last = earlier[0];
    if (last !== undefined && last.alert.state !== 'resolved') return null;
    if (last !== undefined && last.reason !== kind.gone && nowMs - last.at_ms < DAY_MS) return null;
    const alert = await selfAlertOf(kind, fault, { epoch: earlier.length, raisedMs: nowMs, publicUrl: settings.publicUrl });
    return { alert, cause: causeIdOf(kind, fault), sequence: 1, reason: fault.summary };
  };

  const resolve = ({ alert, cause, sequence }: State, kind: FaultKind, nowMs: number): Step | null => {
    const sinceMs = goneSince.get(cause) ?? nowMs;
    goneSince.set(cause, sinceMs);
    if (nowMs - sinceMs < kind.calmMs) return null;
    goneSince.delete(cause);
    return { alert: { ...alert, state: 'resolved', resolved_at: new Date(nowMs).toISOString() }, cause, sequence: sequence + 1, reason: kind.gone };
  };

  const look = async (nowMs: number): Promise<SelfEvent[]> => {
    const [states, ...faults] = await Promise.all([loadStates(store), ...settings.kinds.map((kind) => kind.find({ store, nowMs, startedMs: settings.startedMs, project: settings.project }))]);
    const steps: (Step | null)[] = [];
    for (const [index, kind] of settings.kinds.entries()) {
      // 1. What is wrong now. A cause that has no open alert gets one.
      const found = new Set<string>();
      for (const fault of faults[index] ?? []) {
        const cause = causeIdOf(kind, fault);
        found.add(cause);
        goneSince.delete(cause);
        steps.push(await raise(kind, fault, { earlier: states.filter((state) => state.cause === cause), nowMs }));
      }
      // 2. What was wrong and is no more.
      for (const state of states) {
        const { metric, state: now } = state.alert;
        if (metric === kind.name && now !== 'resolved' && !found.has(state.cause)) steps.push(resolve(state, kind, nowMs));
      }
    }
    // 3. Write it down, in one insert; told is only what is durable.
    const taken = steps.filter((step) => step !== null);
    await store.insert('alert_transitions', taken.map(({ alert, cause, sequence, reason }) => transitionRow(alert, { comparison_id: cause, sequence, at_ms: nowMs, reason })));
    return taken.map(({ alert }) => ({ kind: 'alert', alert }));
  };

  return { look };
}

type Step = { readonly alert: Alert; readonly cause: string; readonly sequence: number; readonly reason: string };

/** The alerts of causes as they are, of each cause the newest first; without those of which no body can be read. */
async function loadStates(store: Store): Promise<State[]> {
  const rows = await store.select<NewestReadable & { cause: string }>(
    `SELECT any(comparison_id) AS cause, ${NEWEST_READABLE} FROM alert_transitions WHERE startsWith(comparison_id, {cause:String}) GROUP BY alert_id`,
    { cause: `${CAUSE}_` },
  );
  const states = rows.flatMap(({ cause, last_sequence, last_at_ms, last_reason, last_state, last_body }): State[] => {
    const alert = alertIn(last_body);
    return alert === null ? [] : [{ cause, sequence: last_sequence, at_ms: last_at_ms, reason: last_reason, alert: { ...alert, state: last_state } }];
  });
  return states.sort((one, other) => (one.alert.raised_at < other.alert.raised_at ? 1 : one.alert.raised_at > other.alert.raised_at ? -1 : 0));
}

import { hourOf, WRITTEN, type CellSource } from '../../schemas/cells.ts';
import { OWN_LEDGER } from '../../schemas/ledger.ts';
import { LOG_EVENT } from '../dialects/log-events.ts';
import type { DraftedCall } from './draft.ts';
import type { Role } from './nesting.ts';
import type { BatchNumber } from './shards.ts';

/**
 * What became of everything that was received, by reason. Counted in memory while a batch is worked on, written with it.
 * `received` is counted where a message is decoded, the others where something becomes of a record, so that they can be
 * held against each other.
 */
export type Outcome = 'received' | 'stored' | 'duplicate' | 'ignored' | 'rejected';

export type Tally = {
  count(entry: { readonly project: string; readonly receivedMs: number; readonly signal: 'traces' | 'logs'; readonly outcome: Outcome; readonly reason: string }, by?: number): void;
  rows(): TallyRow[];
};

type TallyRow = { readonly project: string; readonly hour: number; readonly signal: string; readonly outcome: string; readonly reason: string; readonly count: number };

export function createTally(): Tally {
  type Row = TallyRow & { count: number };
  const counts = new Map<string, Row>();
  /** Nearly every record is counted as the one before it. */
  let last: Row | null = null;
  return {
    count({ project, receivedMs, signal, outcome, reason }, by = 1) {
      const hour = hourOf(receivedMs / 1000);
      if (last?.project !== project || last.hour !== hour || last.signal !== signal || last.outcome !== outcome || last.reason !== reason) {
        const key = `${project}\0${hour}\0${signal}\0${outcome}\0${reason}`;
        last = counts.get(key) ?? { project, hour, signal, outcome, reason, count: 0 };
        counts.set(key, last);
      }
      last.count += by;
    },
    rows: () => [...counts.values()].filter(({ count }) => count !== 0),
  };
}

/**
 * Where the ledger has a span that is stored among the calls. `stored` are those that count, or will when their wait is over; so a span is
 * counted anew, in the hour in which it was received, when it turns out to be a wrapper or a second span of one inference.
 */
export function entryOf(role: Role, reason: string): { readonly outcome: Outcome; readonly reason: string } {
  switch (role) {
    case 'call':
      return CALL;
    case 'duplicate':
      return SAME_INFERENCE;
    case 'candidate':
    case 'wrapper':
      return { outcome: 'ignored', reason: reason === '' ? 'wrapper' : reason };
  }
}

const CALL = { outcome: 'stored', reason: 'call' } as const;
const SAME_INFERENCE = { outcome: 'duplicate', reason: 'same_inference' } as const;

/** @param reason why it is no call by itself. */
export function signalOf(reason: string): 'traces' | 'logs' {
  return reason === LOG_EVENT ? 'logs' : 'traces';
}

export function countRoles(calls: Iterable<DraftedCall>, tally: Tally): void {
  for (const drafted of calls) {
    const { stored, former } = drafted;
    if (former === stored.role) continue;
    countRole(drafted, stored.role, 1, tally);
    if (former !== null) countRole(drafted, former, -1, tally);
  }
}

function countRole({ call, stored }: DraftedCall, role: Role, by: 1 | -1, tally: Tally): void {
  const { outcome, reason } = entryOf(role, stored.reason);
  tally.count({ project: call.project, receivedMs: call.received_time_ms, signal: signalOf(stored.reason), outcome, reason }, by);
}

/** Of event time, s. */
export type Hours = { readonly [Source in CellSource]: Iterable<number> };

/** The ledger of a batch, to be inserted at once: empty where it counts nothing and wrote nothing. */
export function ledgerRows(tally: Tally, hours: readonly Hours[], batch: BatchNumber): object[] {
  const { shard, number } = batch;
  const rows = [...tally.rows().map((row) => ({ ...row, shard, last_batch: number })), ...writtenRows(hours, { shard, batch: number })];
  return rows.length === 0 ? [] : [...rows, ownLedgerRow(batch)];
}

/** That the ledgers of this owner's batches up to this one are written: of none before its first. */
export function ownLedgerRow({ shard, first, number }: BatchNumber): object {
  return { ...OWN_LEDGER, reason: String(first), count: 0, shard, last_batch: number };
}

/** That a batch has written into these hours of event time, s: cells that were made of them before are no more what the rows say (analyzer/roll-up). */
function writtenRows(hours: readonly Hours[], { shard, batch }: { readonly shard: number; readonly batch: number }): object[] {
  return (['calls', 'scores'] as const).flatMap((signal) => [...new Set(hours.flatMap((each) => [...each[signal]]))].map((hour) => ({ ...WRITTEN, hour, signal, reason: '', count: 0, shard, last_batch: batch })));
}

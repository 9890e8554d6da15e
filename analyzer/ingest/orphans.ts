import { hourOf, type CellSource } from '../../schemas/cells.ts';
import type { Store } from '../../schemas/store.ts';
import type { StoredScore, StoredSpan } from './draft.ts';
import { scoreKey, spanKey, type SpanIdentity } from './identity.ts';
import type { Orphaned } from './known.ts';
import { createTally, entryOf, signalOf, type Outcome, type Tally } from './ledger.ts';
import { STORED_SCORE_COLUMNS } from './recovery-scores.ts';
import { OF_SHARD, type BatchRange } from './shards.ts';

/**
 * Rows of batches of messages that have no ledger: whoever wrote them ended before it came to that, or the insert itself is on its way still. They are looked for when a shard is taken
 * up, from the last batch of messages that has a ledger to the first of the new owner, and counted by batch, in `recounts`, as received and stored, unless a ledger comes after
 * all (schemas/ledger.ts). Their messages come again: duplicates.
 *
 * An insert may arrive later than that. Then its rows are found when their messages come again (known.ts), and counted at that moment, but for those whose span or score the owner knows
 * already: it has written it itself, where the message came again before the row was there, or goes on from an earlier row of it, and will count a change of its role. Who takes the shard
 * up next has no such memory, and of two equal rows a merge leaves the later one. So from the first ledger of messages on that came again, no row from before is an orphan for anybody
 * else: it is taken for one that was counted.
 */
export type Orphans = {
  readonly calls: Orphaned<StoredSpan>;
  readonly scores: Orphaned<StoredScore>;
  /** The hours of event time, s, of what was found since this was asked for last: to be written down with the next ledger. */
  takeHours(): { readonly [Source in CellSource]: ReadonlySet<number> };
};

type OfBatch = { readonly project: string; readonly batch: number; /** In which it was received, s. */ readonly hour: number };
type CallRow = OfBatch & SpanIdentity & StoredSpan & { readonly former_role: StoredSpan['role'] | '' };
type ScoreRow = OfBatch & StoredScore & { readonly score_id: string };
type IsKnown = (key: string) => boolean;
type Entry = { readonly signal: 'traces' | 'logs'; readonly outcome: Outcome; readonly reason: string; readonly by: 1 | -1 };

/** Batches hold some thousands of rows, and few of them have no ledger. Of a store whose ledger is lost, the newest rows. */
const MOST_ROWS = 500_000;

/**
 * Counts what there is. @param of.roleChangesAfter the last batch with a ledger, be it one of a tick: role changes are counted of those after it.
 *
 * First rows of spans and scores have revision 0 or 1 (draft.ts); later ones were counted before, and are counted anew where the role has changed. What two batches
 * have written, since the later one did not see the earlier one's rows, is the later one's. A score that stood on a span event cannot be told from a log record here, and is counted as one.
 */
export async function findOrphans(store: Store, { shard, range, roleChangesAfter }: { readonly shard: number; readonly range: BatchRange; readonly roleChangesAfter: number }): Promise<Orphans> {
  const batches = new Map<number, { readonly tally: Tally; found: number }>();
  let hours = { calls: new Set<number>(), scores: new Set<number>() };

  const entriesOfCall = ({ batch, revision, role, former_role, reason }: CallRow): Entry[] => {
    const signal = signalOf(reason);
    const isFirst = revision <= 1;
    const isChanged = former_role !== '' && batch > roleChangesAfter;
    return [
      ...(isFirst ? [{ signal, outcome: 'received', reason: '', by: 1 } as const] : []),
      ...(isFirst || isChanged ? [{ signal, ...entryOf(role, reason), by: 1 } as const] : []),
      ...(isChanged ? [{ signal, ...entryOf(former_role, reason), by: -1 } as const] : []),
    ];
  };
  const entriesOfScore = ({ revision }: ScoreRow): Entry[] =>
    revision > 1 ? [] : [{ signal: 'logs', outcome: 'received', reason: '', by: 1 }, { signal: 'logs', outcome: 'stored', reason: 'score', by: 1 }];

  /** Counts those of the rows that are not known, and answers them by key, each as its newest row says. */
  const take = async <Row extends OfBatch & { readonly revision: number; readonly event_s: number }>(
    table: CellSource,
    of: { readonly rows: readonly Row[]; readonly keyOf: (row: Row) => string; readonly entriesOf: (row: Row) => readonly Entry[]; readonly isKnown: IsKnown },
  ): Promise<ReadonlyMap<string, Row>> => {
    const found = new Map<string, Row>();
    const touched = new Set<number>();
    for (const row of of.rows) {
      const key = of.keyOf(row);
      if (of.isKnown(key)) continue;
      if (row.revision >= (found.get(key)?.revision ?? 0)) found.set(key, row);
      hours[table].add(hourOf(row.event_s));
      const entries = of.entriesOf(row);
      if (entries.length === 0) continue;
      const counted = batches.get(row.batch) ?? { tally: createTally(), found: 0 };
      batches.set(row.batch, counted);
      counted.found += 1;
      touched.add(row.batch);
      for (const { by, ...entry } of entries) counted.tally.count({ project: row.project, receivedMs: row.hour * 1000, ...entry }, by);
    }
    await store.insert('recounts', [...batches].flatMap(([batch, { tally, found: entries }]) => (touched.has(batch) ? tally.rows().map((row) => ({ shard, batch, ...row, found: entries })) : [])));
    return found;
  };
  const takeCalls = async (isKnown: IsKnown): Promise<ReadonlyMap<string, StoredSpan>> => take('calls', { rows: await loadCalls(store, range), keyOf: spanKey, entriesOf: entriesOfCall, isKnown });
  const takeScores = async (isKnown: IsKnown): Promise<ReadonlyMap<string, StoredScore>> => take('scores', { rows: await loadScores(store, range), keyOf: scoreKey, entriesOf: entriesOfScore, isKnown });
  const isOne = ({ batch }: { readonly batch?: number }): boolean => batch !== undefined && batch >= range.from_batch && batch < range.to_batch;
  const none = (): boolean => false;
  return {
    calls: { found: await takeCalls(none), isOne, take: takeCalls },
    scores: { found: await takeScores(none), isOne, take: takeScores },
    takeHours() {
      const taken = hours;
      hours = { calls: new Set(), scores: new Set() };
      return taken;
    },
  };
}

const RECEIVED_HOUR = 'toUInt32(intDiv(received_ms, 3600000) * 3600) AS hour';

function loadCalls(store: Store, range: BatchRange): Promise<CallRow[]> {
  return store.select<CallRow>(
    `SELECT project, trace_id, span_id, toString(calls.end_ns) AS end_ns, calls.revision AS revision, slot, role, former_role, reason, toUnixTimestamp(event_time) AS event_s, batch, ${RECEIVED_HOUR}
     FROM calls WHERE ${OF_SHARD} ORDER BY batch DESC LIMIT 1 BY project, trace_id, span_id, revision <= 1, if(revision <= 1, '', role), former_role LIMIT ${MOST_ROWS}`,
    range,
  );
}

function loadScores(store: Store, range: BatchRange): Promise<ScoreRow[]> {
  return store.select<ScoreRow>(`SELECT project, score_id, ${STORED_SCORE_COLUMNS}, batch, ${RECEIVED_HOUR} FROM scores WHERE ${OF_SHARD} ORDER BY batch DESC LIMIT 1 BY project, score_id, revision <= 1 LIMIT ${MOST_ROWS}`, range);
}

import type { Store } from '../../schemas/store.ts';
import { createTally, entryOf, signalOf, type Outcome, type Tally } from './ledger.ts';
import type { Role } from './nesting.ts';
import { OF_SHARD, type BatchRange } from './shards.ts';

/**
 * Rows of `recounts`: what batches after `lastCounted` have received and stored, from the rows that there are.
 *
 * First rows of spans and scores have revision 0 or 1 (draft.ts); later ones were counted before, and are counted anew where the role has changed. What two batches
 * have written, since the later one did not see the earlier one's rows, is the later one's. A score that stood on a span event cannot be told from a log record here, and is counted as one.
 */
export async function recount(store: Store, shard: number, { lastCounted, ...range }: BatchRange & { readonly lastCounted: number }): Promise<object[]> {
  const orphans = await store.select<{ batch: number; project: string; hour: number; role: Role; former_role: Role | ''; reason: string; is_first: number; count: number }>(
    `SELECT batch, project, hour, role, former_role, reason, is_first, count() AS count FROM
       (SELECT batch, project, ${RECEIVED_HOUR} AS hour, role, former_role, reason, toUInt8(revision <= 1) AS is_first
        FROM calls WHERE batch > {lastCounted:UInt64} AND ${OF_SHARD} AND (revision <= 1 OR former_role != '')
        ORDER BY batch DESC LIMIT 1 BY project, trace_id, span_id, is_first, if(is_first = 1, '', role), former_role)
     GROUP BY batch, project, hour, role, former_role, reason, is_first
     UNION ALL
     SELECT batch, project, hour, 'call' AS role, '' AS former_role, '${SCORE}' AS reason, toUInt8(1) AS is_first, count() AS count FROM
       (SELECT batch, project, ${RECEIVED_HOUR} AS hour FROM scores WHERE batch > {lastCounted:UInt64} AND ${OF_SHARD} AND revision <= 1 ORDER BY batch DESC LIMIT 1 BY project, score_id)
     GROUP BY batch, project, hour`,
    { lastCounted, ...range },
  );
  const batches = new Map<number, { readonly tally: Tally; readonly found: number }>();
  for (const { batch, project, hour, role, former_role, reason, is_first, count } of orphans) {
    const { tally, found } = batches.get(batch) ?? { tally: createTally(), found: 0 };
    batches.set(batch, { tally, found: found + count });
    const isScore = reason === SCORE;
    const of = { project, receivedMs: hour * 1000, signal: isScore ? ('logs' as const) : signalOf(reason) };
    const enter = (entry: { readonly outcome: Outcome; readonly reason: string }, by: number): void => tally.count({ ...of, ...entry }, by);
    if (is_first === 1) enter({ outcome: 'received', reason: '' }, count);
    if (is_first === 1 || former_role !== '') enter(isScore ? { outcome: 'stored', reason: 'score' } : entryOf(role, reason), count);
    if (former_role !== '') enter(entryOf(former_role, reason), -count);
  }
  return [...batches].flatMap(([batch, { tally, found }]) => tally.rows().map((row) => ({ shard, batch, ...row, found })));
}

const RECEIVED_HOUR = 'toUInt32(intDiv(received_ms, 3600000) * 3600)';
/** In the place of a reason: no call has it. */
const SCORE = 'score';

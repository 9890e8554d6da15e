import { WRITTEN } from '../../schemas/cells.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { Store } from '../../schemas/store.ts';
import type { SeenVersion } from './cardinality.ts';
import { chunksOf } from './chunks.ts';
import type { FiledCall, Stored, StoredSpan } from './draft.ts';
import { spanKey, type SpanIdentity } from './identity.ts';
import type { Found } from './known.ts';
import { ownLedgerRow } from './ledger.ts';
import type { Role } from './nesting.ts';
import type { Relative } from '../normalise.ts';
import { findOrphans, type Orphans } from './orphans.ts';
import { batchesOf, numbersAfter, OF_SHARD, type BatchNumber, type BatchRange } from './shards.ts';

/** What the ingest loop asks the store: at its start, after a failed write, and where its memory cannot tell. One function, one question. */

export async function lookUpCalls(store: Store, calls: readonly LlmCall[]): Promise<Map<string, Found<StoredSpan>>> {
  const rows = await store.select<SpanIdentity & Found<StoredSpan>>(
    // By trace for the index; by span so that a trace of a million spans does not answer with all of them.
    `SELECT project, trace_id, span_id, toString(c.end_ns) AS end_ns, c.revision AS revision, slot, role, reason, toUnixTimestamp(event_time) AS event_s, batch FROM calls AS c
     WHERE trace_id IN {trace_ids:Array(String)} AND span_id IN {span_ids:Array(String)} ORDER BY c.revision DESC LIMIT 1 BY project, trace_id, span_id`,
    { trace_ids: [...new Set(calls.map((call) => call.trace_id))], span_ids: [...new Set(calls.map((call) => call.span_id))] },
  );
  return new Map(rows.map(({ project, trace_id, span_id, ...stored }) => [spanKey({ project, trace_id, span_id }), stored]));
}

/**
 * The batch that was being written when the process died, or the store failed, may have rows and no ledger: they are counted now (orphans.ts), so that the ledger
 * balances. Its sender was not answered and sends it again: duplicates.
 *
 * `batch`: before the first one from now on. It is written down, so that whoever takes the shard up next has other numbers, though nothing else is seen of these.
 * `openSlot`: nothing may enter a slot before it any more, since it was looked at, or may be at any moment. `lastArrivalMs`: the arrival of what came last,
 * of all that is stored of the shard; 0 where nothing is.
 */
export async function reconcileLedger(store: Store, { shard, number }: BatchNumber): Promise<{ batch: BatchNumber; openSlot: number; lastArrivalMs: number; isEmpty: boolean; orphans: Orphans }> {
  const range = batchesOf(shard);
  const [last = { given: 0, read: 0, counted: 0, in_calls: 0, in_scores: 0, rows: 0, slot: 0, arrival_ms: 0 }] = await store.select<{ given: number; read: number; counted: number; in_calls: number; in_scores: number; rows: number; slot: number; arrival_ms: number }>(
    `SELECT (SELECT max(last_batch) FROM ledger WHERE shard = {shard:UInt16}) AS given, (SELECT max(last_batch) FROM ledger WHERE shard = {shard:UInt16} AND outcome = 'received') AS read,
            (SELECT max(last_batch) FROM ledger WHERE shard = {shard:UInt16} AND outcome != '${WRITTEN.outcome}') AS counted, (SELECT max(batch) FROM calls WHERE ${OF_SHARD}) AS in_calls, (SELECT max(batch) FROM scores WHERE ${OF_SHARD}) AS in_scores,
            (SELECT count() FROM calls) + (SELECT count() FROM scores) AS rows, greatest((SELECT max(slot) FROM look_progress), (SELECT max(slot) FROM log_progress WHERE shard = {shard:UInt16})) AS slot,
            greatest((SELECT max(received_ms) FROM calls WHERE ${OF_SHARD}), (SELECT max(received_ms) FROM scores WHERE ${OF_SHARD})) AS arrival_ms`,
    { shard, ...range },
  );
  const batch = numbersAfter({ shard, lastBatch: Math.max(number, last.given, last.in_calls, last.in_scores) });
  const orphans = await findOrphans(store, { shard, range: { from_batch: Math.max(range.from_batch, last.read + 1), to_batch: batch.first }, roleChangesAfter: last.counted });
  await store.insert('ledger', [ownLedgerRow(batch)]);
  return { batch, openSlot: Math.max(1, last.slot), lastArrivalMs: last.arrival_ms, isEmpty: last.rows === 0, orphans };
}

const CALL_COLUMNS = `project, trace_id, span_id, nullIf(parent_span_id, '') AS parent_span_id, toString(start_ns) AS start_time_ns, toString(end_ns) AS end_time_ns,
  received_ms AS received_time_ms, if(end_ns > start_ns, (end_ns - start_ns) / 1e6, NULL) AS duration_ms, dialect, scope_name, service_name, service_version,
  environment, operation, prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_fingerprint, prompt_content, prompt_attribution, provider, request_model, response_model, response_id,
  finish_reason, is_error, error_type, status_message, is_stream, is_cache_hit, is_experiment, ttft_ms, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  reasoning_tokens, cost_usd, cost_source, session_id, user_id, is_empty, is_format_valid, stratum_attributes, factor_attributes, mix_attributes, flags`;

const FILING = 'calls.revision AS revision, slot, role, reason, toUnixTimestamp(event_time) AS event_s';

/** These spans as they are stored, whatever their role. */
export async function loadFiledCalls(store: Store, calls: readonly SpanIdentity[]): Promise<FiledCall[]> {
  const found: FiledCall[] = [];
  for (const chunk of chunksOf(calls)) {
    const wanted = new Set(chunk.map(spanKey));
    const rows = await store.select<LlmCall & Filed>(
      `SELECT ${CALL_COLUMNS}, ${FILING} FROM calls
       WHERE trace_id IN {trace_ids:Array(String)} AND span_id IN {span_ids:Array(String)} ORDER BY calls.revision DESC LIMIT 1 BY project, trace_id, span_id`,
      { trace_ids: [...new Set(chunk.map((call) => call.trace_id))], span_ids: [...new Set(chunk.map((call) => call.span_id))] },
    );
    for (const row of rows) if (wanted.has(spanKey(row))) found.push(filedCall(row));
  }
  return found;
}

/** Complete calls of these traces, the first `limit` of each, in the order in which they began. */
export async function loadCallsOfTraces(store: Store, traces: readonly Pick<SpanIdentity, 'project' | 'trace_id'>[], limit: number): Promise<FiledCall[]> {
  const wanted = new Set(traces.map(({ project, trace_id }) => JSON.stringify([project, trace_id])));
  const rows = await store.select<LlmCall & Filed>(
    `SELECT * FROM (SELECT ${CALL_COLUMNS}, ${FILING} FROM calls WHERE trace_id IN {trace_ids:Array(String)} ORDER BY calls.revision DESC LIMIT 1 BY project, trace_id, span_id)
     WHERE role = 'call' AND slot > 0 ORDER BY trace_id, start_time_ns, span_id LIMIT {limit:UInt32} BY project, trace_id`,
    { trace_ids: [...new Set(traces.map((trace) => trace.trace_id))], limit },
  );
  return rows.filter(({ project, trace_id }) => wanted.has(JSON.stringify([project, trace_id]))).map(filedCall);
}

/** The rows that these spans have for the calls below them, by `spanKey`. */
export async function loadRelatives(store: Store, spans: readonly SpanIdentity[]): Promise<Map<string, Relative>> {
  const rows = await store.select<Relative>(
    `SELECT project, trace_id, span_id, nullIf(parent_span_id, '') AS parent_span_id, prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id,
            received_ms, reason, '0' AS start_time_ns
     FROM relatives WHERE trace_id IN {trace_ids:Array(String)} AND span_id IN {span_ids:Array(String)} ORDER BY received_ms DESC LIMIT 1 BY project, trace_id, span_id`,
    { trace_ids: [...new Set(spans.map((span) => span.trace_id))], span_ids: [...new Set(spans.map((span) => span.span_id))] },
  );
  return new Map(rows.map((row) => [spanKey(row), row]));
}

type Filed = Stored & { readonly role: Role; readonly reason: string };

function filedCall({ revision, slot, role, reason, event_s, ...call }: LlmCall & Filed): FiledCall {
  return { call, stored: { revision, slot, role, reason, event_s, end_ns: call.end_time_ns } };
}

/** Calls and candidates that wait. The inner query finds the few that ever did by the index on slot; FINAL then says which still do. */
export async function loadProvisionalCalls(store: Store, of: BatchRange, limit: number): Promise<FiledCall[]> {
  const waits = "slot = 0 AND role IN ('call', 'candidate')";
  const rows = await store.select<LlmCall & Filed>(
    `SELECT ${CALL_COLUMNS}, ${FILING}
     FROM calls FINAL WHERE ${waits} AND ${OF_SHARD} AND (project, event_time, trace_id, span_id) IN (SELECT project, event_time, trace_id, span_id FROM calls WHERE ${waits} AND ${OF_SHARD})
     ORDER BY calls.received_ms, calls.span_id LIMIT {limit:UInt32}`,
    { limit, ...of },
  );
  return rows.map(filedCall);
}

/** Versions, and texts under versions, that were seen since. */
export async function loadVersionsSince(store: Store, since_ms: number): Promise<SeenVersion[]> {
  return store.select<SeenVersion>(
    `SELECT DISTINCT project, prompt_name, value AS prompt_version, factor FROM versions WHERE factor IN ('prompt_version', 'prompt_content') AND versions.last_seen_ms >= {since_ms:UInt64}`,
    { since_ms },
  );
}

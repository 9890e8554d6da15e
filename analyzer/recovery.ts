import type { LlmCall } from '../schemas/call.ts';
import type { Score } from '../schemas/score.ts';
import type { Store } from '../schemas/store.ts';
import { spanKey } from './identity.ts';
import type { StoredScore, StoredSpan } from './ingest.ts';
import type { PendingScore } from './join.ts';
import type { Relative } from './normalise.ts';

/** What the ingest loop asks the store: at its start, and where its memory cannot tell. One function, one question. */

export async function lookUpCalls(store: Store, calls: readonly LlmCall[]): Promise<Map<string, StoredSpan>> {
  const rows = await store.select<{ project: string; trace_id: string; span_id: string; end_ns: string; revision: number; slot: number }>(
    `SELECT project, trace_id, span_id, toString(c.end_ns) AS end_ns, c.revision AS revision, slot FROM calls AS c
     WHERE trace_id IN {trace_ids:Array(String)} ORDER BY c.revision DESC LIMIT 1 BY project, trace_id, span_id`,
    { trace_ids: [...new Set(calls.map((call) => call.trace_id))] },
  );
  return new Map(rows.map((row) => [spanKey(row), { end_ns: row.end_ns, revision: row.revision, slot: row.slot }]));
}

export async function lookUpScores(store: Store, scores: readonly Score[]): Promise<Map<string, StoredScore>> {
  const rows = await store.select<{ score_id: string } & StoredScore>(
    `SELECT score_id, value, label, revision, slot FROM scores WHERE score_id IN {score_ids:Array(String)} ORDER BY revision DESC LIMIT 1 BY score_id`,
    { score_ids: scores.map((score) => score.score_id) },
  );
  return new Map(rows.map((row) => [row.score_id, { value: row.value, label: row.label, revision: row.revision, slot: row.slot }]));
}

/**
 * The batch that was being written when the process died may have rows and no ledger: they are counted now, as received
 * and stored, so that the ledger balances. Its sender was not answered and sends it again: duplicates.
 */
export async function reconcileLedger(store: Store): Promise<{ lastBatch: number; openSlot: number; isEmpty: boolean }> {
  const [last] = await store.select<{ in_ledger: number; in_calls: number; in_scores: number; calls: number; slot: number }>(
    `SELECT (SELECT max(last_batch) FROM ledger) AS in_ledger, (SELECT max(batch) FROM calls) AS in_calls, (SELECT max(batch) FROM scores) AS in_scores,
            (SELECT count() FROM calls) AS calls, (SELECT max(slot) FROM look_progress) AS slot`,
  );
  if (last === undefined) return { lastBatch: 0, openSlot: 1, isEmpty: true };
  const orphans = await store.select<{ project: string; hour: number; signal: string; reason: string; count: number }>(
    `SELECT project, toUInt32(intDiv(received_ms, 3600000) * 3600) AS hour, 'traces' AS signal, 'call' AS reason, uniqExact(trace_id, span_id) AS count
     FROM calls WHERE batch > {batch:UInt64} AND revision <= 1 GROUP BY project, hour
     UNION ALL
     SELECT project, toUInt32(intDiv(received_ms, 3600000) * 3600) AS hour, 'logs' AS signal, 'score' AS reason, uniqExact(score_id) AS count
     FROM scores WHERE batch > {batch:UInt64} AND revision <= 1 GROUP BY project, hour`,
    { batch: last.in_ledger },
  );
  const lastBatch = Math.max(last.in_ledger, last.in_calls, last.in_scores);
  await store.insert(
    'ledger',
    orphans.flatMap((row) => [
      { ...row, outcome: 'received', reason: '', last_batch: lastBatch },
      { ...row, outcome: 'stored', last_batch: lastBatch },
    ]),
  );
  return { lastBatch, openSlot: Math.max(1, last.slot), isEmpty: last.calls === 0 };
}

const CALL_COLUMNS = `project, trace_id, span_id, nullIf(parent_span_id, '') AS parent_span_id, toString(start_ns) AS start_time_ns, toString(end_ns) AS end_time_ns,
  received_ms AS received_time_ms, if(end_ns >= start_ns, (end_ns - start_ns) / 1e6, NULL) AS duration_ms, dialect, scope_name, service_name, service_version,
  environment, operation, prompt_name, prompt_version, prompt_version_source, prompt_attribution, provider, request_model, response_model, response_id,
  finish_reason, is_error, error_type, status_message, is_stream, ttft_ms, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
  reasoning_tokens, cost_usd, cost_source, session_id, user_id, is_empty, is_format_valid, stratum_attributes, flags`;

export async function loadProvisionalCalls(store: Store, limit: number): Promise<{ call: LlmCall; revision: number }[]> {
  const rows = await store.select<LlmCall & { revision: number; slot: number }>(
    `SELECT ${CALL_COLUMNS}, revision, slot FROM calls WHERE trace_id IN (SELECT trace_id FROM calls WHERE slot = 0)
     ORDER BY calls.revision DESC LIMIT 1 BY project, trace_id, span_id`,
  );
  return rows
    .filter((row) => row.slot === 0)
    .slice(0, limit)
    .map(({ revision, slot: _provisional, ...call }) => ({ call, revision }));
}

/** The stored spans of these calls' traces, whether they are calls themselves or not. */
export async function loadRelatives(store: Store, calls: readonly LlmCall[]): Promise<Relative[]> {
  if (calls.length === 0) return [];
  const columns = `project, trace_id, span_id, nullIf(parent_span_id, '') AS parent_span_id, prompt_name, prompt_version, prompt_version_source, session_id, user_id, received_ms`;
  const trace_ids = [...new Set(calls.map((call) => call.trace_id))];
  return store.select<Relative>(
    `SELECT ${columns} FROM relatives WHERE trace_id IN {trace_ids:Array(String)} UNION ALL SELECT ${columns} FROM calls WHERE trace_id IN {trace_ids:Array(String)}`,
    { trace_ids },
  );
}

export async function loadPendingScores(store: Store): Promise<PendingScore[]> {
  const rows = await store.select<Score & { revision: number; slot: number }>(
    `SELECT project, score_id, name, value, label, data_type, explanation, evaluator, error_type, trace_id, span_id, response_id,
            toString(observed_ns) AS observed_time_ns, received_ms AS received_time_ms, revision, slot
     FROM scores WHERE score_id IN (SELECT score_id FROM scores WHERE slot = 0) ORDER BY scores.revision DESC LIMIT 1 BY score_id LIMIT 100000`,
  );
  return rows.filter((row) => row.slot === 0).map(({ revision, slot: _pending, ...score }) => ({ score, revision }));
}

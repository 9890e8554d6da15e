import type { Score } from '../../schemas/score.ts';
import type { Store } from '../../schemas/store.ts';
import type { RememberedCall } from './call-memory.ts';
import { chunksOf } from './chunks.ts';
import type { FiledScore, Place, StoredScore } from './draft.ts';
import { scoreKey, spanKey, type SpanIdentity } from './identity.ts';
import type { PendingScore } from './join.ts';
import type { Found } from './known.ts';
import type { CallFacts } from './rows.ts';
import type { ScoreName } from './score-names.ts';
import { OF_SHARD, type BatchRange } from './shards.ts';

/** What the ingest loop asks the store about scores, and about the calls that they judge. One function, one question (see also recovery.ts). */

export async function lookUpScores(store: Store, scores: readonly Score[]): Promise<Map<string, Found<StoredScore>>> {
  const rows = await store.select<{ project: string; score_id: string } & Found<StoredScore>>(
    `SELECT project, score_id, ${STORED_SCORE_COLUMNS}, batch FROM scores WHERE score_id IN {score_ids:Array(String)} ORDER BY scores.revision DESC LIMIT 1 BY project, score_id`,
    { score_ids: [...new Set(scores.map((score) => score.score_id))] },
  );
  return new Map(rows.map(({ project, score_id, ...stored }) => [scoreKey({ project, score_id }), stored]));
}

export const STORED_SCORE_COLUMNS = `value, bet_value, label, change, deleted_slot, toString(scores.observed_ns) AS observed_ns, scores.revision AS revision, slot, toUnixTimestamp(event_time) AS event_s`;

const SCORE_COLUMNS = `project, score_id, name, data_type, explanation, evaluator, evaluator_kind, error_type, trace_id, span_id, response_id, target_session_id, run_id, flags,
  received_ms AS received_time_ms, ${STORED_SCORE_COLUMNS}`;

/** The scores that were joined with these calls. */
export async function loadScoresOfCalls(store: Store, calls: readonly SpanIdentity[]): Promise<(PendingScore & { readonly target: SpanIdentity })[]> {
  if (calls.length === 0) return [];
  const rows = await store.select<ScoreRow & { call_trace_id: string; call_span_id: string }>(
    `SELECT ${SCORE_COLUMNS}, call_trace_id, call_span_id FROM scores
     WHERE call_trace_id IN {trace_ids:Array(String)} AND call_span_id IN {span_ids:Array(String)} ORDER BY scores.revision DESC LIMIT 1 BY project, score_id`,
    { trace_ids: [...new Set(calls.map((call) => call.trace_id))], span_ids: [...new Set(calls.map((call) => call.span_id))] },
  );
  return rows.map(({ call_trace_id, call_span_id, ...row }) => ({ ...filedScore(row), target: { project: row.project, trace_id: call_trace_id, span_id: call_span_id } }));
}

type ScoreRow = Omit<Score, 'is_deleted' | 'observed_time_ns'> & StoredScore;

function filedScore(row: ScoreRow): PendingScore {
  const { bet_value, deleted_slot, observed_ns, revision, slot, event_s, ...score } = row;
  const { value, label, change } = score;
  return {
    score: { ...score, is_deleted: deleted_slot > 0, observed_time_ns: observed_ns },
    stored: { value, label, change, bet_value, deleted_slot, observed_ns, revision, slot, event_s },
  };
}

/** These scores whole, by `scoreKey`, with what they are credited to: what corrects them is merged with it. */
export async function loadScores(store: Store, scores: readonly Score[]): Promise<Map<string, FiledScore>> {
  const wanted = new Set(scores.map(scoreKey));
  const ids = [...new Set(scores.map((score) => score.score_id))];
  const found = new Map<string, FiledScore>();
  for (const score_ids of chunksOf(ids)) {
    const rows = await store.select<ScoreRow & CallOfScore>(
      `SELECT ${SCORE_COLUMNS}, ${CALL_OF_SCORE_COLUMNS} FROM scores WHERE score_id IN {score_ids:Array(String)} ORDER BY scores.revision DESC LIMIT 1 BY project, score_id`,
      { score_ids },
    );
    for (const row of rows) {
      const { join_state, call_trace_id, call_span_id, call_start_time_ns, environment, operation, prompt_name, prompt_version, prompt_attribution, request_model, response_model, session_id, stratum_attributes, is_experiment, provider, service_name, service_version, prompt_content = null, factor_attributes = {}, ...score } = row;
      if (!wanted.has(scoreKey(score))) continue;
      const call: CallFacts = {
        project: score.project, trace_id: call_trace_id, span_id: call_span_id, start_time_ns: call_start_time_ns, environment, operation, prompt_name, prompt_version, prompt_attribution,
        request_model, response_model, response_id: null, session_id, stratum_attributes, is_experiment, provider, service_name, service_version, prompt_content, factor_attributes,
      };
      found.set(scoreKey(score), { ...filedScore(score), place: join_state === 'joined' ? { kind: 'joined', call } : { kind: join_state } });
    }
  }
  return found;
}

type CallOfScore = Omit<CallFacts, 'project' | 'trace_id' | 'span_id' | 'start_time_ns' | 'response_id'> & { join_state: Place['kind']; call_trace_id: string; call_span_id: string; call_start_time_ns: string };
const CALL_OF_SCORE_COLUMNS = `join_state, call_trace_id, call_span_id, toString(call_start_ns) AS call_start_time_ns, environment, operation, prompt_name, prompt_version, prompt_attribution,
  request_model, response_model, session_id, stratum_attributes, is_experiment, provider, service_name, service_version, prompt_content, factor_attributes`;

const FACTS_COLUMNS = `project, trace_id, span_id, toString(start_ns) AS start_time_ns, environment, operation, prompt_name, prompt_version,
  prompt_attribution, request_model, response_model, response_id, session_id, stratum_attributes, is_experiment, provider, service_name, service_version, prompt_content, factor_attributes, slot`;

/** Complete calls that have one of these ids, each as its newest row says; at most 100 of one trace or session, the first to start. */
export async function selectCallFacts(store: Store, column: 'trace_id' | 'span_id' | 'response_id' | 'session_id', values: readonly string[]): Promise<RememberedCall[]> {
  const found: RememberedCall[] = [];
  for (const chunk of chunksOf(values)) {
    const rows = await store.select<CallFacts & { slot: number }>(
      `SELECT ${FACTS_COLUMNS} FROM (SELECT * FROM calls WHERE ${column} IN {values:Array(String)} AND slot > 0 ORDER BY revision DESC LIMIT 1 BY project, trace_id, span_id)
       WHERE role = 'call' ORDER BY start_ns, trace_id, span_id LIMIT 100 BY project, ${column}`,
      { values: chunk },
    );
    for (const { slot, ...call } of rows) found.push({ call, slot });
  }
  return found;
}

/** Those of these spans that are complete calls, each as its newest row says. */
export async function selectCallFactsOfSpans(store: Store, spans: readonly SpanIdentity[]): Promise<RememberedCall[]> {
  const found: RememberedCall[] = [];
  for (const chunk of chunksOf(spans)) {
    const wanted = new Set(chunk.map(spanKey));
    const rows = await store.select<CallFacts & { slot: number }>(
      // By trace for the index; by span so that a trace of a million spans does not answer with all of them.
      `SELECT ${FACTS_COLUMNS} FROM (SELECT * FROM calls WHERE trace_id IN {trace_ids:Array(String)} AND span_id IN {span_ids:Array(String)} ORDER BY revision DESC LIMIT 1 BY project, trace_id, span_id)
       WHERE slot > 0 AND role = 'call'`,
      { trace_ids: [...new Set(chunk.map((span) => span.trace_id))], span_ids: [...new Set(chunk.map((span) => span.span_id))] },
    );
    for (const { slot, ...call } of rows) if (wanted.has(spanKey(call))) found.push({ call, slot });
  }
  return found;
}

/** Spans of these traces that are second spans of an inference; at most 100 of one trace. */
export async function selectDuplicates(store: Store, trace_ids: readonly string[]): Promise<SpanIdentity[]> {
  const found: SpanIdentity[] = [];
  for (const chunk of chunksOf(trace_ids)) {
    const rows = await store.select<SpanIdentity>(
      `SELECT project, trace_id, span_id FROM (SELECT project, trace_id, span_id, role, start_ns FROM calls WHERE trace_id IN {trace_ids:Array(String)} ORDER BY revision DESC LIMIT 1 BY project, trace_id, span_id)
       WHERE role = 'duplicate' ORDER BY start_ns, trace_id, span_id LIMIT 100 BY project, trace_id`,
      { trace_ids: chunk },
    );
    for (const row of rows) found.push(row);
  }
  return found;
}

/** The traces that have a span of these ids, be it a call or not, stored itself or known as a parent only (ancestry.ts, `isWorthKeeping`). */
export async function selectTracesOfSpans(store: Store, span_ids: readonly string[]): Promise<SpanIdentity[]> {
  const found: SpanIdentity[] = [];
  for (const chunk of chunksOf(span_ids)) {
    const rows = await store.select<SpanIdentity>(
      `SELECT DISTINCT project, trace_id, span_id FROM (${['relatives', 'calls'].flatMap((table) => ['span_id', 'parent_span_id'].map((column) => `SELECT project, trace_id, ${column} AS span_id FROM ${table} WHERE ${table}.${column} IN {span_ids:Array(String)}`)).join(' UNION ALL ')})`,
      { span_ids: chunk },
    );
    for (const row of rows) found.push(row);
  }
  return found;
}

export async function loadScoreNames(store: Store): Promise<ScoreName[]> {
  return store.select<ScoreName>(`SELECT project, name, data_type, first_seen_ms FROM score_names ORDER BY first_seen_ms, data_type LIMIT 1 BY project, name`);
}

/** Those that came last, in the order in which they came. */
export async function loadPendingScores(store: Store, of: BatchRange): Promise<PendingScore[]> {
  const rows = await store.select<ScoreRow>(
    `SELECT ${SCORE_COLUMNS}
     FROM scores FINAL WHERE slot = 0 AND ${OF_SHARD} AND change = 'judgement' AND deleted_slot = 0 AND (project, event_time, score_id) IN (SELECT project, event_time, score_id FROM scores WHERE slot = 0 AND ${OF_SHARD})
     ORDER BY scores.received_ms DESC, score_id LIMIT 100000`,
    of,
  );
  return rows.reverse().map(filedScore);
}

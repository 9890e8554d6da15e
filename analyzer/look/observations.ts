import type { Store } from '../../schemas/store.ts';
import type { CallReading } from '../metrics/index.ts';
import type { Factor } from './factors.ts';
import { groupBy } from '../statistics/group-by.ts';

/** What the look asks the store about closed slots. One function, one question; rows come back in the order in which they count. */

export type PromptKey = { readonly project: string; readonly environment: string; readonly prompt_name: string };

/** A prompt as the key of a map. */
export const promptId = ({ project, environment, prompt_name }: PromptKey): string => `${project}\0${environment}\0${prompt_name}`;

/** Beside prompt and model: what else can change. What is not known is empty. */
export type Surroundings = {
  readonly provider: string;
  readonly service_name: string;
  readonly app_version: string;
  readonly prompt_content: string;
  /** Those that the configuration names. */
  readonly attributes: Readonly<Record<string, string>>;
};

/** How many calls of each version and model became complete in each slot; `response_model` is empty where none was named. */
export type Activity = PromptKey & Surroundings & { readonly slot: number; readonly version: string; readonly request_model: string; readonly response_model: string; readonly calls: number };

/** What a call, or one that is judged, is told apart by. */
export type Seen = Surroundings & {
  readonly version: string;
  readonly request_model: string;
  /** The request model where the response names none. */
  readonly response_model: string;
  readonly operation: string;
  readonly route: string;
};

type Observation = {
  readonly slot: number;
  readonly trace_id: string;
  readonly span_id: string;
  readonly session_id: string | null;
  /** Start of the call. */
  readonly start_ms: number;
  /** One object for all that were read together and are alike in it. */
  readonly seen: Seen;
};

export type CallObservation = CallReading & Observation;

/** Of the call that is judged. `evaluator`: who judged; empty: nobody said. */
export type ScoreObservation = Observation & { readonly name: string; readonly value: number; readonly data_type: string; readonly evaluator: string };

/** Keys beside their values: to look each up in the map takes seven times as long, which was half of every question. */
export const ROUTE = `arrayStringConcat(arraySort(arrayMap((key, value) -> concat(key, '=', value), mapKeys(stratum_attributes), mapValues(stratum_attributes))), ' ')`;
const OF_PROMPT = `project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String}`;

/** Whose version is known and beyond doubt. */
export const ATTRIBUTED = `prompt_version IS NOT NULL AND prompt_attribution != 'ambiguous' AND NOT is_experiment`;
/**
 * One span for each inference. Of a span whose rows differ, the newest tells: ask it after picking that. Only values are asked for in this
 * way. A span has a slot only if it counted when that closed, and keeps it if it is demoted later; so who was active, and which units there
 * were, is told by the slots alone, and a restart finds what was seen before it.
 */
export const COUNTED = `role = 'call'`;

/** What is bet on: not what had been deleted when its slot closed, nor what has another type than its name. */
export const JUDGED = `(deleted_slot = 0 OR deleted_slot > slot) AND empty(flags)`;

export const surroundings = (table: 'calls' | 'scores'): string =>
  `provider, service_name, service_version AS app_version, coalesce(${table}.prompt_content, '') AS prompt_content, factor_attributes AS attributes`;

/** @param range slots from (inclusive) to (exclusive). */
export async function selectActivity(store: Store, range: { readonly from: number; readonly to: number }): Promise<Activity[]> {
  return store.select<Activity>(
    `SELECT slot, project, environment, assumeNotNull(prompt_name) AS prompt_name, assumeNotNull(prompt_version) AS version,
            coalesce(calls.request_model, '') AS request_model, coalesce(calls.response_model, '') AS response_model, ${surroundings('calls')}, uniqExact(trace_id, span_id) AS calls
     FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND calls.prompt_name IS NOT NULL AND ${ATTRIBUTED}
     GROUP BY slot, project, environment, prompt_name, version, request_model, response_model, provider, service_name, app_version, prompt_content, attributes
     ORDER BY slot, project, environment, prompt_name, version, request_model, response_model, provider, service_name, app_version, prompt_content, toString(attributes)`,
    range,
  );
}

/** How many calls a prompt has in each slot, in order, a corrected one perhaps twice; none: no row. */
export async function selectCallsBySlot(store: Store, prompt: PromptKey, range: { readonly from: number; readonly to: number }): Promise<{ slot: number; calls: number }[]> {
  return store.select(`SELECT slot, count() AS calls FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} GROUP BY slot ORDER BY slot`, { ...prompt, ...range });
}

/** Calls of each value of a factor that started before a moment, in the given slots: who was the baseline. Those that were called within the hour before come first. */
export async function selectShares(
  store: Store,
  prompt: PromptKey,
  { sql }: Factor,
  /** `label`: only calls that carried it. */
  { label = '', ...range }: { readonly group: string; readonly from: number; readonly to: number; readonly before_ms: number; readonly label?: string },
): Promise<{ value: string; calls: number; first_ms: number }[]> {
  return store.select(
    `SELECT assumeNotNull(${sql.value}) AS value, uniq(trace_id, span_id) AS calls, min(intDiv(start_ns, 1000000)) AS first_ms,
            max(start_ns) >= ({before_ms:Int64} - 3600000) * 1000000 AS is_serving
     FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} AND ${ATTRIBUTED} AND ${sql.value} IS NOT NULL AND ${sql.group} = {group:String}
       AND start_ns < {before_ms:UInt64} * 1000000 AND ({label:String} = '' OR prompt_label = {label:String})
     GROUP BY value ORDER BY is_serving DESC, calls DESC, first_ms, value`,
    { ...prompt, ...range, label },
  );
}

/** Versions of other prompts on the same request models, with their calls in the given slots, busiest first: who may be a control. */
export async function selectNeighbours(
  store: Store,
  prompt: PromptKey,
  range: { readonly from: number; readonly to: number; readonly request_models: readonly string[]; readonly limit: number },
): Promise<{ prompt_name: string; version: string; calls: number }[]> {
  return store.select(
    `SELECT assumeNotNull(calls.prompt_name) AS prompt_name, assumeNotNull(prompt_version) AS version, count() AS calls
     FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND project = {project:String} AND environment = {environment:String} AND calls.prompt_name IS NOT NULL
       AND calls.prompt_name != {prompt_name:String} AND coalesce(calls.request_model, '') IN {request_models:Array(String)} AND ${ATTRIBUTED}
     GROUP BY prompt_name, version ORDER BY calls DESC, prompt_name, version LIMIT 1 BY prompt_name LIMIT {limit:UInt8}`,
    { ...prompt, ...range },
  );
}

/** A unit is its session, unless that is one of `crowd`, which are none; else its trace. */
const UNIT = (trace: string): string => `if(session_id IS NULL OR session_id IN {crowd:Array(String)}, concat('t:', ${trace}), concat('s:', assumeNotNull(session_id)))`;
const UNIT_HASH = (trace: string): string => `cityHash64(${UNIT(trace)})`;

/** Slots, the sessions that are no units, and since when a unit must have been met: what was met last long ago is not remembered (unit-memory.ts). */
export type UnitsRange = { readonly from: number; readonly to: number; readonly since: number; readonly crowd: readonly string[] };
const MET_SINCE = (trace: string, { from, since }: UnitsRange): string =>
  since <= from ? '' : `AND ${UNIT_HASH(trace)} IN (SELECT ${UNIT_HASH('trace_id')} FROM calls WHERE slot >= {since:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} AND ${ATTRIBUTED})`;

/**
 * Units of a prompt in the given slots, each with the only value that its calls had (empty: of another group); null where they had several. `first_answered`, `answered`: whether its
 * first call, and any call, was no error. By their last slot.
 */
export async function selectUnits(
  store: Store,
  prompt: PromptKey,
  { sql }: Factor,
  range: UnitsRange & { readonly group: string },
): Promise<{ id: string; value: string | null; first_slot: number; first_span: string; first_value: string; first_answered: boolean; answered: boolean; last_slot: number; start_ms: number }[]> {
  const value = `if(${sql.group} = {group:String}, coalesce(${sql.value}, ''), '')`;
  return store.select(
    // One state for all that the first call says: of a day with 800,000 units four did not fit into a gigabyte.
    `SELECT id, if(least_value = most_value, least_value, NULL) AS value, first_slot, last_slot, first.1 AS first_span, first.2 AS first_value, first.3 AS first_answered, answered, first.4 AS start_ms
     FROM (SELECT ${UNIT('trace_id')} AS id, min(${value}) AS least_value, max(${value}) AS most_value, min(slot) AS first_slot, max(slot) AS last_slot, max(NOT is_error) AS answered,
                  argMin((span_id, ${value}, NOT is_error, intDiv(start_ns, 1000000)), (slot, start_ns, trace_id, span_id)) AS first
           FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} AND ${ATTRIBUTED} ${MET_SINCE('trace_id', range)} GROUP BY id)
     ORDER BY last_slot, id`,
    { ...prompt, ...range },
  );
}

/** Sessions of the last calls in the given slots, oldest first; null: a call without one. */
export async function selectRecentSessions(store: Store, prompt: PromptKey, range: { readonly from: number; readonly to: number; readonly limit: number }): Promise<(string | null)[]> {
  const rows = await store.select<{ session_id: string | null }>(
    `SELECT session_id FROM (SELECT * FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} AND ${ATTRIBUTED} LIMIT 1 BY trace_id, span_id)
     ORDER BY slot DESC, start_ns DESC, trace_id DESC, span_id DESC LIMIT {limit:UInt32}`,
    { ...prompt, ...range },
  );
  return rows.map((row) => row.session_id).reverse();
}

/** Under which names, and for which calls, units have been scored in the given slots. */
export async function selectScoredUnits(store: Store, prompt: PromptKey, range: UnitsRange): Promise<{ id: string; scored: { name: string; span_id: string }[] }[]> {
  return store.select(
    `SELECT ${UNIT('call_trace_id')} AS id, groupUniqArray(CAST((name, call_span_id), 'Tuple(name String, span_id String)')) AS scored
     FROM (SELECT * FROM scores WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} AND ${ATTRIBUTED} ${MET_SINCE('call_trace_id', range)} ORDER BY revision DESC LIMIT 1 BY score_id)
     WHERE ${JUDGED} GROUP BY id`,
    { ...prompt, ...range },
  );
}

/** A factor's values on all prompts that were active in the given slots: when first, and when last before `since` and after it. Slot 0: never. */
export async function selectSeenValues(
  store: Store,
  { sql }: Factor,
  range: { readonly from: number; readonly since: number; readonly to: number },
): Promise<(PromptKey & { group: string; value: string; before_slot: number; first_slot: number; last_slot: number })[]> {
  return store.select(
    `SELECT project, environment, assumeNotNull(prompt_name) AS prompt_name, ${sql.group} AS \`group\`, assumeNotNull(${sql.value}) AS value,
            maxIf(slot, slot < {since:UInt32}) AS before_slot, minIf(slot, slot >= {since:UInt32}) AS first_slot, max(slot) AS last_slot
     FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND calls.prompt_name IS NOT NULL AND ${ATTRIBUTED} AND ${sql.value} IS NOT NULL
     GROUP BY project, environment, prompt_name, \`group\`, value ORDER BY project, environment, prompt_name, \`group\`, value`,
    range,
  );
}

export type Example = { readonly trace_id: string; readonly span_id: string; readonly why: string };

/** The candidate's calls that show a metric at its worst since the onset, worst first. */
export async function selectExamples(
  store: Store,
  { sql }: Factor,
  request: PromptKey & { readonly group: string; readonly value: string; readonly metric: string; readonly direction: 'up' | 'down'; readonly onset_ms: number; readonly to_slot: number; readonly limit: number },
): Promise<Example[]> {
  const { direction, metric, ...parameters } = request;
  const ofCandidate = `${OF_PROMPT} AND ${sql.group} = {group:String} AND ${sql.value} = {value:String} AND slot > 0 AND slot <= {to_slot:UInt32}`;
  const signal = EXAMPLES.get(metric);
  if (signal === undefined) {
    const worst = direction === 'down' ? 'ASC' : 'DESC';
    return store.select<Example>(
      `SELECT call_trace_id AS trace_id, call_span_id AS span_id, concat(name, ' ', toString(round(assumeNotNull(value), 3)), if(explanation IS NULL OR explanation = '', '', concat(': ', left(assumeNotNull(explanation), 120)))) AS why
       FROM (SELECT * FROM scores WHERE ${ofCandidate} AND name = {metric:String} AND value IS NOT NULL AND call_start_ns >= {onset_ms:UInt64} * 1000000 ORDER BY revision DESC LIMIT 1 BY score_id) AS scores
       WHERE deleted_slot = 0 AND empty(flags) ORDER BY value ${worst}, call_start_ns, trace_id, span_id LIMIT {limit:UInt8}`,
      { ...parameters, metric },
    );
  }
  return store.select<Example>(
    `SELECT trace_id, span_id, ${signal.why} AS why
     FROM (SELECT * FROM calls WHERE ${ofCandidate} AND start_ns >= {onset_ms:UInt64} * 1000000 ORDER BY revision DESC LIMIT 1 BY trace_id, span_id) AS calls
     WHERE ${COUNTED} AND ${signal.shows} ORDER BY ${signal.worst} ${direction === 'up' ? 'DESC' : 'ASC'}, start_ns, trace_id, span_id LIMIT {limit:UInt8}`,
    parameters,
  );
}

const AFTER_SECONDS = `concat(' after ', toString(round((end_ns - start_ns) / 1e9, 1)), ' s')`;
const EXAMPLES: ReadonlyMap<string, { readonly shows: string; readonly worst: string; readonly why: string }> = new Map([
  ['error_rate', { shows: 'is_error', worst: '1', why: `concat('error ', coalesce(error_type, status_message, 'unknown'), ${AFTER_SECONDS})` }],
  ['latency', { shows: 'NOT is_error', worst: 'end_ns - start_ns', why: `concat('took ', toString(round((end_ns - start_ns) / 1e9, 1)), ' s')` }],
  ['ttft', { shows: 'ttft_ms IS NOT NULL', worst: 'ttft_ms', why: `concat('first token after ', toString(round(assumeNotNull(ttft_ms) / 1000, 2)), ' s')` }],
  ['input_tokens', { shows: 'input_tokens IS NOT NULL', worst: 'input_tokens', why: `concat(toString(assumeNotNull(input_tokens)), ' input tokens')` }],
  ['output_tokens', { shows: 'output_tokens IS NOT NULL', worst: 'output_tokens', why: `concat(toString(assumeNotNull(output_tokens)), ' output tokens')` }],
  ['cost', { shows: 'cost_usd IS NOT NULL', worst: 'cost_usd', why: `concat('cost $', toString(round(assumeNotNull(cost_usd), 6)))` }],
  ['truncated', { shows: `finish_reason = 'length'`, worst: '1', why: `concat('cut off at ', coalesce(toString(output_tokens), '?'), ' output tokens')` }],
  ['content_filter', { shows: `finish_reason = 'content_filter'`, worst: '1', why: `'stopped by a content filter'` }],
  ['empty', { shows: 'is_empty', worst: '1', why: `'empty answer'` }],
  ['format', { shows: 'NOT is_format_valid', worst: '1', why: `'answer is not the JSON that was asked for'` }],
]);

export const bySlot = <Row extends { readonly slot: number }>(rows: readonly Row[]): Map<number, Row[]> => groupBy(rows, ({ slot }) => slot);

import type { Store } from '../../schemas/store.ts';
import { ATTRIBUTED, bySlot, COUNTED, JUDGED, ROUTE, surroundings, type CallObservation, type PromptKey, type ScoreObservation, type Seen } from './observations.ts';
import { compareText } from '../statistics/evidence.ts';

/**
 * Calls and scores of closed slots, one by one, in the order in which they count: by slot, start and id.
 *
 * Nearly all of what is read is read here, and most columns say the same in nearly all rows: version, models, route. So each combination of those is sent once (`Alike`), with a
 * list of what each of its calls has of its own: a third of the bytes, and equal texts are one in memory.
 */

type Range = { readonly from: number; readonly to: number };

export async function selectCalls(store: Store, prompt: PromptKey, range: Range): Promise<readonly CallObservation[]> {
  const [calls = []] = await selectCallsOf(store, [prompt], range);
  return calls;
}

/** Both, asked for at the same time. */
export async function selectBoth(store: Store, prompt: PromptKey, range: Range): Promise<readonly [calls: readonly CallObservation[], scores: readonly ScoreObservation[]]> {
  const [[calls = []], [scores = []]] = await Promise.all([selectCallsOf(store, [prompt], range), selectScoresOf(store, [prompt], range)]);
  return [calls, scores];
}

export async function selectBothBySlot(store: Store, prompt: PromptKey, range: Range): Promise<readonly [calls: ReadonlyMap<number, readonly CallObservation[]>, scores: ReadonlyMap<number, readonly ScoreObservation[]>]> {
  const [calls, scores] = await selectBoth(store, prompt, range);
  return [bySlot(calls), bySlot(scores)];
}

/** Calls of several prompts, of each in the place that it has among them. */
export async function selectCallsOf(store: Store, prompts: readonly PromptKey[], range: Range): Promise<readonly (readonly CallObservation[])[]> {
  const rows = await store.select<Alike<Seen & Pick<CallObservation, 'finish_reason'>, OwnOfCall>>(
    `SELECT place, ${SHARED}, finish_reason,
            groupArray((slot, start_ms, start_rest_ns, trace_id, span_id, session_id, is_error, duration_ms, ttft_ms, input_tokens, output_tokens, cost_usd, is_empty, is_format_valid)) AS each
     FROM (SELECT place, slot, assumeNotNull(prompt_version) AS version, trace_id, span_id, session_id, intDiv(start_ns, 1000000) AS start_ms, start_ns % 1000000 AS start_rest_ns,
                  coalesce(calls.request_model, '') AS request_model, coalesce(calls.response_model, calls.request_model, '') AS response_model, operation, ${ROUTE} AS route, ${surroundings('calls')},
                  is_error, if(end_ns > start_ns AND NOT is_cache_hit, (end_ns - start_ns) / 1e6, NULL) AS duration_ms, if(is_cache_hit, NULL, calls.ttft_ms) AS ttft_ms, input_tokens, output_tokens,
                  if(is_cache_hit, NULL, calls.cost_usd) AS cost_usd, finish_reason, is_empty, is_format_valid
           FROM (SELECT *, ${PLACE} AS place FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPTS} AND ${ATTRIBUTED}
                 ORDER BY revision DESC LIMIT 1 BY place, trace_id, span_id) AS calls
           WHERE ${COUNTED})
     GROUP BY place, ${SHARED}, finish_reason`,
    { ...named(prompts), ...range },
  );
  // Written out, field by field, here and of scores: with a spread it takes twenty times as long.
  return inPlaces(rows, prompts.length, byCall, ({ shared, own }) => ({
    slot: own[0],
    start_ms: own[1],
    trace_id: own[3],
    span_id: own[4],
    session_id: own[5],
    seen: shared,
    is_error: own[6],
    duration_ms: own[7],
    ttft_ms: own[8],
    input_tokens: own[9],
    output_tokens: own[10],
    cost_usd: own[11],
    is_empty: own[12],
    is_format_valid: own[13],
    finish_reason: shared.finish_reason,
  }));
}

/** The same of scores. */
export async function selectScoresOf(store: Store, prompts: readonly PromptKey[], range: Range): Promise<readonly (readonly ScoreObservation[])[]> {
  const rows = await store.select<Alike<Seen & Pick<ScoreObservation, 'name' | 'data_type' | 'evaluator'>, OwnOfScore>>(
    // The newest row of each score: corrections keep `bet_value`, and a deletion says in which slot it came.
    `SELECT place, ${SHARED}, name, data_type, evaluator, groupArray((slot, start_ms, start_rest_ns, trace_id, span_id, session_id, score_id, value)) AS each
     FROM (SELECT place, slot, name, assumeNotNull(scores.bet_value) AS value, data_type, coalesce(scores.evaluator, '') AS evaluator, assumeNotNull(prompt_version) AS version, score_id, call_trace_id AS trace_id,
                  call_span_id AS span_id, session_id, intDiv(call_start_ns, 1000000) AS start_ms, call_start_ns % 1000000 AS start_rest_ns, coalesce(scores.request_model, '') AS request_model,
                  coalesce(scores.response_model, scores.request_model, '') AS response_model, operation, ${ROUTE} AS route, ${surroundings('scores')}
           FROM (SELECT *, ${PLACE} AS place FROM scores WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPTS} AND ${ATTRIBUTED}
                 ORDER BY revision DESC LIMIT 1 BY place, score_id) AS scores
           WHERE scores.bet_value IS NOT NULL AND isFinite(scores.bet_value) AND ${JUDGED})
     GROUP BY place, ${SHARED}, name, data_type, evaluator`,
    { ...named(prompts), ...range },
  );
  const byScore = (left: Observed<{ readonly name: string }, OwnOfScore>, right: typeof left): number => byCall(left, right) || compareText(left.shared.name, right.shared.name) || compareText(left.own[6], right.own[6]);
  return inPlaces(rows, prompts.length, byScore, ({ shared, own }) => ({
    slot: own[0],
    start_ms: own[1],
    trace_id: own[3],
    span_id: own[4],
    session_id: own[5],
    seen: shared,
    name: shared.name,
    value: own[7],
    data_type: shared.data_type,
    evaluator: shared.evaluator,
  }));
}

const SHARED = 'version, request_model, response_model, operation, route, provider, service_name, app_version, prompt_content, attributes';

/** `place`: of the prompt among those that were asked for, from 1 on; 0: it is none of them. */
type Alike<Shared, Own> = Shared & { readonly place: number; readonly each: readonly Own[] };
type Observed<Shared, Own> = { readonly shared: Shared; readonly own: Own };

/** A start in nanoseconds is more than a number holds: milliseconds, and what remains. */
type OwnOfEither = readonly [slot: number, start_ms: number, start_rest_ns: number, trace_id: string, span_id: string, session_id: string | null];
type OwnOfCall = readonly [
  ...OwnOfEither,
  is_error: boolean,
  duration_ms: number | null,
  ttft_ms: number | null,
  input_tokens: number | null,
  output_tokens: number | null,
  cost_usd: number | null,
  is_empty: boolean | null,
  is_format_valid: boolean | null,
];
type OwnOfScore = readonly [...OwnOfEither, score_id: string, value: number];

const PLACE = `arrayFirstIndex((its_project, its_environment, its_name) -> its_name = assumeNotNull(prompt_name) AND its_project = project AND its_environment = environment, {projects:Array(String)}, {environments:Array(String)}, {prompt_names:Array(String)})`;
const OF_PROMPTS = `prompt_name IN {prompt_names:Array(String)} AND place > 0`;
const named = (prompts: readonly PromptKey[]) => ({ projects: prompts.map(({ project }) => project), environments: prompts.map(({ environment }) => environment), prompt_names: prompts.map(({ prompt_name }) => prompt_name) });

function inPlaces<Shared, Own, Row>(rows: readonly Alike<Shared, Own>[], prompts: number, order: (left: Observed<Shared, Own>, right: Observed<Shared, Own>) => number, rowOf: (observed: Observed<Shared, Own>) => Row): readonly Row[][] {
  const found: Observed<Shared, Own>[][] = Array.from({ length: prompts }, () => []);
  for (const { place, each, ...rest } of rows) {
    const shared = rest as unknown as Shared; // What is left of the type, which the compiler cannot tell of a generic one.
    for (const own of each) found[place - 1]?.push({ shared, own });
  }
  return found.map((observed) => observed.sort(order).map(rowOf));
}

function byCall({ own: left }: { readonly own: OwnOfEither | OwnOfCall | OwnOfScore }, { own: right }: { readonly own: OwnOfEither | OwnOfCall | OwnOfScore }): number {
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2] || compareText(left[3], right[3]) || compareText(left[4], right[4]);
}

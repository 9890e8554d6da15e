import type { Store } from '../../schemas/store.ts';
import { toolOf } from '../dialects/log-events.ts';
import { chunksOf } from './chunks.ts';
import type { SpanIdentity } from './identity.ts';
import { kindOf, type Role, type SeenInference, type Tags } from './nesting.ts';
import { batchesOf, OF_SHARD } from './shards.ts';
import { BUCKET_MS, likenessOf, MOST_ALIKE } from './strays.ts';

/** What the store knows of how spans stand to one another: the shape that inferences.ts remembers, without anything else. */
export type Sighting = SpanIdentity & Tags & {
  readonly parent_span_id: string | null;
  readonly reason: string;
  /** Null: the span is no inference. */
  readonly inference: SeenInference | null;
  /** Of an inference. */
  readonly role: Role;
  readonly slot: number;
};

type Row = Omit<SeenInference, 'kind'> & { parent_span_id: string | null; reason: string; role: Role; slot: number };

/** Of one trace; what is beyond stays unknown. */
const MOST_SPANS = 100_000;
/** Twins run at the same time, but one may begin long before the other. */
const AROUND_S = 3_600;

const TAGS = 'prompt_name, prompt_version, prompt_version_source, prompt_label, prompt_attribution, session_id, user_id';
const INFERENCE = `${TAGS}, project, trace_id, span_id, nullIf(parent_span_id, '') AS parent_span_id, reason, role, slot, scope_name, service_name, calls.start_ns / 1e6 AS start_ms, calls.end_ns / 1e6 AS end_ms,
  toBool(position(operation, 'embed') > 0) AS embeds, request_model, response_model, response_id, input_tokens, output_tokens, cache_read_tokens, is_cache_hit, is_error, is_stream`;
const NEWEST = 'ORDER BY calls.revision DESC LIMIT 1 BY project, trace_id, span_id';

/** Every stored span of these traces. */
export async function loadSightings(store: Store, traceIds: readonly string[]): Promise<Sighting[]> {
  const found: Sighting[] = [];
  for (const trace_ids of chunksOf(traceIds)) {
    const inferences = await store.select<Row>(`SELECT * FROM (SELECT ${INFERENCE} FROM calls WHERE trace_id IN {trace_ids:Array(String)} ${NEWEST}) LIMIT ${MOST_SPANS} BY project, trace_id`, { trace_ids });
    const relatives = await store.select<Omit<Sighting, 'inference' | 'role' | 'slot'>>(
      `SELECT project, trace_id, span_id, nullIf(parent_span_id, '') AS parent_span_id, reason, ${TAGS} FROM (SELECT * FROM relatives WHERE trace_id IN {trace_ids:Array(String)} ORDER BY received_ms DESC LIMIT 1 BY project, trace_id, span_id) LIMIT ${MOST_SPANS} BY project, trace_id`,
      { trace_ids },
    );
    for (const row of inferences) found.push(sighting(row));
    for (const row of relatives) found.push({ ...row, inference: null, role: 'wrapper', slot: 0 });
  }
  return found;
}

/** A response, and when the call began that had it. */
export type AtResponse = { readonly response_id: string | null; readonly start_ms: number };

/** Stored inferences of a shard with these response ids, in whichever trace, that began about when these did: other days need not be read. */
export async function loadSightingsOfResponses(store: Store, shard: number, responses: readonly AtResponse[]): Promise<Sighting[]> {
  const found: Sighting[] = [];
  for (const chunk of chunksOf(responses)) {
    const response_ids = [...new Set(chunk.flatMap(({ response_id }) => response_id ?? []))];
    if (response_ids.length === 0) continue;
    const rows = await store.select<Row>(
      `SELECT ${INFERENCE} FROM calls WHERE response_id IN {response_ids:Array(String)} AND ${AROUND} AND ${OF_SHARD} ${NEWEST} LIMIT ${MOST_SPANS}`,
      { response_ids, ...around(chunk, AROUND_S), ...batchesOf(shard) },
    );
    for (const row of rows) found.push(sighting(row));
  }
  return found;
}

/** What a call may be known by in another trace (strays.ts), who told of it, and when it began. */
export type Alike = Parameters<typeof likenessOf>[0] & Pick<SeenInference, 'start_ms' | 'scope_name'>;

/**
 * Stored inferences of a shard that are like these, in whichever trace, and began within `aroundS` seconds of them: at most `MOST_ALIKE` of a kind in two seconds, since beyond that
 * nobody could tell them apart. Of calls that one library alone tells of, none: whoever catches up with an hour of them would read all that are alike with every batch.
 */
export async function loadSightingsAlike(store: Store, shard: number, calls: readonly Alike[], aroundS: number): Promise<Sighting[]> {
  const found: Sighting[] = [];
  for (const asked of chunksOf(calls)) {
    const chunk = asked.filter((call) => likenessOf(call) !== null);
    const scopes = new Set(chunk.map(({ scope_name }) => scope_name));
    const told = new Set<string | null>();
    for (const scope of scopes) {
      const rows = await store.select<Parameters<typeof likenessOf>[0]>(
        `SELECT DISTINCT project, service_name, input_tokens, output_tokens, if(input_tokens IS NULL AND output_tokens IS NULL, session_id, NULL) AS session_id FROM calls WHERE ${ALIKE} AND scope_name != {scope:String} AND ${OF_SHARD}`,
        { ...alike(chunk.filter(({ scope_name }) => scope_name === scope), aroundS), scope, ...batchesOf(shard) },
      );
      for (const row of rows) told.add(likenessOf(row));
    }
    const twice = chunk.filter((call) => told.has(likenessOf(call)));
    if (twice.length === 0) continue;
    const wanted = new Set<string | null>(twice.map(likenessOf));
    const rows = await store.select<Row>(
      `SELECT * FROM (SELECT ${INFERENCE} FROM calls WHERE ${ALIKE} AND ${OF_SHARD} ${NEWEST}) ORDER BY start_ms, span_id LIMIT ${MOST_ALIKE} BY project, service_name, input_tokens, output_tokens, if(input_tokens IS NULL, session_id, NULL), intDiv(start_ms, ${BUCKET_MS}) LIMIT ${MOST_SPANS}`,
      { ...alike(twice, aroundS), ...batchesOf(shard) },
    );
    for (const row of rows) if (wanted.has(likenessOf(row))) found.push(sighting(row));
  }
  return found;
}

/** Of one session; it is the last of many hours that are asked for. */
const MOST_OF_SESSION = 1_000;

/** Stored inferences of a shard that tools which tell of a call twice (echoes.ts) wrote in these sessions, and that began about when these did. */
export async function loadSightingsOfSessions(store: Store, shard: number, calls: readonly Alike[]): Promise<Sighting[]> {
  const found: Sighting[] = [];
  const told = calls.filter(({ scope_name, session_id }) => session_id !== null && toolOf(scope_name) !== null);
  for (const chunk of chunksOf(told)) {
    const rows = await store.select<Row>(
      `SELECT * FROM (SELECT ${INFERENCE} FROM calls WHERE session_id IN {sessions:Array(String)} AND service_name IN {services:Array(String)} AND ${AROUND} AND ${OF_SHARD} ${NEWEST}) ORDER BY start_ms DESC, span_id LIMIT ${MOST_OF_SESSION} BY project, session_id`,
      { sessions: [...new Set(chunk.flatMap(({ session_id }) => session_id ?? []))], services: [...new Set(chunk.map(({ service_name }) => service_name))], ...around(chunk, AROUND_S), ...batchesOf(shard) },
    );
    for (const row of rows) found.push(sighting(row));
  }
  return found;
}

const AROUND = 'event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}';
const ALIKE = `project IN {projects:Array(String)} AND service_name IN {services:Array(String)} AND ${AROUND}
  AND (input_tokens IN {inputs:Array(UInt64)} AND output_tokens IN {outputs:Array(UInt64)} OR input_tokens IS NULL AND output_tokens IS NULL AND session_id IN {sessions:Array(String)})`;

function around(calls: readonly Pick<SeenInference, 'start_ms'>[], aroundS: number) {
  const seconds = calls.map(({ start_ms }) => start_ms / 1000);
  return { from_s: asSeconds(Math.min(...seconds) - aroundS), to_s: asSeconds(Math.max(...seconds) + aroundS) };
}

function alike(calls: readonly Alike[], aroundS: number) {
  return {
    projects: [...new Set(calls.map(({ project }) => project))],
    services: [...new Set(calls.map(({ service_name }) => service_name))],
    inputs: [...new Set(calls.flatMap(({ input_tokens }) => input_tokens ?? []))],
    outputs: [...new Set(calls.flatMap(({ output_tokens }) => output_tokens ?? []))],
    sessions: [...new Set(calls.flatMap(({ session_id }) => session_id ?? []))],
    ...around(calls, aroundS),
  };
}

function asSeconds(seconds: number): number {
  return Math.min(Math.max(Math.floor(seconds), 0), 4_294_967_295);
}

function sighting(row: Row): Sighting {
  return { ...row, inference: { ...row, kind: kindOf(row.reason) } };
}

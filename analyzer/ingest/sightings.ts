import type { Store } from '../../schemas/store.ts';
import type { SpanIdentity } from './identity.ts';
import type { Role, SeenInference, Tags } from './nesting.ts';
import { likenessOf } from './strays.ts';

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

const CHUNK = 2_000;
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
  for (let from = 0; from < traceIds.length; from += CHUNK) {
    const trace_ids = traceIds.slice(from, from + CHUNK);
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

/** Stored inferences with these response ids, in whichever trace, that began about when these did: other days need not be read. */
export async function loadSightingsOfResponses(store: Store, responses: readonly AtResponse[]): Promise<Sighting[]> {
  const found: Sighting[] = [];
  for (let from = 0; from < responses.length; from += CHUNK) {
    const chunk = responses.slice(from, from + CHUNK);
    const response_ids = [...new Set(chunk.flatMap(({ response_id }) => response_id ?? []))];
    if (response_ids.length === 0) continue;
    const seconds = chunk.map(({ start_ms }) => start_ms / 1000);
    const rows = await store.select<Row>(
      `SELECT ${INFERENCE} FROM calls WHERE response_id IN {response_ids:Array(String)} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32} ${NEWEST} LIMIT ${MOST_SPANS}`,
      { response_ids, from_s: asSeconds(Math.min(...seconds) - AROUND_S), to_s: asSeconds(Math.max(...seconds) + AROUND_S) },
    );
    for (const row of rows) found.push(sighting(row));
  }
  return found;
}

/** What a call may be known by in another trace (strays.ts), and when it began. */
export type Alike = Parameters<typeof likenessOf>[0] & Pick<SeenInference, 'start_ms'>;

/** Stored inferences that are like these, in whichever trace, and began within `aroundS` seconds of them. */
export async function loadSightingsAlike(store: Store, calls: readonly Alike[], aroundS: number): Promise<Sighting[]> {
  const found: Sighting[] = [];
  for (let from = 0; from < calls.length; from += CHUNK) {
    const chunk = calls.slice(from, from + CHUNK);
    const wanted = new Set(chunk.flatMap((call) => likenessOf(call) ?? []));
    if (wanted.size === 0) continue;
    const seconds = chunk.map(({ start_ms }) => start_ms / 1000);
    const rows = await store.select<Row>(
      `SELECT ${INFERENCE} FROM calls WHERE service_name IN {services:Array(String)} AND event_time >= {from_s:UInt32} AND event_time <= {to_s:UInt32}
       AND (input_tokens IN {inputs:Array(UInt64)} AND output_tokens IN {outputs:Array(UInt64)} OR input_tokens IS NULL AND output_tokens IS NULL AND session_id IN {sessions:Array(String)}) ${NEWEST} LIMIT ${MOST_SPANS}`,
      {
        services: [...new Set(chunk.map(({ service_name }) => service_name))],
        inputs: [...new Set(chunk.flatMap(({ input_tokens }) => input_tokens ?? []))],
        outputs: [...new Set(chunk.flatMap(({ output_tokens }) => output_tokens ?? []))],
        sessions: [...new Set(chunk.flatMap(({ session_id }) => session_id ?? []))],
        from_s: asSeconds(Math.min(...seconds) - aroundS),
        to_s: asSeconds(Math.max(...seconds) + aroundS),
      },
    );
    for (const row of rows) if (wanted.has(likenessOf(row) ?? '')) found.push(sighting(row));
  }
  return found;
}

function asSeconds(seconds: number): number {
  return Math.min(Math.max(Math.floor(seconds), 0), 4_294_967_295);
}

function sighting(row: Row): Sighting {
  return { ...row, inference: { ...row, kind: row.reason === '' ? 'own' : 'aggregate' } };
}

import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { createNormaliser, type NormalisedSpan } from '../../analyzer/normalise.ts';
import type { LlmCall } from '../../schemas/call.ts';
import { readCapture, readSpans, type ExpectedCall } from '../golden/captures.ts';

/** A capture's real bytes through the real decoder and normaliser, and what every dialect's test asks of them. */
export type NormalisedCapture = {
  readonly expected: readonly ExpectedCall[];
  readonly traps: readonly string[];
  readonly calls: ReadonlyMap<string, LlmCall>;
  readonly relatives: readonly Extract<NormalisedSpan, { kind: 'relative' }>[];
};

/** @param files those of the capture that hold the spans; all that hold traces, unless some are asked for. */
export function normalisedCapture(client: string, files: readonly string[] = tracesOf(client)): NormalisedSpan[] {
  const normaliser = createNormaliser({ stratumAttributes: [] });
  return files
    .flatMap((file) => readSpans(client, file))
    .map(({ resource, scope, span }) => normaliser.span({ project: 'p', received_ms: Number(span.end_ns / 1_000_000n) + 1000 }, resource, scope, span));
}

function tracesOf(client: string): string[] {
  return readdirSync(fileURLToPath(new URL(`../golden/${client}/`, import.meta.url))).filter((file) => file.endsWith('-traces.bin')).sort();
}

export function callsOf(normalised: readonly NormalisedSpan[]): Map<string, LlmCall> {
  return new Map(normalised.flatMap((result) => (result.kind === 'call' ? [[result.call.span_id, result.call]] : [])));
}

export function normaliseCapture(client: string, files: readonly string[]): NormalisedCapture {
  const { calls, traps } = readCapture(client);
  const normalised = normalisedCapture(client, files);
  return {
    expected: calls,
    traps: traps.map(({ span_id }) => span_id),
    calls: callsOf(normalised),
    relatives: normalised.filter((result) => result.kind === 'relative'),
  };
}

/** A second instrumentation's span of a call counts as a call here: that they are one is seen where spans meet. */
export function expectTheCallsThatWereMade({ calls, expected, relatives, traps }: NormalisedCapture): void {
  expect([...calls.keys()].sort()).toEqual(expected.map(({ span_id }) => span_id).sort());
  const others = new Set(relatives.map(({ relative }) => relative.span_id));
  expect(traps.filter((trap) => !others.has(trap))).toEqual([]);
}

/** Words of providers that mean the same, as in `analyzer/dialects/vocabulary.ts`, told again so that a wrong table shows. */
export const FINISH_REASONS: Readonly<Record<string, string>> = {
  stop: 'stop',
  end_turn: 'stop',
  completed: 'stop',
  length: 'length',
  max_tokens: 'length',
  tool_calls: 'tool_call',
  tool_call: 'tool_call',
  'tool-calls': 'tool_call',
  tool_use: 'tool_call',
  content_filter: 'content_filter',
  'content-filter': 'content_filter',
};

/** As users are stored. */
export function hashedUser(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16);
}

/**
 * Everything that the wire says of a call on its own span; what stands above it is not the dialect's to read. Where the wire is
 * silent in the words of the capture's author, a reader may still find the fact elsewhere on the span, but for counts and versions.
 */
export function expectWhatIsOnTheWire(call: LlmCall | undefined, wire: ExpectedCall & { cost_if_emitted?: number }): void {
  const isOwn = wire.prompt_tags_on === 'self';
  expect(call).toMatchObject({
    trace_id: wire.trace_id,
    parent_span_id: wire.parent_span_id,
    prompt_version: isOwn ? wire.prompt_version : null,
    prompt_version_source: isOwn && wire.prompt_version !== null ? 'explicit' : 'none',
    ...present({ request_model: wire.request_model, provider: wire.provider, is_stream: wire.is_streaming }),
    // What failed was served by nobody, whatever the span says.
    ...(wire.is_error && wire.response_model === null ? { response_model: null } : present({ response_model: wire.response_model })),
    response_id: wire.response_id,
    input_tokens: wire.input_tokens,
    output_tokens: wire.output_tokens,
    cache_read_tokens: wire.cached_input_tokens,
    ...present({ finish_reason: wire.finish_reasons === null ? null : FINISH_REASONS[wire.finish_reasons[0] ?? ''] }),
    is_error: wire.is_error,
    error_type: wire.error_type,
    session_id: wire.session_id_on === 'self' ? wire.session_id : null,
    user_id: wire.user_id_on === 'self' && wire.user_id !== null ? hashedUser(wire.user_id) : null,
    environment: wire.environment ?? 'default',
    flags: [],
  });
  expect(call?.duration_ms).toBeCloseTo(wire.duration_ms, 1);
  if (wire.ttft_ms_if_emitted === null) expect(call?.ttft_ms).toBeNull();
  else expect(call?.ttft_ms).toBeCloseTo(wire.ttft_ms_if_emitted, 2);
  if (wire.cost_if_emitted === undefined) expect(call?.cost_source).not.toBe('reported');
  else expect(call).toMatchObject({ cost_usd: wire.cost_if_emitted, cost_source: 'reported' });
}

function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

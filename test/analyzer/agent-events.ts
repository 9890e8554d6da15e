import { text } from '../../analyzer/dialects/values.ts';
import { createNormaliser } from '../../analyzer/normalise.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { AttributeValue, OtlpLogRecord } from '../../schemas/otlp.ts';
import { readAgent, type AgentCall } from '../golden/agents.ts';
import { record } from './spans.ts';

/** The calls that the log events of a recorded agent tell of, and what the model server knows of them: both in the order of their input tokens, failures first. */
export function loggedBy(name: string): { readonly calls: readonly LlmCall[]; readonly expected: readonly AgentCall[] } {
  const normaliser = createNormaliser({ stratumAttributes: [] });
  const { records, calls } = readAgent(name);
  const found = records.flatMap(({ resource, scope, records: logged }) =>
    logged.flatMap((one) => {
      const read = normaliser.record({ project: 'p', received_ms: Number(one.observed_time_ns / 1_000_000n) + 1_000 }, resource, scope, one);
      return read.kind === 'call' ? [read.call] : [];
    }),
  );
  return { calls: inOrder(found), expected: inOrder(calls) };
}

function inOrder<Call extends { readonly input_tokens: number | null }>(calls: readonly Call[]): Call[] {
  return calls.toSorted((one, other) => (one.input_tokens ?? 0) - (other.input_tokens ?? 0));
}

/** Reads events of one scope, in their order. */
export function eventReader(scopeName: string) {
  const normaliser = createNormaliser({ stratumAttributes: [] });
  return (attributes: Readonly<Record<string, AttributeValue>>, changed: Partial<OtlpLogRecord> = {}, resource: Readonly<Record<string, string>> = {}) =>
    normaliser.record({ project: 'p', received_ms: AT_MS + 1_000 }, new Map(Object.entries(resource)), { name: scopeName, version: '', attributes: new Map() }, record(attributes, { event_name: text(attributes['event.name'], new Set()) ?? '', time_ns: BigInt(AT_MS) * 1_000_000n, trace_id: null, span_id: null, ...changed }));
}

export const AT_MS = Date.UTC(2026, 10, 26, 12);
export const atMs = (afterMs: number): Partial<OtlpLogRecord> => ({ time_ns: BigInt(AT_MS + afterMs) * 1_000_000n });

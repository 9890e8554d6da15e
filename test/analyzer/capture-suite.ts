import { expect, it } from 'vitest';
import type { LlmCall } from '../../schemas/call.ts';
import { readCapture, type ExpectedCall } from '../golden/captures.ts';
import { callsOf, FINISH_REASONS, hashedUser, normalisedCapture } from './capture.ts';

/** As in `analyzer/dialects/vocabulary.ts`. */
const PROVIDER: Readonly<Record<string, string>> = { 'openai.chat': 'openai', 'openai.responses': 'openai', 'openai.embedding': 'openai' };

export type CaptureTest = {
  readonly client: string;
  readonly dialect: string;
  /** The application put its prompt into metadata, which is read for all dialects alike (its own test has that). */
  readonly promptIn?: (call: ExpectedCall) => 'own_keys' | 'metadata';
};

/** Every span of a capture through the real decoder and normaliser: exactly the calls that were made, and what each says. */
export function describeCapture({ client, dialect, promptIn = () => 'own_keys' }: CaptureTest): void {
  const { calls: expected, traps, duplicates = [] } = readCapture(client);
  const normalised = normalisedCapture(client);
  const calls = callsOf(normalised);
  const relatives = normalised.flatMap((result) => (result.kind === 'relative' ? [result.relative] : []));

  it('has exactly the calls that were made, and reads no trap as one', () => {
    // Which of two spans stands for one call is decided where spans meet; a duplicate that says nothing is no call by itself.
    const told = new Set(duplicates.map(({ span_id }) => span_id));
    expect([...calls.keys()].filter((id) => !told.has(id)).sort()).toEqual(expected.map((call) => call.span_id).sort());
    expect(new Set([...calls.values()].map((call) => call.dialect))).toEqual(new Set([dialect]));
    const relativeIds = new Set(relatives.map(({ span_id }) => span_id));
    for (const { span_id } of traps) expect(relativeIds).toContain(span_id);
  });

  it.each(expected)('reads $span_name $span_id', (wire) => {
    const call = calls.get(wire.span_id);
    expect(call).toMatchObject({ trace_id: wire.trace_id, parent_span_id: wire.parent_span_id, is_error: wire.is_error, error_type: wire.error_type });
    expect(call?.duration_ms).toBeCloseTo(wire.duration_ms, 1);
    expect(call).toMatchObject(stated(wire));
    if (wire.prompt_tags_on === 'self' && promptIn(wire) === 'own_keys') {
      expect(call).toMatchObject({ prompt_name: wire.prompt_name, prompt_attribution: 'direct' });
      if (wire.prompt_version !== null) expect(call).toMatchObject({ prompt_version: wire.prompt_version, prompt_version_source: 'explicit' });
    }
    if (wire.ttft_ms_if_emitted === null) expect(call?.ttft_ms).toBeNull();
    else expect(call?.ttft_ms).toBeCloseTo(wire.ttft_ms_if_emitted, 0);
  });
}

/** What the wire states of a call, in our words; what it does not state is not in it. */
function stated(wire: ExpectedCall): Partial<LlmCall> {
  const entries: [keyof LlmCall, unknown][] = [
    ['request_model', wire.request_model],
    ['response_model', wire.response_model],
    ['provider', wire.provider === null ? null : (PROVIDER[wire.provider] ?? wire.provider)],
    ['response_id', wire.response_id],
    ['input_tokens', wire.input_tokens],
    ['output_tokens', wire.output_tokens],
    ['cache_read_tokens', wire.cached_input_tokens],
    ['finish_reason', wire.finish_reasons === null ? null : FINISH_REASONS[wire.finish_reasons[0] ?? '']],
    ['is_stream', wire.is_streaming],
    ['environment', wire.environment],
    ['session_id', wire.session_id_on === 'self' ? wire.session_id : null],
    ['user_id', wire.user_id_on === 'self' && wire.user_id !== null ? hashedUser(wire.user_id) : null],
  ];
  return Object.fromEntries(entries.filter(([, value]) => value !== null && value !== undefined));
}

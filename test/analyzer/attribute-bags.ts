import fc from 'fast-check';
import { expect } from 'vitest';
import { structured } from '../../analyzer/dialects/structured.ts';
import { text } from '../../analyzer/dialects/values.ts';
import type { AttributeValue } from '../../schemas/otlp.ts';
import { normalise, span } from './spans.ts';

/** What a library might put under a key, and what nobody should: every type of the wire, JSON whole and broken, numbers as text. */
const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom<AttributeValue[]>('{}', '[]', '[[]]', '"', '{"id":', '{"id": 1, "choices": [{"message": {"content": [1, null]}}]}', '{"choices": {"0": 1}}', '{"content": {}, "stop_reason": []}', '{"output": [null, {"type": "message"}]}', '{"generations": [[{}], 3]}', "{'a': None}", '"[{\\"name\\": 1}, {\\"version\\": 2}]"', 'LLM', 'True', 'None', 'text/plain', '', '-1', '1e400'),
  fc.json({ maxDepth: 4 }),
  fc.double(),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 4 }),
  fc.array(fc.oneof(fc.string(), fc.double(), fc.constant(null)), { maxLength: 3 }),
  fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }).map((record) => new Map(Object.entries(record))),
);

export function attributeBag(keys: readonly string[]): fc.Arbitrary<Readonly<Record<string, AttributeValue>>> {
  return fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: keys.length });
}

/** Whatever is on the span, reading it ends with a record; a version or label in it stands on the wire, and numbers are numbers. */
export function expectNothingMadeUp(attributes: Readonly<Record<string, AttributeValue>>): void {
  const result = normalise(span(attributes));
  const tagged = result.kind === 'call' ? result.call : result.relative;
  const wire = new Set(Object.values(attributes).flatMap(leaves));
  // A version that is only a label says so in front of it; a hash is kept in lower case.
  const version = tagged.prompt_version?.toLowerCase().replace(/^label:/, '') ?? null;
  // What stands in front may have pushed the end over the limit.
  if (version !== null) expect([...wire].filter((leaf) => leaf?.toLowerCase().startsWith(version)), `${version} is on the wire`).not.toEqual([]);
  if (tagged.prompt_label !== null) expect(wire).toContain(tagged.prompt_label);
  const call = result.kind === 'call' ? result.call : result.candidate;
  if (call === null) return;
  for (const count of [call.input_tokens, call.output_tokens, call.cache_read_tokens, call.cache_write_tokens, call.reasoning_tokens]) {
    expect(count === null || (Number.isInteger(count) && count >= 0 && count <= 2 ** 31), `${count} tokens`).toBe(true);
  }
  for (const amount of [call.cost_usd, call.ttft_ms, call.duration_ms]) expect(amount === null || Number.isFinite(amount)).toBe(true);
}

/** Every text in a value, also inside of JSON. */
function leaves(value: AttributeValue): (string | null)[] {
  const read = structured(value) ?? value;
  const members = read instanceof Map ? [...read.values()] : Array.isArray(read) ? read : [];
  return [text(value, new Set()), ...members.flatMap((member: AttributeValue) => leaves(member))];
}

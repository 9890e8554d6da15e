import { hash } from 'node:crypto';
import type { Attributes, AttributeValue, OtlpSpan } from '../../schemas/otlp.ts';
import type { Inference } from '../dialects/index.ts';

/**
 * The messages of a call, for those who turned storing on (`content: hashed` or `stored`). Nothing else of content leaves this
 * folder; with `content: off` nobody calls this.
 */
export type CallContent = {
  readonly mode: 'hashed' | 'stored';
  /** Canonical text after redaction, or its SHA-256 in hex. Null: not on the wire, or over the limit. */
  readonly input: string | null;
  readonly output: string | null;
  readonly over_limit: readonly ('input' | 'output')[];
};

/** Null where the span carries no messages. */
export type ContentKeeper = (inference: Inference, span: OtlpSpan) => CallContent | null;

export type ContentSettings = {
  readonly mode: 'hashed' | 'stored';
  /** Takes out what must not be stored, from one text. */
  readonly redact: (text: string) => string;
  /** Longer content is not kept at all: cut in the middle, a secret would no longer be recognised as one. */
  readonly maxTextBytes: number;
};

/**
 * Where libraries put messages that their dialect does not name itself, first found wins; what stands in one line belongs
 * together. The dialect's own (`Inference.input`, `.output`) stand before all of these.
 */
const INPUT: readonly (readonly string[])[] = [
  ['gen_ai.system_instructions', 'gen_ai.input.messages'],
  ['langfuse.observation.input'],
  ['ai.prompt.messages'],
  ['ai.prompt'],
  ['ai.values'],
  ['ai.value'],
  ['mlflow.spanInputs'],
  ['input.value'],
  ['promptfoo.request.body'],
  ['braintrust.input_json'],
  ['braintrust.input'],
  ['gcp.vertex.agent.llm_request'],
  ['llm.openai.messages'],
  ['gen_ai.prompt'],
];
const OUTPUT: readonly (readonly string[])[] = [
  ['gen_ai.output.messages'],
  ['langfuse.observation.output'],
  ['ai.response.text', 'ai.response.toolCalls', 'ai.response.object'],
  ['mlflow.spanOutputs'],
  ['output.value'],
  ['promptfoo.response.body'],
  ['braintrust.output_json'],
  ['braintrust.output'],
  ['gcp.vertex.agent.llm_response'],
  ['llm.openai.choices'],
  ['gen_ai.completion'],
];
/** Messages spread over one key a field: `gen_ai.prompt.0.content`. */
const INPUT_NUMBERED = /^(?:gen_ai\.prompt|llm\.input_messages)\.\d/;
const OUTPUT_NUMBERED = /^(?:gen_ai\.completion|llm\.output_messages)\.\d/;
/** Up to 1.27 as events on the span. */
const INPUT_EVENT = { name: 'gen_ai.content.prompt', key: 'gen_ai.prompt' };
const OUTPUT_EVENT = { name: 'gen_ai.content.completion', key: 'gen_ai.completion' };

export function createContentKeeper({ mode, redact, maxTextBytes }: ContentSettings): ContentKeeper {
  return (inference, span) => {
    const over_limit: ('input' | 'output')[] = [];
    const kept = (side: 'input' | 'output', value: AttributeValue | undefined): string | null => {
      if (value === undefined || value === null) return null;
      const text = isLonger(value, maxTextBytes) ? null : canonicalText(value, redact);
      if (text === null || Buffer.byteLength(text) > maxTextBytes) {
        over_limit.push(side);
        return null;
      }
      return mode === 'hashed' ? hash('sha256', text, 'hex') : text;
    };
    const { attributes } = span;
    const input = kept('input', withSystem(inference.input, attributes) ?? firstOf(attributes, INPUT) ?? numbered(attributes, INPUT_NUMBERED) ?? inEvent(span, INPUT_EVENT));
    const output = kept('output', inference.output ?? firstOf(attributes, OUTPUT) ?? numbered(attributes, OUTPUT_NUMBERED) ?? inEvent(span, OUTPUT_EVENT));
    return input === null && output === null && over_limit.length === 0 ? null : { mode, input, output, over_limit };
  };
}

const SYSTEM = 'gen_ai.system_instructions';

/** The conventions keep the system prompt apart from the messages; it is as much of the input as they are. */
function withSystem(input: AttributeValue | undefined, attributes: Attributes): AttributeValue | undefined {
  const system = attributes.get(SYSTEM);
  return input === undefined || system === undefined || system === null ? input : new Map([[SYSTEM, system], ['gen_ai.input.messages', input]]);
}

function firstOf(attributes: Attributes, groups: readonly (readonly string[])[]): AttributeValue | undefined {
  for (const keys of groups) {
    const present = keys.flatMap((key): [string, AttributeValue][] => {
      const value = attributes.get(key);
      return value === undefined || value === null ? [] : [[key, value]];
    });
    if (present.length > 0) return present.length === 1 ? present[0]?.[1] : new Map(present);
  }
  return undefined;
}

function numbered(attributes: Attributes, pattern: RegExp): AttributeValue | undefined {
  const found = [...attributes].filter(([key]) => pattern.test(key));
  return found.length === 0 ? undefined : new Map(found);
}

function inEvent(span: OtlpSpan, { name, key }: { readonly name: string; readonly key: string }): AttributeValue | undefined {
  return span.events.find((event) => event.name === name)?.attributes.get(key);
}

/** Before anything is made of it; structured values are measured once they are text. */
function isLonger(value: AttributeValue, maxBytes: number): boolean {
  return typeof value === 'string' && (value.length > maxBytes || Buffer.byteLength(value) > maxBytes);
}

/**
 * The same messages as the same text, however they were written: JSON with sorted keys and without spaces, whether they came
 * structured, as JSON text or as JSON text of JSON text; anything else as it is, with line ends of one kind. Each text in it is
 * redacted on its own, so that a pattern sees what was said and not how JSON escapes it, and what is stored stays JSON.
 */
export function canonicalText(value: AttributeValue, redact: (text: string) => string): string | null {
  let json: unknown = value;
  for (let depth = 0; depth < 2 && typeof json === 'string'; depth += 1) {
    const parsed = parse(json);
    if (parsed === undefined) break;
    json = parsed;
  }
  if (typeof json === 'string') return redact(json.replaceAll('\r\n', '\n'));
  const canonical = canonicalJson(json, redact, 0);
  return canonical === TOO_DEEP ? null : JSON.stringify(canonical);
}

function redactedNumber(value: number | bigint, redact: (text: string) => string): number | string {
  const text = value.toString();
  const redacted = redact(text);
  return redacted === text && typeof value === 'number' ? value : redacted;
}

function parse(text: string): unknown {
  const first = text.trimStart()[0];
  if (first !== '{' && first !== '[' && first !== '"') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const MAX_DEPTH = 64;
const TOO_DEEP = Symbol('nested deeper than anybody writes');

function canonicalJson(value: unknown, redact: (text: string) => string, depth: number): unknown {
  if (depth > MAX_DEPTH) return TOO_DEEP;
  if (typeof value === 'string') return redact(value);
  // An account number is one whether it was written in quotes or not.
  if (typeof value === 'number' || typeof value === 'bigint') return redactedNumber(value, redact);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const members = value.map((member: unknown) => canonicalJson(member, redact, depth + 1));
    return members.includes(TOO_DEEP) ? TOO_DEEP : members;
  }
  const entries: [string, unknown][] = value instanceof Map ? [...value].map(([key, member]) => [String(key), member]) : Object.entries(value);
  const fields = entries.toSorted(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0)).map(([key, member]) => [redact(key), canonicalJson(member, redact, depth + 1)] as const);
  return fields.some(([, member]) => member === TOO_DEEP) ? TOO_DEEP : Object.fromEntries(fields);
}

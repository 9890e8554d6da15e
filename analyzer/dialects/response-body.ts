import type { AttributeValue } from '../../schemas/otlp.ts';
import type { WireUsage } from './index.ts';
import { providerUsage } from './provider-usage.ts';
import { type Fields, fieldsAt, isFields, listOf } from './structured.ts';
import { firstText, text } from './values.ts';

/**
 * A provider's response as a whole, which some libraries keep in one attribute: OpenAI Chat Completions (`choices`), OpenAI
 * Responses (`output` items), Anthropic Messages (`content`, `stop_reason`), and what LangChain makes of them (`generations`).
 */
export type ResponseBody = {
  readonly id: string | null;
  readonly model: string | null;
  /** Of the first choice. */
  readonly finish_reason: string | null;
  readonly usage: WireUsage | null;
  /** In a shape of `signals/answer.ts`. Undefined: nothing of this kind. */
  readonly messages: AttributeValue | undefined;
};

export function responseBody(body: Fields, flags: Set<string>): ResponseBody {
  const usage = fieldsAt(body, 'usage') ?? fieldsAt(body, 'usage_metadata');
  const came = choices(body, flags) ?? generations(body, flags) ?? responseItems(body, flags) ?? message(body, flags);
  return {
    id: text(body.get('id'), flags),
    model: text(body.get('model'), flags) ?? came?.model ?? null,
    finish_reason: came?.finish_reason ?? null,
    usage: usage === null ? null : providerUsage(usage),
    messages: came?.messages,
  };
}

type Came = { readonly messages: AttributeValue; readonly finish_reason: string | null; readonly model: string | null };

function choices(body: Fields, flags: Set<string>): Came | null {
  const list = listOf(body.get('choices')).filter(isFields);
  if (list.length === 0) return null;
  return {
    messages: list.map((choice) => choice.get('message') ?? choice.get('delta') ?? new Map([['content', choice.get('text') ?? null]])),
    finish_reason: text(list[0]?.get('finish_reason'), flags),
    model: null,
  };
}

/** LangChain: a list of choices for each prompt. Messages are serialised objects, with what they hold under `kwargs`. */
function generations(body: Fields, flags: Set<string>): Came | null {
  const list = listOf(body.get('generations')).flatMap((entry) => (Array.isArray(entry) ? listOf(entry) : [entry])).filter(isFields);
  const [first] = list;
  if (first === undefined) return null;
  const sent = (generation: Fields) => fieldsAt(generation, 'message', 'kwargs') ?? fieldsAt(generation, 'message');
  const metadata = [fieldsAt(first, 'generation_info'), fieldsAt(first, 'generationInfo'), fieldsAt(sent(first), 'response_metadata')];
  const stated = (keys: readonly string[]) => metadata.reduce<string | null>((found, fields) => found ?? (fields === null ? null : firstText(fields, keys, flags)), null);
  return {
    messages: list.map((generation) => sent(generation) ?? new Map([['content', generation.get('text') ?? null]])),
    finish_reason: stated(['finish_reason', 'stop_reason']),
    model: stated(['model_name', 'model']),
  };
}

/** A response that was cut has no finish reason but `incomplete_details`. */
function responseItems(body: Fields, flags: Set<string>): Came | null {
  const items = listOf(body.get('output'));
  if (items.length === 0) return null;
  return { messages: items, finish_reason: text(fieldsAt(body, 'incomplete_details')?.get('reason'), flags), model: null };
}

function message(body: Fields, flags: Set<string>): Came | null {
  return body.has('content') ? { messages: [body], finish_reason: text(body.get('stop_reason'), flags), model: null } : null;
}

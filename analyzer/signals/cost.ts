import { calcPrice, type ModelPrice } from '@pydantic/genai-prices';
import type { Usage } from './tokens.ts';

/**
 * What a call cost, from the price list of `@pydantic/genai-prices` (bundled, never fetched).
 *
 * The library takes 27 µs for each call, most of it to find the model. So it is asked once for each model, with no usage, and
 * the rates it answers with are kept; the test holds this file to the library, to a billionth of a dollar, over fourteen providers.
 */
export type Pricer = {
  /** US dollars, or null where the price of such a model, or the usage, is not known. */
  price(call: { provider: string; model: string; usage: Usage; at_ms: number }): number | null;
};

/** The prices of one model at one time, each a price for a million tokens, flat or stepped by the size of the input. */
type Rates = { readonly price: ModelPrice; readonly forEachRequest: number };

const MAX_MODELS = 4096;

export function createPricer(): Pricer {
  // Two levels: most prices hold for all time; the others (a start date, hours of the day) are kept for each minute.
  const constant = new Map<string, Rates | 'by_minute' | null>();
  const byMinute = new Map<string, Rates | null>();

  function ratesOf(provider: string, model: string, at_ms: number): Rates | null {
    const key = `${provider}\n${model}`;
    const known = constant.get(key);
    if (known !== undefined && known !== 'by_minute') return known;
    if (known === undefined) {
      const found = lookUp(provider, model, at_ms);
      keep(constant, key, found === null || !found.varies ? (found?.rates ?? null) : 'by_minute');
      if (found === null || !found.varies) return found?.rates ?? null;
    }
    const minute = Math.floor(at_ms / 60_000);
    const minuteKey = `${key}\n${minute}`;
    const now = byMinute.get(minuteKey);
    if (now !== undefined) return now;
    const rates = lookUp(provider, model, minute * 60_000)?.rates ?? null;
    keep(byMinute, minuteKey, rates);
    return rates;
  }

  return {
    price({ provider, model, usage, at_ms }) {
      if (usage.input === null && usage.output === null) return null;
      const rates = ratesOf(provider, model, at_ms);
      return rates === null ? null : total(rates, usage);
    },
  };
}

/** A model name is the sender's to choose: the memory of them is bounded, and starts anew when it is full. */
function keep<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  if (kept.size >= MAX_MODELS) kept.clear();
  kept.set(key, value);
}

/** Our providers in the library's words, where it would not find them by itself. Ollama runs models of others at home. */
const PRICED_AS: ReadonlyMap<string, string | null> = new Map([
  ['azure.ai.openai', 'azure'],
  ['azure.ai.inference', 'azure'],
  ['gcp.gemini', 'google'],
  ['gcp.vertex_ai', 'google'],
  ['gcp.gen_ai', 'google'],
  ['aws.bedrock', 'aws'],
  ['mistral_ai', 'mistral'],
  ['x_ai', 'x-ai'],
  ['moonshot_ai', 'moonshotai'],
  ['together_ai', 'together'],
  ['ollama', null],
]);

function lookUp(provider: string, model: string, at_ms: number): { rates: Rates; varies: boolean } | null {
  const providerId = PRICED_AS.has(provider) ? PRICED_AS.get(provider) : provider;
  if (providerId === null) return null;
  const options = providerId === undefined || providerId === 'unknown' ? {} : { providerId };
  const found = priceOf(model, at_ms, options);
  if (found === null) return null;
  const { model_price: price } = found;
  // A model that is not sold by the token (by the page, the second, the search) has no price that token counts could tell.
  if (price['input_mtok'] === undefined && price['output_mtok'] === undefined) return null;
  const perThousand = price['requests_kcount'];
  return { rates: { price, forEachRequest: typeof perThousand === 'number' ? perThousand / 1000 : 0 }, varies: Array.isArray(found.model.prices) };
}

/** The library throws on price data that it cannot read: then there is no price. */
function priceOf(model: string, at_ms: number, options: { providerId?: string }): ReturnType<typeof calcPrice> {
  try {
    return calcPrice({}, model, { ...options, timestamp: new Date(at_ms) });
  } catch {
    return null;
  }
}

/** Cached and reasoning tokens are taken out of input and output where they have a price of their own. */
function total({ price, forEachRequest }: Rates, usage: Usage): number {
  const input = usage.input ?? 0;
  const output = usage.output ?? 0;
  const cacheRead = priced(price, 'cache_read_mtok', Math.min(usage.cache_read ?? 0, input));
  const cacheWrite = priced(price, 'cache_write_mtok', Math.min(usage.cache_write ?? 0, input - cacheRead));
  const reasoning = priced(price, 'output_reasoning_mtok', Math.min(usage.reasoning ?? 0, output));
  return (
    (rate(price, 'input_mtok', input) * (input - cacheRead - cacheWrite) +
      rate(price, 'cache_read_mtok', input) * cacheRead +
      rate(price, 'cache_write_mtok', input) * cacheWrite +
      rate(price, 'output_mtok', input) * (output - reasoning) +
      rate(price, 'output_reasoning_mtok', input) * reasoning) /
      1e6 +
    forEachRequest
  );
}

function priced(price: ModelPrice, key: string, tokens: number): number {
  return price[key] === undefined ? 0 : tokens;
}

/** Steps go by the whole input of the request, also those of the output. */
function rate(price: ModelPrice, key: string, input: number): number {
  const stepped = price[key];
  if (stepped === undefined) return 0;
  if (typeof stepped === 'number') return stepped;
  let now = stepped.base;
  let reached = -1;
  for (const { start, price: stepPrice } of stepped.tiers) {
    if (input > start && start > reached) [now, reached] = [stepPrice, start];
  }
  return now;
}

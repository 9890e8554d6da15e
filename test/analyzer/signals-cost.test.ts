import { calcPrice, findProvider } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPricer } from '../../analyzer/signals/cost.ts';

const at_ms = Date.UTC(2026, 5, 1, 8, 30);
const none = { input: null, output: null, cache_read: null, cache_write: null, reasoning: null };

/** Our name of a provider and the price list's. */
const providers: readonly (readonly [ours: string, listed: string])[] = [
  ['openai', 'openai'],
  ['anthropic', 'anthropic'],
  ['azure.ai.openai', 'azure'],
  ['gcp.gemini', 'google'],
  ['aws.bedrock', 'aws'],
  ['mistral_ai', 'mistral'],
  ['x_ai', 'x-ai'],
  ['moonshot_ai', 'moonshotai'],
  ['together_ai', 'together'],
  ['cohere', 'cohere'],
  ['groq', 'groq'],
  ['deepseek', 'deepseek'],
  ['perplexity', 'perplexity'],
  ['openrouter', 'openrouter'],
];

const usages = fc.record({
  input: fc.integer({ min: 0, max: 1_500_000 }),
  output: fc.integer({ min: 0, max: 200_000 }),
  read: fc.double({ min: 0, max: 1, noNaN: true }),
  write: fc.double({ min: 0, max: 1, noNaN: true }),
  reasoning: fc.double({ min: 0, max: 1, noNaN: true }),
  /** Any second of five years: prices change with the date and the hour. */
  second: fc.integer({ min: Date.UTC(2023, 0) / 1000, max: Date.UTC(2028, 0) / 1000 }),
});

describe('cost', () => {
  it.each(providers)('of every model of %s (%s) is what the library says, whatever the usage and the hour', (provider, listed) => {
    const models = findProvider({ providerId: listed })?.models ?? [];
    expect(models.length).toBeGreaterThan(0);
    const pricer = createPricer();
    let compared = 0;
    fc.assert(
      fc.property(usages, fc.nat(), ({ input, output, read, write, reasoning, second }, pick) => {
        const model = models[pick % models.length]?.id ?? '';
        const cache_read = Math.floor(input * read);
        const cache_write = Math.floor((input - cache_read) * write);
        const usage = { input, output, cache_read, cache_write, reasoning: Math.floor(output * reasoning) };
        const wire = { input_tokens: input, output_tokens: output, cache_read_tokens: cache_read, cache_write_tokens: cache_write, output_reasoning_tokens: usage.reasoning };
        const library = calcPrice(wire, model, { providerId: listed, timestamp: new Date(second * 1000) });
        const cost = pricer.price({ provider, model, usage, at_ms: second * 1000 });
        const isSoldByToken = library?.model_price['input_mtok'] !== undefined || library?.model_price['output_mtok'] !== undefined;
        if (library === null || !isSoldByToken) {
          expect({ model, cost }).toEqual({ model, cost: null });
        } else {
          expect({ model, cost }).toEqual({ model, cost: expect.closeTo(library.total_price, 9) });
          compared++;
        }
      }),
      { numRuns: Math.max(150, 2 * models.length) },
    );
    expect(compared).toBeGreaterThan(50);
  });

  it('is null where nothing tells it', () => {
    const pricer = createPricer();
    const usage = { ...none, input: 10, output: 5 };
    expect(pricer.price({ provider: 'openai', model: 'gpt-4o', usage: none, at_ms })).toBeNull();
    expect(pricer.price({ provider: 'openai', model: 'a-model-of-our-own', usage, at_ms })).toBeNull();
    expect(pricer.price({ provider: 'ollama', model: 'llama3', usage, at_ms })).toBeNull();
    expect(pricer.price({ provider: 'no-such-provider', model: 'gpt-4o', usage, at_ms })).toBeNull();
  });

  it('is found by the model where the provider is not known', () => {
    const expected = calcPrice({ input_tokens: 1_000_000, output_tokens: 0 }, 'gpt-4o-2024-08-06', { providerId: 'openai', timestamp: new Date(at_ms) });
    const cost = createPricer().price({ provider: 'unknown', model: 'gpt-4o-2024-08-06', usage: { ...none, input: 1_000_000 }, at_ms });
    expect(cost).toBeCloseTo(expected?.total_price ?? Number.NaN, 9);
  });

  it('does not count cached tokens that the usage cannot hold', () => {
    const cost = createPricer().price({ provider: 'openai', model: 'gpt-4o', usage: { ...none, input: 10, cache_read: 1_000_000 }, at_ms });
    expect(cost).toBeGreaterThan(0);
    expect(cost).toBeLessThan(0.001);
  });

  it('still knows a price after more invented models than it keeps', () => {
    const pricer = createPricer();
    for (let i = 0; i < 5000; i++) expect(pricer.price({ provider: 'openai', model: `m${i}`, usage: { ...none, input: 1 }, at_ms })).toBeNull();
    expect(pricer.price({ provider: 'openai', model: 'gpt-4o', usage: { ...none, input: 1_000_000 }, at_ms })).toBeGreaterThan(0);
  });
});

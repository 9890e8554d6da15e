import type { WireUsage } from '../dialects/index.ts';

/** Inclusive counts: cached tokens are part of `input`, reasoning tokens part of `output`. */
export type Usage = {
  readonly input: number | null;
  readonly output: number | null;
  readonly cache_read: number | null;
  readonly cache_write: number | null;
  readonly reasoning: number | null;
};

const MAX_COUNT = 2 ** 31;

/**
 * Makes counts inclusive. A provider that counts exclusively (Anthropic, Bedrock) is known by its dialect, or by numbers that
 * cannot be inclusive: less input than cache, or a total that only adds up with the cache. Anything else is taken as
 * inclusive, as the conventions want it. A changed count is flagged `tokens_adjusted`.
 *
 * @param provider in the words of the conventions.
 */
export function inclusiveUsage(wire: WireUsage, provider: string, flags: Set<string>): Usage {
  return { input: inclusiveInput(wire, flags), output: inclusiveOutput(wire, provider, flags), cache_read: wire.cache_read, cache_write: wire.cache_write, reasoning: wire.reasoning };
}

function inclusiveInput({ input, output, cache_read, cache_write, total, cache_counting }: WireUsage, flags: Set<string>): number | null {
  const cached = (cache_read ?? 0) + (cache_write ?? 0);
  if (input === null || cached === 0 || cache_counting === 'inclusive') return input;
  const addsUp = (sum: number) => total !== null && Math.abs(total - sum) <= 1;
  const isExclusive =
    cache_counting === 'exclusive' || input < cached || (output !== null && addsUp(input + output + cached) && !addsUp(input + output));
  return isExclusive ? adjusted(input + cached, flags) : input;
}

/**
 * No answer has more reasoning than output: such a count leaves the reasoning out. Gemini counts its thoughts beside the answer, and most
 * libraries copy only the latter; then they are what the total has more than input and output.
 */
function inclusiveOutput({ input, output, reasoning, total }: WireUsage, provider: string, flags: Set<string>): number | null {
  if (output === null) return null;
  if (reasoning !== null && reasoning > output) return adjusted(output + reasoning, flags);
  const beside = total !== null && input !== null && provider.startsWith('gcp.') ? total - input - output : 0;
  return beside > 1 && (reasoning === null || reasoning === beside) ? adjusted(output + beside, flags) : output;
}

function adjusted(count: number, flags: Set<string>): number | null {
  flags.add('tokens_adjusted');
  return count <= MAX_COUNT ? count : null;
}

import type { ComparisonSnapshot } from './comparison.ts';
import type { Wealth } from '../statistics/evidence.ts';

/** The form of what is kept of a comparison; it stands in what is written. */
export const FORM = 2;

/** What this program wrote before it said in which form. */
type FirstForm = Omit<ComparisonSnapshot, 'form' | 'evidence' | 'judged' | 'guards_over_time'> &
  Partial<Pick<ComparisonSnapshot, 'judged' | 'guards_over_time'>> & {
    readonly form?: undefined;
    readonly evidence: Omit<ComparisonSnapshot['evidence'], 'metrics'> & { readonly metrics: Readonly<Record<string, { readonly pooled: Part; readonly models: readonly (Part | null)[] }>> };
  };
type Part = { readonly injected: number; readonly log_wealth: readonly (readonly number[])[] };

/** What is kept of a comparison, read in whichever form it was written. */
export function inCurrentForm(kept: FirstForm | ComparisonSnapshot): ComparisonSnapshot {
  if (kept.form === FORM) return kept;
  const { evidence } = kept;
  // fromEntries, because a score may be called "__proto__".
  const metrics = Object.fromEntries(Object.entries(evidence.metrics).map(([name, { pooled, models }]) => [name, [pooled, ...models].flatMap((part) => rowOf(part, pooled))]));
  return { judged: null, guards_over_time: [], ...kept, form: FORM, evidence: { ...evidence, metrics } };
}

/** @param like a part with as many badness functions and λ. */
function rowOf(part: Part | null, like: Part): Wealth {
  return part === null ? [0, ...like.log_wealth.flat().fill(0)] : [part.injected, ...part.log_wealth.flat()];
}

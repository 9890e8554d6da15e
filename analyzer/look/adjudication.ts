import type { Alert } from '../../schemas/alert.ts';
import type { ModelPage } from './drift/watch.ts';
import { CARRIERS, type FactorName } from './factors.ts';
import { slotStartMs } from '../slots.ts';

/**
 * One regression, one alert, one culprit. What a comparison found is held against what else is known of the same time. Arms that ran at
 * the same time need none of it, as whatever else happened was the same for both; only what moved with them stays beside the culprit.
 */
export type Claim = {
  readonly grade: Alert['evidence']['grade'];
  readonly factor: FactorName;
  /** A page that stands over a model that the prompt runs on. */
  readonly page: ModelPage | null;
  /** Versions that came with a model or provider, and are compared as one with it. */
  readonly carried: readonly string[];
  /** Changes of other factors of the prompt in the same ten minutes that its arms cannot be told from. */
  readonly together: readonly Told[];
};

export type Told = { readonly factor: FactorName; readonly value: string };

export type Judgement =
  | { readonly kind: 'raise'; readonly confounded_with: readonly Told[] }
  /** Nobody is accused for now, and why. */
  | { readonly kind: 'hold'; readonly reason: string };

export function judge({ grade, factor, carried, page, together }: Claim): Judgement {
  if (grade === 'concurrent') {
    // Once it runs without them, or they without it, its strata mix what they are to tell apart.
    const apart = carried.filter((version) => !together.some((other) => other.factor === 'prompt_version' && other.value === version));
    if (apart.length > 0) return { kind: 'hold', reason: `${apart.join(', ')} came with it and runs without it now, or it without: the comparison of versions tells which of them it is` };
    return { kind: 'raise', confounded_with: together };
  }
  if (page !== null) return { kind: 'hold', reason: `other prompts on ${page.model} moved at the same time (${page.alert_id}, ${page.metric}); judged again an hour after that is over` };
  // A version that came with another model, or to another provider, has no earlier calls there to be compared with.
  const carrier = CARRIERS.slice(0, CARRIERS.indexOf(factor) < 0 ? CARRIERS.length : CARRIERS.indexOf(factor)).flatMap((name) => together.filter((other) => other.factor === name))[0];
  if (carrier !== undefined) return { kind: 'hold', reason: `${carrier.value} came with it: the comparison of ${carrier.factor}s carries both, running one without the other would tell them apart` };
  return { kind: 'raise', confounded_with: together };
}

const TEN_MINUTES_MS = 600_000;

/** An alert over time that was raised shortly before its model was found to have moved on others too is taken back. Null: it stands. */
export function takenBack(alert: Alert, page: ModelPage, slot: number): { readonly alert: Alert; readonly reason: string } | null {
  const atMs = slotStartMs(slot + 1);
  const isRecent = atMs - Date.parse(alert.raised_at) <= TEN_MINUTES_MS;
  if (alert.state === 'resolved' || alert.evidence.grade === 'concurrent' || !isRecent) return null;
  const { factor, value } = alert.culprit;
  return {
    alert: { ...alert, state: 'resolved', resolved_at: new Date(atMs).toISOString(), exonerated: [...alert.exonerated.filter((each) => each.factor !== 'model'), { factor, value, reason: `${page.model} moved on other prompts as well: ${page.alert_id}`, e_value: alert.evidence.e_value }] },
    reason: `revised: ${page.model} moved on other prompts as well, see ${page.alert_id}`,
  };
}

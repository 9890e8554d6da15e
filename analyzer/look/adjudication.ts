import type { Alert } from '../../schemas/alert.ts';
import type { ModelPage } from './drift-watch.ts';
import type { FactorName } from './factors.ts';
import { slotStartMs } from '../slots.ts';

/**
 * One regression, one alert, one culprit. What a comparison found is held against what else is known of the same time; arms that ran at
 * the same time need none of it, as whatever else moved was the same for both.
 */
export type Claim = {
  readonly grade: Alert['evidence']['grade'];
  readonly factor: FactorName;
  /** A page that stands over a model that the prompt runs on. */
  readonly page: ModelPage | null;
  /** Comparisons of other factors of the prompt that opened in the same ten minutes. */
  readonly together: readonly { readonly factor: FactorName; readonly value: string }[];
};

export type Judgement =
  | { readonly kind: 'raise'; readonly confounded_with: readonly { readonly factor: FactorName; readonly value: string }[] }
  /** Nobody is accused for now, and why. */
  | { readonly kind: 'hold'; readonly reason: string };

export function judge({ grade, factor, page, together }: Claim): Judgement {
  if (grade === 'concurrent') return { kind: 'raise', confounded_with: [] };
  if (page !== null) return { kind: 'hold', reason: `other prompts on ${page.model} moved at the same time (${page.alert_id}, ${page.metric}); judged again an hour after that is over` };
  // A version that came with another model has no earlier calls on that model to be compared with.
  const model = together.find((other) => other.factor === 'model');
  if (factor !== 'model' && model !== undefined) return { kind: 'hold', reason: `${model.value} came with it: the comparison of models carries both, running one without the other would tell them apart` };
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

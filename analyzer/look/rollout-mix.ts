import type { ComparisonSettings } from '../../schemas/evidence.ts';
import type { MixSettings } from '../../schemas/mix-settings.ts';
import type { Store } from '../../schemas/store.ts';
import type { Finding } from './alerting.ts';
import type { Arms } from './before-after.ts';
import { mixOf, type Mix } from './mix.ts';
import type { PromptKey } from './observations.ts';

/**
 * The question whether the mix of the traffic explains what a comparison found. Arms that ran together are compared over the same slots: then a mix that
 * differs is one of routing by something that no stratum knows. Where times are compared, the history that was compared is against what came since.
 */
export async function asksMix(
  store: Store,
  key: PromptKey,
  { factor, group, baseline, candidate }: Arms,
  { finding, settings, slot }: { readonly finding: Pick<Finding, 'metric' | 'settings' | 'grade'>; readonly settings: ComparisonSettings; readonly slot: number },
  mix: MixSettings,
): Promise<Mix> {
  const { before_after, opened_slot } = settings;
  const to = slot + 1;
  const since = { from: opened_slot, to };
  const isOverTime = finding.grade !== 'concurrent' && before_after !== null;
  const [before, after] = isOverTime ? [{ from: Math.max(1, before_after.history_slot), to: before_after.until_slot + 1 }, { from: before_after.from_slot, to }] : [since, since];
  const arm = (value: string): string => `${factor.sql.group} = {mix_group:String} AND ${factor.sql.value} = {${value}:String}`;
  return mixOf(
    store,
    key,
    {
      metric: finding.metric, scale: finding.settings, tolerance: finding.settings.tolerance, before: { ...before, where: arm('mix_baseline') }, after: { ...after, where: arm('mix_candidate') },
      parameters: { mix_group: group, mix_baseline: baseline, mix_candidate: candidate }, isInputGiven: false,
    },
    mix,
  );
}

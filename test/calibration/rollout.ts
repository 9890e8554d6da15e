import { rehearse, type Rehearsal, type RehearsalRequest } from '../../analyzer/look/audit/rehearsal.ts';
import { ConfigFile } from '../../schemas/config.ts';
import { metricSettingsFor } from '../../schemas/metric-settings.ts';
import { observationsOf, type Call } from '../simulation/traffic.ts';

/** A rollout of v2 in simulated traffic. */
export type RolloutResult = Rehearsal & { readonly crossed: boolean };

const config = ConfigFile.parse({});

export function rollout(calls: readonly Call[], request: Pick<RehearsalRequest, 'alpha' | 'onLook'> & Partial<Pick<RehearsalRequest, 'candidate' | 'stake'>>): RolloutResult {
  const policy: RehearsalRequest['policy'] = (name, kind) => metricSettingsFor(config, 'refund-agent', name, kind === 'boolean' ? 'rate' : 'score');
  const found = rehearse({ baseline: 'v1', candidate: 'v2', stake: 1, sessionWindowS: config.session_window_s, policy, ...request, ...observationsOf(calls) });
  return { ...found, crossed: found.largest >= 1 / request.alpha };
}

/** The fewest of `runs` that would be reached or passed by chance, at this chance each, less than once in a thousand times. */
export function tooMany(runs: number, chance: number): number {
  let probability = (1 - chance) ** runs;
  let tail = 1;
  for (let count = 0; ; count += 1) {
    if (tail < 0.001) return count;
    tail -= probability;
    probability *= ((runs - count) / (count + 1)) * (chance / (1 - chance));
  }
}

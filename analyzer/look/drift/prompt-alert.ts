import type { Alert } from '../../../schemas/alert.ts';
import { alertIdOf } from '../alerting.ts';
import type { ComparisonIdentity } from '../comparison.ts';
import { sinceAnHour, type DriftFinding } from './alert.ts';
import type { FactorName } from '../factors.ts';

/** Something that changed on a prompt, and when. */
export type RecentChange = { readonly factor: FactorName; readonly value: string; readonly at_ms: number };

export type PromptDriftContext = {
  readonly identity: ComparisonIdentity;
  readonly finding: DriftFinding;
  readonly version: string | null;
  readonly models: readonly string[];
  /** Prompts on the same models that did not move; none: there are none, or they said too little. */
  readonly controls: readonly string[];
  /** The most that one of them shows of having moved. */
  readonly moved: number;
  readonly changes: readonly RecentChange[];
  readonly raisedMs: number;
  readonly publicUrl: string;
};

/**
 * A prompt got worse, and nothing that is watched began then. Where other prompts show that it is not its model this is a page; where there are none it
 * may be anything, and is a ticket.
 */
export function promptDriftAlertOf({ identity, finding, version, models, controls, moved, changes, raisedMs, publicUrl }: PromptDriftContext): Alert {
  const { comparison_id, project, environment, prompt_name } = identity;
  const id = alertIdOf(identity);
  const { effect, baseline, candidate, reading } = finding;
  const isControlled = controls.length > 0;
  return {
    id,
    schema: 'culprit.alert/1',
    state: 'open',
    severity: isControlled ? 'page' : 'ticket',
    project,
    environment,
    prompt: prompt_name,
    prompt_version: version,
    metric: finding.metric,
    direction: reading.shown.direction,
    culprit: { factor: identity.factor, value: identity.candidate, baseline: identity.baseline, commit: null, author: null, owner: null, diff_url: null },
    evidence: { grade: isControlled ? 'before_after' : 'alone', e_value: finding.e_value, threshold: 1 / finding.alpha, alpha: finding.alpha, metrics: finding.metrics, baseline, candidate, effect },
    exonerated: isControlled ? models.filter((model) => model !== '').map((value) => ({ factor: 'model', value, reason: `${controls.join(', ')} on it did not move`, e_value: moved })) : [],
    recent_changes: changes.map(({ factor, value, at_ms }) => ({ factor, value, at: new Date(at_ms).toISOString() })),
    ...sinceAnHour(finding, { id, comparison_id, raisedMs, publicUrl }, { prompt: prompt_name, candidate: version ?? '' }),
  };
}

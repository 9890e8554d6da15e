import type { Alert } from '../../schemas/alert.ts';
import type { Clock } from '../../schemas/clock.ts';
import type { RollbackRule } from '../../schemas/hooks.ts';
import type { Store } from '../../schemas/store.ts';
import type { Hook } from '../hooks/index.ts';
import { ProblemError } from '../problem.ts';
import { createRecords, rollbackIdentity, type Rollback, type RollbackState } from './records.ts';
import { refusalOf } from './rules.ts';

/** What people do about rollbacks. They write down what they decide; the owner (owner.ts) does it. */

export type RollbackDesk = {
  list(project: string, filter: { readonly prompt?: string | undefined; readonly limit: number }): Promise<Rollback[]>;
  ofAlert(project: string, alertId: string): Promise<Rollback[]>;
  /** Why no hook may be asked about the alert; null: it may. */
  refusal(alert: Alert): string | null;
  /** Resolves when it is durable. Throws ProblemError 409 where it is too late, or nothing may be done. */
  decide(alert: Alert, decision: { readonly action: 'confirm' | 'veto'; readonly who: string; readonly reason: string }): Promise<void>;
};

const CONFIRMABLE: readonly RollbackState[] = ['proposed', 'waiting', 'vetoed', 'withdrawn', 'dry_run', 'failed', 'not_moved'];
const VETOABLE: readonly RollbackState[] = ['proposed', 'waiting', 'confirmed', 'retry'];
export const mayConfirm = ({ last }: Rollback): boolean => CONFIRMABLE.includes(last.state);
export const mayVeto = ({ last }: Rollback): boolean => VETOABLE.includes(last.state);

export function createRollbackDesk(
  { store, clock, hooks }: { readonly store: Store; readonly clock: Clock; readonly hooks: readonly Hook[] },
  settings: { readonly project: string; readonly ruleOf: (prompt: string) => RollbackRule | undefined },
  onDecision: (alert: Alert) => void,
): RollbackDesk {
  const records = createRecords(store);
  const ruleOf = (alert: Alert): RollbackRule | undefined => (alert.prompt === null ? undefined : settings.ruleOf(alert.prompt));
  const hookOf = (alert: Alert): Hook | undefined => hooks.find(({ name, project }) => name === ruleOf(alert)?.hook && (project ?? settings.project) === alert.project);
  const refusal = (alert: Alert): string | null => refusalOf(alert, ruleOf(alert)) ?? (hookOf(alert) === undefined ? 'the hook is for another project' : null);
  return {
    list: records.list,
    ofAlert: records.ofAlert,
    refusal,
    async decide(alert, { action, who, reason }) {
      const hook = hookOf(alert);
      const refused = refusal(alert);
      if (refused !== null || hook === undefined || alert.prompt === null) throw new ProblemError(409, `It cannot be rolled back from here: ${refused ?? ''}.`);
      if (alert.state === 'resolved') throw new ProblemError(409, 'The alert is resolved already.');
      const identity = rollbackIdentity({ ...alert, prompt: alert.prompt }, hook);
      const before = await records.one(identity.rollback_id);
      if (before !== null && !(action === 'confirm' ? mayConfirm : mayVeto)(before)) throw new ProblemError(409, `It is too late for that: the rollback is ${before.last.state.replaceAll('_', ' ')}.`);
      // A person's word begins a new series of attempts; with another key, where one was answered or has failed (owner.ts).
      await records.append(identity, before?.last ?? null, { state: action === 'confirm' ? 'confirmed' : 'vetoed', at_ms: clock(), who, reason, attempt: 0 });
      onDecision(alert);
      // The owner may have begun at this very moment (owner.ts).
      const after = await records.one(identity.rollback_id);
      const isTooLate = action === 'veto' && after?.steps.some(({ state, sequence }) => state === 'asked' && sequence > (before?.last.sequence ?? 0)) === true;
      if (isTooLate) throw new ProblemError(409, 'It was being asked at this very moment; see whether it was done.');
    },
  };
}

import type { Alert } from '../../schemas/alert.ts';
import type { RollbackLimits, RollbackRule } from '../../schemas/hooks.ts';
import type { PromptHistory } from './records.ts';

/** Whether a hook may be asked, and whether without a person. All of it is pure, so that each rule is a line of a table in its test. */

/** Why a rollback waits where it is not meant to act by itself. */
export const CONFIRMED_BY_PERSON = 'a person confirms it';
/** An alert is acted on while it is news; later a person decides. */
const FRESH_MS = 3_600_000;

/** Why no hook may be asked about an alert, not even by a person; null: it may. */
export function refusalOf(alert: Alert, rule: RollbackRule | undefined): string | null {
  if (rule === undefined || rule.hook === undefined || rule.mode === 'notify') return `no rollback hook is configured for ${alert.prompt ?? 'it'}`;
  if (alert.prompt === null || alert.culprit.factor !== 'prompt_version') return 'its culprit is no version of a prompt';
  if (alert.severity !== 'page') return 'it is a ticket, no page';
  if (alert.evidence.grade !== 'concurrent' && alert.evidence.grade !== 'before_after') return `its evidence is only ${alert.evidence.grade}`;
  if (rule.environments !== undefined && !rule.environments.includes(alert.environment)) return `rollbacks are not for the environment ${alert.environment}`;
  return null;
}

/** Why a person has to let it, null: it may act by itself. */
export function caveatOf(alert: Alert, rule: RollbackRule, history: PromptHistory, limits: RollbackLimits, nowMs: number): string | null {
  if (rule.mode !== 'act') return CONFIRMED_BY_PERSON;
  if (Math.abs(nowMs - Date.parse(alert.raised_at)) > FRESH_MS + rule.veto_s * 1000) return 'the alert is more than an hour old';
  const { value, confounded_with: [companion] = [] } = alert.culprit;
  if (companion !== undefined) return `${value} moved together with ${companion.value}: which of them it was is not known`;
  const { last, personSince, aloneInDay, aloneInHour } = history;
  if (last !== null && last.isAlone && !personSince) return 'the last rollback of this prompt was done without a person, and nobody has looked at it since';
  // A clock that was set back does not end a cool-down.
  if (last !== null && nowMs - last.at_ms < rule.cooldown_s * 1000) return `a rollback of this prompt was less than ${rule.cooldown_s} s ago`;
  if (aloneInDay >= limits.per_prompt_a_day) return `${aloneInDay} rollbacks of this prompt were done without a person within a day`;
  if (aloneInHour >= limits.per_hour) return `${aloneInHour} rollbacks were done without a person within the hour`;
  return null;
}

import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import type { Hook, Order } from './index.ts';

/**
 * A program on this machine, started without a shell, with the alert in its environment and nothing else but PATH. Names come from telemetry: a script
 * has to quote them. Exit code 0 is done, 75 (EX_TEMPFAIL of sysexits) worth another attempt, anything else not.
 */
const TEMPORARY = 75;

export function createCommandHook(settings: HookSettingsOf<'command'>): Hook {
  const [program = ''] = settings.command;
  const hook = basicsOf(settings);
  return {
    ...hook,
    describe: ({ prompt, baseline }) => `run ${program} for ${prompt} to ${baseline}`,
    async rollBack(order, { run }) {
      const { exitCode, output } = await run(settings.command, { environment: environmentOf(order), timeoutMs: hook.timeoutMs });
      const said = output === '' ? '' : `: ${output}`;
      if (exitCode === 0) return `exit code 0${said}`;
      throw exitCode === TEMPORARY ? new RetryableError(`exit code ${exitCode}${said}`) : new PermanentError(`exit code ${exitCode}${said}`);
    },
  };
}

/** A variable of the environment cannot hold a NUL. */
function environmentOf({ id, alert, prompt, candidate, baseline, who }: Order): Record<string, string> {
  const fields = {
    ROLLBACK_ID: id, ALERT_ID: alert.id, PROJECT: alert.project, ENVIRONMENT: alert.environment, PROMPT: prompt, CANDIDATE: candidate, BASELINE: baseline, METRIC: alert.metric,
    SUMMARY: alert.summary, ALERT_URL: alert.links.alert, COMMIT: alert.culprit.commit ?? '', BY: who,
  };
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [`CULPRIT_${name}`, value.toWellFormed().replaceAll('\0', '').slice(0, 4000)]));
}

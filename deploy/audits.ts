import { audit } from '../analyzer/look/audit/audit.ts';
import { selectHistory, type AuditHistory } from '../analyzer/look/audit/history.ts';
import type { AuditOrder, Audits } from '../api/audit.ts';
import type { AuditResult } from '../schemas/audit.ts';
import type { Clock } from '../schemas/clock.ts';
import type { Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import { metricSettingsFor } from '../schemas/metric-settings.ts';
import type { Store } from '../schemas/store.ts';

/** A/A audits, one at a time, of bounded size, away from the loops: history is read here, the runs are made by `work`. */

export type AuditJob = { readonly history: AuditHistory; readonly config: Pick<Config, 'alpha' | 'session_window_s' | 'metrics' | 'prompts'>; readonly runs: number; readonly seed: number };

/** Seconds after which an audit answers with the runs that it has. */
const MAX_SECONDS = 120;

/** Runs a job where it is called. @throws PermanentError where there is too little history. */
export async function runAudit({ history, config, runs, seed }: AuditJob, clock: Clock): Promise<AuditResult> {
  const until = clock() + MAX_SECONDS * 1000;
  const { prompt_name } = history.key;
  try {
    return await audit(
      { ...history, alpha: config.alpha, sessionWindowS: config.session_window_s, policy: (name, kind) => metricSettingsFor(config, prompt_name, name, kind === 'boolean' ? 'rate' : 'score'), runs, seed },
      () => new Promise((resolve) => setImmediate(() => resolve(clock() < until))),
    );
  } catch (error) {
    if (error instanceof RangeError) throw new PermanentError(error.message, { cause: error });
    throw error;
  }
}

export function createAudits(deps: { readonly store: Store; readonly clock: Clock; readonly work: (job: AuditJob) => Promise<AuditResult>; readonly warn: (message: string, error?: unknown) => void }, config: Config): Audits {
  const { store, clock, work, warn } = deps;
  let running: (AuditOrder & { readonly since_ms: number }) | null = null;
  let failed: { readonly prompt: string; readonly at_ms: number; readonly message: string } | null = null;

  const run = async ({ prompt, environment, runs, seed }: AuditOrder): Promise<void> => {
    const history = await selectHistory(store, { project: config.project, prompt, environment });
    if (history === null) throw new PermanentError(`no call of a prompt ${JSON.stringify(prompt)} is stored`);
    const { alpha, session_window_s, metrics, prompts } = config;
    const body = await work({ history, config: { alpha, session_window_s, metrics, prompts }, runs, seed });
    await store.insert('aa_audits', [{ ...history.key, at_ms: clock(), body: JSON.stringify(body) }]);
  };

  return {
    start(order) {
      if (running !== null) return 'busy';
      running = { ...order, since_ms: clock() };
      failed = null;
      run(order)
        .catch((error: unknown) => {
          failed = { prompt: order.prompt, at_ms: clock(), message: error instanceof PermanentError ? error.message : 'the audit failed; the server log says why' };
          if (!(error instanceof PermanentError)) warn('an audit failed', error);
        })
        .finally(() => (running = null));
      return 'started';
    },
    state: () => ({ running, failed }),
  };
}

import type { Alert } from '../../schemas/alert.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Invocation } from '../main.ts';
import { MIGRATIONS } from '../migrate.ts';
import { replay } from './replay.ts';

/** `culprit replay`: alerts on stdout (one JSON line each with --json), progress and summary on stderr. */
export async function runReplay({ config, positionals, flags }: Invocation): Promise<number> {
  if (positionals.length === 0) throw new PermanentError('replay needs a recording: culprit replay FILE…');
  const asJson = flags['--json'] === true;
  const evidence = flags['--evidence'];
  const bar = process.stderr.isTTY ? createBar() : null;
  const summary = await replay(
    {
      files: positionals,
      config,
      evidenceDirectory: typeof evidence === 'string' ? evidence : null,
      migrations: MIGRATIONS,
      onAlert: (alert) => {
        bar?.clear();
        console.log(asJson ? JSON.stringify(alert) : describe(alert));
      },
      onProgress: (progress) => bar?.draw(progress),
    },
    () => performance.now(),
  );
  bar?.clear();
  const { received, calls, scores, alerts, seconds } = summary;
  console.error(`${received} records, ${calls} calls, ${scores} scores; ${alerts} alert transitions; ${seconds.toFixed(1)} s, ${Math.round(calls / seconds)} calls/s`);
  return 0;
}

function describe(alert: Alert): string {
  const { e_value, threshold, effect } = alert.evidence;
  const interval = effect.low === null || effect.high === null ? '' : `, ${effect.kind} ${effect.estimate.toPrecision(3)} [${effect.low.toPrecision(3)}, ${effect.high.toPrecision(3)}]`;
  return `${alert.raised_at}  ${alert.severity}  ${alert.state}  ${alert.summary}\n    evidence ${e_value.toPrecision(3)} against ${threshold}${interval}`;
}

function createBar() {
  const width = 30;
  return {
    draw({ share, calls }: { readonly share: number; readonly calls: number }): void {
      const full = Math.round(share * width);
      process.stderr.write(`\r[${'='.repeat(full)}${' '.repeat(width - full)}] ${String(Math.round(share * 100)).padStart(3)} %  ${calls} calls`);
    },
    clear: () => void process.stderr.write('\r\u001b[2K'),
  };
}

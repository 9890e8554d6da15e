/**
 * Replays labelled recordings and prints how well each was judged. Slow; for people, not for CI.
 *
 *   npm run scenarios -- RECORDING.otlp.jsonl[.gz]…      beside each, its truth: RECORDING.truth.json
 *   npm run scenarios -- RECORDING… --set FILE.yaml      with settings
 *
 * A truth is { culprit: null } (nobody may be paged) or { culprit: { any_of: [[factor, value]…], prompt, metrics, onset_unix_s,
 * oracle_alarm_unix_s } }: right is a page for one of any_of (of that prompt, where it is not null), raised after the onset, and no other page.
 * The oracle knew the fault exactly; ratios are of the means over runs, since an oracle that is lucky once makes the mean of ratios huge.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { loadConfiguration } from '../../deploy/configuration.ts';
import { replay } from '../../deploy/commands/replay.ts';
import type { Alert } from '../../schemas/alert.ts';

const Truth = z.object({
  scenario: z.string().optional(),
  seed: z.number().optional(),
  culprit: z
    .object({
      any_of: z.array(z.tuple([z.string(), z.string()])),
      prompt: z.string().nullable(),
      metrics: z.array(z.string()),
      onset_unix_s: z.number(),
      oracle_alarm_unix_s: z.number().nullable(),
    })
    .nullable(),
});
type Truth = z.infer<typeof Truth>;

type Judged = {
  readonly right: boolean;
  readonly pages: number;
  readonly delayMinutes: number | null;
  readonly oracleMinutes: number | null;
  readonly isMetricRight: boolean | null;
  readonly onsetErrorMinutes: number | null;
};

/** What the alerts of one run are worth, held against what was broken. */
function judge(alerts: readonly Alert[], { culprit }: Truth): Judged {
  const pages = alerts.filter((alert) => alert.severity === 'page' && alert.state === 'open');
  const nothing = { delayMinutes: null, oracleMinutes: null, isMetricRight: null, onsetErrorMinutes: null };
  if (culprit === null) return { right: pages.length === 0, pages: pages.length, ...nothing };
  const onsetMs = culprit.onset_unix_s * 1000;
  const isGood = (alert: Alert): boolean =>
    culprit.any_of.some(([factor, value]) => factor === alert.culprit.factor && value === alert.culprit.value) &&
    (culprit.prompt === null || alert.prompt === null || alert.prompt === culprit.prompt) &&
    Date.parse(alert.raised_at) >= onsetMs;
  const good = pages.filter(isGood).sort((left, right) => Date.parse(left.raised_at) - Date.parse(right.raised_at));
  const [first] = good;
  const right = first !== undefined && good.length === pages.length;
  if (first === undefined) return { right, pages: pages.length, ...nothing };
  return {
    right,
    pages: pages.length,
    delayMinutes: (Date.parse(first.raised_at) - onsetMs) / 60_000,
    // The oracle is not let off with less than half a minute.
    oracleMinutes: culprit.oracle_alarm_unix_s === null ? null : Math.max(30, culprit.oracle_alarm_unix_s - culprit.onset_unix_s) / 60,
    isMetricRight: culprit.metrics.includes(first.metric),
    onsetErrorMinutes: (Date.parse(first.onset) - onsetMs) / 60_000,
  };
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { set: { type: 'string' } } });
  const loaded = loadConfiguration({
    argv: values.set === undefined ? [] : ['--config', values.set],
    environment: {},
    readFile: (path) => readFileSync(path, 'utf8'),
    commandFlags: {},
  });
  if (loaded.kind !== 'run' || positionals.length === 0) throw new Error('give recordings: npm run scenarios -- RECORDING.otlp.jsonl…');
  const number = (value: number | null): string => (value === null ? '–' : value.toFixed(1));
  const row = (...cells: readonly string[]): void => console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(28) : cell.padStart(14))).join(''));
  row('run', 'right', 'pages', 'delay min', 'oracle min', 'metric right', 'onset error', 'seconds');
  const runs = new Map<string, Judged[]>();
  for (const recording of positionals) {
    const truthFile = recording.replace(/(\.otlp)?\.jsonl(\.gz)?$/, '.truth.json');
    if (!existsSync(truthFile)) throw new Error(`${recording}: no ${truthFile} beside it`);
    const truth = Truth.parse(JSON.parse(readFileSync(truthFile, 'utf8')));
    const alerts: Alert[] = [];
    const { seconds } = await replay(
      {
        files: [recording],
        config: loaded.config,
        evidenceDirectory: null,
        migrations: join(import.meta.dirname, '../../schemas/clickhouse'),
        onAlert: (alert) => void alerts.push(alert),
        onProgress: () => {},
      },
      () => performance.now(),
    );
    const judged = judge(alerts, truth);
    const name = truth.scenario ?? basename(truthFile, '.truth.json').replace(/-\d+$/, '');
    runs.set(name, [...(runs.get(name) ?? []), judged]);
    row(basename(truthFile, '.truth.json'), String(judged.right), String(judged.pages), number(judged.delayMinutes), number(judged.oracleMinutes), String(judged.isMetricRight ?? '–'), number(judged.onsetErrorMinutes), number(seconds));
  }
  console.log();
  row('scenario', 'right', 'delay min', 'oracle min', 'ratio', 'metric right', '|onset| med.');
  for (const [name, judged] of [...runs].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const found = judged.filter((run) => run.delayMinutes !== null);
    const mean = (of: (run: Judged) => number | null): number | null => (found.length === 0 ? null : found.reduce((sum, run) => sum + (of(run) ?? 0), 0) / found.length);
    const [delay, oracle] = [mean((run) => run.delayMinutes), mean((run) => run.oracleMinutes)];
    const onsets = found.map((run) => Math.abs(run.onsetErrorMinutes ?? 0)).sort((left, right) => left - right);
    row(name, `${judged.filter((run) => run.right).length} of ${judged.length}`, number(delay), number(oracle), number(delay === null || oracle === null ? null : delay / oracle), found.length === 0 ? '–' : `${found.filter((run) => run.isMetricRight === true).length} of ${found.length}`, number(onsets[Math.floor(onsets.length / 2)] ?? null));
  }
}

await main();

/**
 * Replays labelled traffic and prints how well each was judged. Slow; for people, not for CI.
 *
 *   npm run scenarios                                    the traffic of `labelled.ts`, seed 1
 *   npm run scenarios -- --seeds 1-20 --only cutover     more seeds, of those whose name has the word
 *   npm run scenarios -- RECORDING.otlp.jsonl[.gz]…      recordings; beside each, its truth: RECORDING.truth.json
 *   … --set FILE.yaml                                    with settings
 *
 * A truth is { culprit: null } (nobody may be paged) or { culprit: { any_of: [[factor, value]…], prompt, metrics, onset_unix_s,
 * oracle_alarm_unix_s } }: right is a page for one of any_of (of that prompt, where it is not null), raised after the onset, and no other page.
 * The oracle knew the fault exactly; ratios are of the means over runs, since an oracle that is lucky once makes the mean of ratios huge.
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { loadConfiguration } from '../../deploy/configuration.ts';
import { replay } from '../../deploy/commands/replay.ts';
import type { Alert } from '../../schemas/alert.ts';
import type { Config } from '../../schemas/config.ts';
import { callsOfAll, LABELLED, oracleMs, type Labelled } from './labelled.ts';
import { linesOf, together } from './traffic.ts';

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

type Run = { readonly scenario: string; readonly name: string; readonly recording: string; readonly truth: Truth };

function* recorded(recordings: readonly string[]): Iterable<Run> {
  for (const recording of recordings) {
    const truthFile = recording.replace(/(\.otlp)?\.jsonl(\.gz)?$/, '.truth.json');
    if (!existsSync(truthFile)) throw new Error(`${recording}: no ${truthFile} beside it`);
    const truth = Truth.parse(JSON.parse(readFileSync(truthFile, 'utf8')));
    const name = basename(truthFile, '.truth.json');
    yield { scenario: truth.scenario ?? name.replace(/-\d+$/, ''), name, recording, truth };
  }
}

/** Each is written to the directory when its turn comes, over the one before. */
function* generated(directory: string, { seeds, only }: { readonly seeds: readonly number[]; readonly only: string }): Iterable<Run> {
  for (const [scenario, labelled] of Object.entries(LABELLED)) {
    if (!scenario.includes(only)) continue;
    for (const seed of seeds) {
      const calls = callsOfAll(labelled, seed);
      const recording = join(directory, 'traffic.jsonl');
      writeLines(recording, together(...labelled.prompts.map((traffic, index) => linesOf(traffic, calls[index] ?? []))));
      yield { scenario, name: `${scenario} ${seed}`, recording, truth: truthOf(labelled, oracleMs(labelled, calls)) };
    }
  }
}

/** Three days of a fleet are longer than a string may be. */
function writeLines(file: string, lines: readonly string[]): void {
  writeFileSync(file, '');
  for (let from = 0; from < lines.length; from += LINES_AT_A_TIME) appendFileSync(file, `${lines.slice(from, from + LINES_AT_A_TIME).join('\n')}\n`);
}
const LINES_AT_A_TIME = 20_000;

function truthOf({ prompts, truth }: Labelled, alarmMs: number | null): Truth {
  if (truth === null) return { culprit: null };
  const onsetMs = (prompts[0]?.beginMs ?? 0) + truth.onsetMinute * 60_000;
  return {
    culprit: {
      any_of: truth.any_of.map(([factor, value]) => [factor, value]), prompt: truth.prompt, metrics: [...truth.metrics], onset_unix_s: onsetMs / 1000, oracle_alarm_unix_s: alarmMs === null ? null : alarmMs / 1000,
    },
  };
}

function seedsOf(text: string): number[] {
  const [, first = '1', last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => Number(first) + at);
}

async function alertsOf(recording: string, config: Config): Promise<{ alerts: Alert[]; seconds: number }> {
  const alerts: Alert[] = [];
  const { seconds } = await replay(
    { files: [recording], config, evidenceDirectory: null, migrations: join(import.meta.dirname, '../../schemas/clickhouse'), onAlert: (alert) => void alerts.push(alert), onProgress: () => {} },
    () => performance.now(),
  );
  return { alerts, seconds };
}

const WIDTHS = [40, 10, 8, 12, 12, 14, 14, 10];
const number = (value: number | null): string => (value === null ? '–' : value.toFixed(1));
const row = (...cells: readonly string[]): void => console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(WIDTHS[0] ?? 0) : cell.padStart(WIDTHS[index] ?? 0))).join(''));

function summarise(runs: ReadonlyMap<string, readonly Judged[]>): void {
  console.log();
  row('scenario', 'right', 'pages', 'delay min', 'oracle min', 'ratio of means', 'metric right', '|onset|');
  for (const [name, judged] of runs) {
    const found = judged.filter((run) => run.delayMinutes !== null);
    const mean = (of: (run: Judged) => number | null): number | null => (found.length === 0 ? null : found.reduce((sum, run) => sum + (of(run) ?? 0), 0) / found.length);
    const [delay, oracle] = [mean((run) => run.delayMinutes), mean((run) => run.oracleMinutes)];
    const onsets = found.map((run) => Math.abs(run.onsetErrorMinutes ?? 0)).sort((left, right) => left - right);
    row(
      name, `${judged.filter((run) => run.right).length} of ${judged.length}`, String(judged.reduce((sum, run) => sum + run.pages, 0)), number(delay), number(oracle),
      number(delay === null || oracle === null ? null : delay / oracle), found.length === 0 ? '–' : `${found.filter((run) => run.isMetricRight === true).length} of ${found.length}`, number(onsets[Math.floor(onsets.length / 2)] ?? null),
    );
  }
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { set: { type: 'string' }, seeds: { type: 'string', default: '1' }, only: { type: 'string', default: '' } } });
  const loaded = loadConfiguration({
    argv: values.set === undefined ? [] : ['--config', values.set],
    environment: {},
    readFile: (path) => readFileSync(path, 'utf8'),
    commandFlags: {},
  });
  if (loaded.kind !== 'run') throw new Error('the settings are not valid');
  const directory = mkdtempSync(join(tmpdir(), 'culprit-scenarios-'));
  try {
    row('run', 'right', 'pages', 'delay min', 'oracle min', 'metric right', 'onset error', 'seconds');
    const runs = new Map<string, Judged[]>();
    for (const { scenario, name, recording, truth } of positionals.length > 0 ? recorded(positionals) : generated(directory, { seeds: seedsOf(values.seeds), only: values.only })) {
      const { alerts, seconds } = await alertsOf(recording, loaded.config);
      const judged = judge(alerts, truth);
      runs.set(scenario, [...(runs.get(scenario) ?? []), judged]);
      row(name, String(judged.right), String(judged.pages), number(judged.delayMinutes), number(judged.oracleMinutes), String(judged.isMetricRight ?? '–'), number(judged.onsetErrorMinutes), number(seconds));
    }
    summarise(runs);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();

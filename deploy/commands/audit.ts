import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { z } from 'zod';
import { selectHistory, type AuditHistory } from '../../analyzer/look/audit/history.ts';
import type { Reading } from '../../analyzer/ingest/reading.ts';
import { SLOT_MS } from '../../analyzer/slots.ts';
import { USUAL_AUDIT } from '../../api/audit.ts';
import { AuditResult } from '../../schemas/audit.ts';
import type { Config } from '../../schemas/config.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { jsonBody, serverOf, type AskedServer } from '../asking.ts';
import { runAudit } from '../audits.ts';
import type { Invocation } from '../main.ts';
import { textOf } from './flags.ts';
import { endlessRetention, migrate, MIGRATIONS } from '../migrate.ts';
import { createIngestFor } from '../pipeline.ts';
import { openRecording } from '../recording.ts';
import { openEmbeddedStore } from '../store-embedded.ts';

/**
 * `culprit audit`: how often the own history, with fake versions by lot, would have been paged, beside the promise. Of recorded files, or (without) of
 * a running server, in whose background it runs. Exit status 1 where the promise does not hold.
 */
export async function runAuditCommand(invocation: Invocation): Promise<number> {
  const { config, positionals, flags } = invocation;
  const prompt = textOf(flags, '--prompt') ?? null;
  const environment = textOf(flags, '--environment') ?? null;
  const numbers = { runs: wholeOf(flags['--runs'], '--runs', { fallback: USUAL_AUDIT.runs, from: 1, to: 1000 }), seed: wholeOf(flags['--seed'], '--seed', { fallback: USUAL_AUDIT.seed, from: 0, to: 2 ** 31 }) };
  if (positionals.length === 0 && prompt === null) throw new PermanentError('audit needs recorded traffic (culprit audit FILE…), or a --prompt of a running server');
  const result = positionals.length > 0 ? await ofFiles(positionals, config, { prompt, environment, ...numbers }) : await ofServer(serverOf(invocation), { prompt: prompt ?? '', environment, ...numbers });
  console.log(flags['--json'] === true ? JSON.stringify(result) : describe(result));
  return result.is_kept ? 0 : 1;
}

function wholeOf(flag: string | true | undefined, name: string, { fallback, from, to }: { readonly fallback: number; readonly from: number; readonly to: number }): number {
  if (flag === undefined) return fallback;
  const number = typeof flag === 'string' && /^\d{1,10}$/.test(flag) ? Number(flag) : Number.NaN;
  if (!(number >= from && number <= to)) throw new PermanentError(`${name} is no whole number from ${from} to ${to}`);
  return number;
}

type Order = { readonly prompt: string | null; readonly environment: string | null; readonly runs: number; readonly seed: number };

/** Records in one write, and slots after the end until sessions are over. */
const BATCH_RECORDS = 16_000;
const CLOSING_SLOTS = 20;

async function ofFiles(files: readonly string[], config: Config, { prompt, environment, runs, seed }: Order): Promise<AuditResult> {
  const history = await historyOf(files, config, { project: config.project, prompt, environment });
  if (history === null) throw new PermanentError(`no call of ${prompt === null ? 'any prompt with a version' : `a prompt ${JSON.stringify(prompt)}`} is in the recording; culprit inspect shows what is`);
  return runAudit({ history, config, runs, seed }, () => performance.now());
}

async function historyOf(files: readonly string[], config: Config, wanted: { readonly project: string; readonly prompt: string | null; readonly environment: string | null }): Promise<AuditHistory | null> {
  const recording = await openRecording(files, config.project);
  const directory = await mkdtemp(join(tmpdir(), 'culprit-audit-'));
  const store = await openEmbeddedStore({ directory });
  try {
    await migrate(store, { directory: MIGRATIONS, cluster: null, retention: endlessRetention });
    const ingest = createIngestFor(store, config);
    await ingest.start(0);
    let batch: Reading[] = [];
    let records = 0;
    let endMs = 0;
    const write = async (): Promise<void> => {
      await ingest.advance(batch[0]?.stampMs ?? endMs);
      await ingest.write(batch);
      [batch, records] = [[], 0];
    };
    for await (const message of recording.messages()) {
      const reading = ingest.read(message);
      batch.push(reading);
      records += reading.received;
      endMs = message.received_ms;
      if (records >= BATCH_RECORDS) await write();
    }
    await write();
    await ingest.advance(endMs + (config.resolve_wait_s + config.session_window_s) * 1000 + CLOSING_SLOTS * SLOT_MS);
    return await selectHistory(store, wanted);
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

const Answer = z.object({
  running: z.object({ prompt: z.string(), since_ms: z.number() }).nullable(),
  failed: z.object({ prompt: z.string(), at_ms: z.number(), message: z.string() }).nullable(),
  audits: z.array(AuditResult.extend({ at_ms: z.number() })),
});
const ASKED_EVERY_MS = 500;

async function ofServer(server: AskedServer, { prompt, environment, runs, seed }: Order & { readonly prompt: string }): Promise<AuditResult> {
  const begun = z.object({ running: z.object({ since_ms: z.number() }) }).parse(await server.ask('/v1/audit', jsonBody({ prompt, runs, seed, ...(environment === null ? {} : { environment }) })));
  for (;;) {
    await later(ASKED_EVERY_MS);
    const { running, failed, audits } = Answer.parse(await server.ask(`/v1/audit?${new URLSearchParams({ prompt }).toString()}`));
    if (running !== null) continue;
    const [newest] = audits;
    if (newest !== undefined && newest.at_ms >= begun.running.since_ms) return newest;
    throw new PermanentError(failed?.message ?? `${server.url} has no result of the audit; it may have been started anew`);
  }
}

function describe({ prompt, environment, calls, scores, units, runs, asked, strata, seed, alpha, told, past_threshold, past_5_percent, is_kept, metrics, from_ms, to_ms }: AuditResult): string {
  const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;
  const line = (what: string, { found, share, low, high }: AuditResult['told'], promised: number): string =>
    `  ${what.padEnd(28)} ${String(found).padStart(4)} of ${runs}  ${percent(share).padStart(7)}  [${percent(low)}, ${percent(high)}]  promised at most ${percent(promised)}`;
  return [
    `${prompt} (${environment}): ${calls} calls and ${scores} scores, ${units} units, ${new Date(from_ms).toISOString().slice(0, 16)} to ${new Date(to_ms).toISOString().slice(0, 16)}`,
    `${runs} fake rollouts that change nothing${runs < asked ? ` (of ${asked}: the time was over)` : ''}, looked at after each of ${Math.round(strata)} strata, seed ${seed}`,
    '',
    line('falsely told', told, alpha), line('evidence past 1/alpha', past_threshold, alpha), line('evidence past 20', past_5_percent, 0.05),
    '',
    `  ${'metric'.padEnd(20)} weight   past 1/alpha   headed   mean evidence`,
    ...metrics.filter(({ weight }) => weight > 0).map((metric) => `  ${metric.name.padEnd(20)} ${metric.weight.toFixed(3).padStart(6)} ${String(metric.past_threshold).padStart(14)} ${String(metric.headed).padStart(8)} ${metric.mean_e_value.toFixed(2).padStart(15)}`),
    '',
    is_kept ? '  the promise holds on this traffic, as far as so many runs can tell' : '  MORE THAN CHANCE ALLOWS: with fake versions by lot this can only be a defect of Culprit; please report it, with the seed',
  ].join('\n');
}

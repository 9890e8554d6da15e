import { createInspection, type Finding } from '../../analyzer/inspection/inspection.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { createCaptureReader, filesOf } from '../capture.ts';
import type { Invocation } from '../main.ts';
import { createNormaliserFor } from '../normaliser.ts';
import { createAccount } from './inspect-account.ts';
import { blockOf, createInk, repeatedLine } from './inspect-text.ts';

/**
 * `culprit inspect`: what Culprit makes of captured telemetry, field by field with the key that each came from, and what is
 * missing. Needs no store. Exit status 1 where a file could not be read; the others are shown all the same.
 */
export async function runInspect({ config, positionals, flags }: Invocation): Promise<number> {
  if (positionals.length === 0) throw new PermanentError('inspect needs captured telemetry: culprit inspect FILE… (a folder, or - for standard input)');
  const limit = limitOf(flags['--limit']);
  const asJson = flags['--json'] === true;
  const inspection = createInspection(createNormaliserFor({ ...config, content: 'off' }), { project: config.project });
  const account = createAccount();

  const reader = createCaptureReader(process.stdin);
  for (const file of await filesOf(positionals)) {
    try {
      const { requests, metrics, problem } = await reader.read(file);
      for (const decoded of requests) inspection.add(file, decoded);
      account.file({ requests, metrics });
      if (problem !== null) account.unreadable(file, problem);
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      account.unreadable(file, error.message);
    }
  }

  const out = createOutput();
  const ink = createInk({ isTerminal: process.stdout.isTTY, environment: process.env });
  let file: string | null = null;
  let shown = 0;
  /** Spans that were there before, in a row: one line says it. */
  let repeated = 0;
  const writeRepeated = async (): Promise<void> => {
    if (repeated > 0) await out.write(repeatedLine(repeated, ink));
    repeated = 0;
  };
  for (const finding of inspection.findings()) {
    account.finding(finding);
    if (shown >= limit) continue;
    shown += 1;
    if (asJson) {
      await out.write(`${JSON.stringify(lineOf(finding))}\n`);
      continue;
    }
    if (finding.file !== file) {
      await writeRepeated();
      await out.write(`${file === null ? '' : '\n'}${ink.strong(ink.plain(finding.file, 400))}\n`);
      file = finding.file;
    }
    if (finding.kind === 'ignored' && finding.reason === 'same_span_again') {
      repeated += 1;
      continue;
    }
    await writeRepeated();
    await out.write(blockOf(finding, ink));
  }
  await writeRepeated();
  const summary = account.text({ ignoredRecords: inspection.ignoredRecords(), shown, ink: asJson ? createInk({ isTerminal: false, environment: {} }) : ink });
  if (asJson) process.stderr.write(summary);
  else await out.write(`${shown === 0 ? '' : '\n'}${summary}`);
  return account.hasUnreadable() ? 1 : 0;
}

function limitOf(flag: string | true | undefined): number {
  if (flag === undefined) return Number.POSITIVE_INFINITY;
  if (typeof flag !== 'string' || !/^\d{1,9}$/.test(flag)) throw new PermanentError('--limit is no whole number; give the number of spans to show, like --limit=100');
  return Number(flag);
}

/** One finding as one JSON line: the record as the API would show it, and the source of each of its fields. */
function lineOf(finding: Finding): object {
  const { file, span_name, scope_name } = finding;
  const place = { file, span_name, scope_name, sdk: finding.sdk?.name ?? null };
  const sources = Object.fromEntries(finding.sources());
  switch (finding.kind) {
    case 'call':
      return { kind: 'call', ...place, call: finding.call, sources, inherited: Object.fromEntries(finding.inherited), misses_ancestor: finding.misses_ancestor, stands_for_inferences: finding.stands_for_inferences };
    case 'ignored': {
      const { trace_id, span_id, parent_span_id, prompt_name, prompt_version, prompt_label, session_id, user_id } = finding.relative;
      return { kind: 'ignored', ...place, reason: finding.reason, trace_id, span_id, parent_span_id, tags: { prompt_name, prompt_version, prompt_label, session_id, user_id }, flags: finding.flags, sources };
    }
    case 'score':
      return { kind: 'score', ...place, judges: finding.judges, score: finding.score, sources };
  }
}

/** Waits when the reader is slower, and ends quietly when it has seen enough (`| head`). */
function createOutput(): { write(text: string): Promise<void> } {
  let isGone = false;
  let goOn = (): void => {};
  process.stdout.on('drain', () => goOn());
  process.stdout.on('error', () => {
    isGone = true;
    goOn();
  });
  return {
    async write(text) {
      if (!isGone && !process.stdout.write(text)) await new Promise<void>((resolve) => (goOn = resolve));
    },
  };
}

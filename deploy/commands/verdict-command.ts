import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import { refusalOf, serverOf } from '../asking.ts';
import type { Invocation } from '../main.ts';
import { textOf } from './flags.ts';

/**
 * `culprit verdict`: asks a running server whether a version is worse, and waits for the answer where told to. Exit status: 0 not
 * worse, 1 regressed, 2 undecided (also where the server cannot be asked, and for a wrong flag), 3 no data.
 */
const Answer = z.object({ verdict: z.enum(['not_worse', 'regressed', 'undecided', 'no_data']), reason: z.string() });
const STATUS: Readonly<Record<z.infer<typeof Answer>['verdict'], number>> = { not_worse: 0, regressed: 1, undecided: 2, no_data: 3 };
/** Of anything that says nothing about the version. */
const UNDECIDED = STATUS.undecided;

const EVERY_MS = 5_000;
const ONE_TRY_MS = 30_000;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

type Asked = { readonly text: string; readonly status: number; readonly isFinal: boolean };

export async function runVerdict(invocation: Invocation): Promise<number> {
  const { flags } = invocation;
  const server = serverOf(invocation);
  const query = new URLSearchParams();
  for (const name of ['prompt', 'candidate', 'baseline', 'environment', 'metric']) {
    const value = textOf(flags, `--${name}`);
    if (value !== undefined) query.set(name, value);
  }
  for (const name of ['prompt', 'candidate']) if (!query.has(name)) throw new PermanentError(`verdict needs --${name}: culprit verdict --prompt refund-agent --candidate v2 [--wait 30m]`);
  const untilMs = Date.now() + waitOf(textOf(flags, '--wait'));
  const ask = async (): Promise<Asked> => {
    let response: Response;
    try {
      response = await server.send(`/v1/verdict?${query.toString()}`, { signal: AbortSignal.timeout(ONE_TRY_MS) });
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      return { text: `undecided: ${error.message}`, status: UNDECIDED, isFinal: false };
    }
    const body: unknown = await response.json().catch(() => null);
    const answer = Answer.safeParse(body);
    if (response.ok && answer.success) {
      const { verdict, reason } = answer.data;
      return { text: flags['--json'] === true ? JSON.stringify(body) : `${verdict}: ${reason}`, status: STATUS[verdict], isFinal: verdict === 'regressed' || verdict === 'not_worse' };
    }
    // What is refused now is refused again, but for a server that is starting or busy.
    return { text: `undecided: ${refusalOf(body) ?? `the server answered ${response.status}`}`, status: UNDECIDED, isFinal: response.status >= 400 && response.status < 500 };
  };
  for (;;) {
    const { text, status, isFinal } = await ask();
    const leftMs = untilMs - Date.now();
    if (isFinal || leftMs <= 0) {
      console.log(text);
      return status;
    }
    await pause(Math.min(EVERY_MS, leftMs));
  }
}

/** "90s", "30m", "2h" in milliseconds; nothing: 0. */
function waitOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const [, count, unit = ''] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  if (count === undefined) throw new PermanentError(`--wait is "${text}"; give a number and s, m or h, like 30m`);
  return Number(count) * (UNITS_MS[unit] ?? 0);
}

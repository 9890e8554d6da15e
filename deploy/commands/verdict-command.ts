import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import { refusalOf, serverOf } from '../asking.ts';
import type { Invocation } from '../main.ts';
import { textOf } from './flags.ts';

/**
 * `culprit verdict`: asks a running server whether a version is worse, or with `--rollout` whether a rollout may go on, and waits for the
 * answer where told to. Exit status: 0 not worse (go), 1 regressed (back), 2 undecided (hold; also where the server cannot be asked, and
 * for a wrong flag), 3 no data.
 */
const Answer = z.object({ verdict: z.enum(['not_worse', 'regressed', 'undecided', 'no_data']), reason: z.string() });
const STATUS: Readonly<Record<z.infer<typeof Answer>['verdict'], number>> = { not_worse: 0, regressed: 1, undecided: 2, no_data: 3 };
const Rollout = z.object({ state: z.string(), advice: z.object({ says: z.enum(['go', 'back', 'hold']), reason: z.string() }).nullable() });
const ROLLOUT_STATUS: Readonly<Record<'go' | 'back' | 'hold', number>> = { go: 0, back: 1, hold: 2 };
/** Of anything that says nothing about the version. */
const UNDECIDED = STATUS.undecided;

const EVERY_MS = 5_000;
const ONE_TRY_MS = 30_000;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

type Asked = { readonly text: string; readonly status: number; readonly isFinal: boolean };

/** Where to ask, and what an answer means; `read` is null for what is no answer. */
type Question = { readonly path: string; readonly read: (body: unknown) => Asked | null };

const VERDICT_FLAGS = ['prompt', 'candidate', 'baseline', 'environment', 'metric'];

function verdictQuestion(flags: Invocation['flags']): Question {
  const query = new URLSearchParams();
  for (const name of VERDICT_FLAGS) {
    const value = textOf(flags, `--${name}`);
    if (value !== undefined) query.set(name, value);
  }
  for (const name of ['prompt', 'candidate']) if (!query.has(name)) throw new PermanentError(`verdict needs --${name}: culprit verdict --prompt refund-agent --candidate v2 [--wait 30m], or --rollout ID`);
  return {
    path: `/v1/verdict?${query.toString()}`,
    read(body) {
      const { data } = Answer.safeParse(body);
      return data === undefined ? null : { text: `${data.verdict}: ${data.reason}`, status: STATUS[data.verdict], isFinal: data.verdict === 'regressed' || data.verdict === 'not_worse' };
    },
  };
}

function rolloutQuestion(id: string, flags: Invocation['flags']): Question {
  const other = VERDICT_FLAGS.find((name) => textOf(flags, `--${name}`) !== undefined);
  if (other !== undefined) throw new PermanentError(`--rollout names all that is asked for; leave --${other} out`);
  return {
    path: `/v1/rollouts/${encodeURIComponent(id)}`,
    read(body) {
      const { data } = Rollout.safeParse(body);
      if (data === undefined) return null;
      if (data.advice === null) return { text: `hold: the rollout ${data.state === 'lapsed' ? 'has lapsed: nobody said that its next step began, or that it ended' : 'has ended'}`, status: ROLLOUT_STATUS.hold, isFinal: true };
      return { text: `${data.advice.says}: ${data.advice.reason}`, status: ROLLOUT_STATUS[data.advice.says], isFinal: data.advice.says !== 'hold' };
    },
  };
}

export async function runVerdict(invocation: Invocation): Promise<number> {
  const { flags } = invocation;
  const server = serverOf(invocation);
  const rollout = textOf(flags, '--rollout');
  const { path, read } = rollout === undefined ? verdictQuestion(flags) : rolloutQuestion(rollout, flags);
  const untilMs = Date.now() + waitOf(textOf(flags, '--wait'));
  const ask = async (): Promise<Asked> => {
    let response: Response;
    try {
      response = await server.send(path, { signal: AbortSignal.timeout(ONE_TRY_MS) });
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      return { text: `undecided: ${error.message}`, status: UNDECIDED, isFinal: false };
    }
    const body: unknown = await response.json().catch(() => null);
    const answer = response.ok ? read(body) : null;
    if (answer !== null) return flags['--json'] === true ? { ...answer, text: JSON.stringify(body) } : answer;
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

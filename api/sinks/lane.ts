import type { Alert } from '../../schemas/alert.ts';
import type { Clock, RandomSource } from '../../schemas/clock.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Message, Outcome, Sink } from './index.ts';
import type { Attempt } from './journal.ts';
import type { Post } from './post.ts';
import { createReader, type Due, type ReaderDeps } from './reading.ts';
import { createThrottle } from './throttle.ts';

/**
 * The deliveries of one sink. One loop, one request at a time:
 *
 *     read on from the store, and leave out what is not to be told now → take what is due first, and what can go with it → send → record → …
 *
 * until nothing is left (sleeps until `wake`), nothing is due (wakes itself then), the sink is disabled, or the store is away (wakes
 * itself 5 s later). While much is due, attempts that were delivered are recorded some at a time, within a second. Attempts whose rows
 * could not be written are kept and written then; they are not sent a second time.
 * Transitions of one alert keep their order: "resolved" never overtakes an "open" that waits for its retry.
 */

/** Runs the task after the delay unless it is cancelled before. `deploy` passes setTimeout. */
export type Schedule = (delayMs: number, task: () => void) => () => void;

export type LaneDeps = ReaderDeps & {
  clock: Clock;
  random: RandomSource;
  schedule: Schedule;
  post: Post;
  /** The alert with what is known by now of who wrote its culprit; as it is where that cannot be read. */
  complete: (alert: Alert) => Promise<Alert>;
  /** The chart of an alert as PNG; null where none can be drawn. */
  picture: (alert: Alert) => Promise<Uint8Array | null>;
  /** Hears what a person should know: a sink that was disabled, a delivery that was given up, a store that is away. */
  warn: (message: string) => void;
};

export type SinkStatus = { sink: string; state: 'open' | 'disabled'; waiting: number; last_problem: string | null };

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Standard Webhooks, "Deliverability and reliability": the wait before each attempt. After the last, a delivery is given up. */
const WAIT_BEFORE_MS = [0, 5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS, 10 * HOUR_MS, 14 * HOUR_MS, 20 * HOUR_MS, 24 * HOUR_MS] as const;
/** Longer by up to this share, so that what failed together does not come back together. */
const JITTER = 0.2;
const STORE_AWAY_WAIT_MS = 5 * SECOND_MS;
const RECORDED_AT_ONCE = 50;
/** A timer is never set further ahead: it would overflow after 24 days, and the clock may be put forward meanwhile. */
const LONGEST_SLEEP_MS = HOUR_MS;

type Item = Omit<Due, 'attempts' | 'last_ms'> & { attempts: number; dueMs: number };
type Batch = readonly [Item, ...Item[]];
type Made = { readonly batch: Batch; readonly outcome: Outcome; readonly rows: readonly Attempt[]; readonly atMs: number };

const UNREADABLE: Outcome = { kind: 'failed', detail: 'the stored alert is not culprit.alert/1' };

export function createLane(sink: Sink, { clock, random, schedule, post, complete, picture, warn, ...reading }: LaneDeps, { waitingDeliveries }: { waitingDeliveries: number }) {
  const { journal } = reading;
  const reader = createReader(sink, reading);
  const waiting = new Map<string, Item>();
  const throttle = createThrottle(sink.perMinute);
  /** The store may hold transitions that are not in memory. */
  let isBehind = true;
  /** When what is held back is to be looked at again. */
  let postponedMs: number | null = null;
  /** When all that is open is to be said again. */
  let refreshDueMs = 0;
  /** Attempts that were made and are not in the journal yet. */
  const made: Made[] = [];
  let state: SinkStatus['state'] = 'open';
  let lastProblem: string | null = null;
  let lastMs = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  let isWoken = false;
  let running: Promise<void> | null = null;
  let cancelWake = (): void => undefined;

  /** A clock that is set back must not make what is due in a minute due in an hour. */
  function now(): number {
    const nowMs = clock();
    const setBackMs = lastMs - nowMs;
    lastMs = nowMs;
    if (setBackMs <= SECOND_MS || !Number.isFinite(setBackMs)) return nowMs;
    for (const item of waiting.values()) item.dueMs -= setBackMs;
    throttle.setBack(setBackMs);
    refreshDueMs -= setBackMs;
    return nowMs;
  }

  async function readOn(): Promise<void> {
    // What comes while the store answers is behind its answer.
    isBehind = false;
    const nowMs = now();
    const { due, isMore, nextPostponedMs } = await reader.read(nowMs, { limit: waitingDeliveries, known: waiting });
    if (isMore) isBehind = true;
    postponedMs = nextPostponedMs;
    for (const { last_ms, ...item } of due) waiting.set(item.transition.transition_id, { ...item, dueMs: item.attempts === 0 ? nowMs : last_ms + (WAIT_BEFORE_MS[item.attempts] ?? 0) });
  }

  /** What is due first, of those that no earlier transition of the same alert stands before, and what can go with it. */
  function next(nowMs: number): Batch | null {
    const heads = new Map<string, Item>();
    const unrecorded = new Set(made.flatMap(({ batch }) => batch.map(({ transition }) => transition.alert_id)));
    for (const item of waiting.values()) {
      if (unrecorded.has(item.transition.alert_id)) continue;
      const head = heads.get(item.transition.alert_id);
      if (head === undefined || item.transition.sequence < head.transition.sequence) heads.set(item.transition.alert_id, item);
    }
    const first = [...heads.values()].reduce<Item | null>((best, item) => (best === null || item.dueMs < best.dueMs ? item : best), null);
    if (first === null) return null;
    const along = first.message === null || sink.most === 1 ? [] : [...heads.values()].filter((item) => item !== first && item.message !== null && item.group === first.group && item.dueMs <= nowMs);
    return [first, ...along.slice(0, sink.most - 1)];
  }

  async function send(messages: readonly [Message, ...Message[]]): Promise<Outcome> {
    try {
      const [stored, ...more] = messages;
      const first = more.length > 0 ? stored : { ...stored, alert: await complete(stored.alert).catch(() => stored.alert) };
      const image = sink.carriesPicture === true && more.length === 0 ? await picture(first.alert).catch(() => null) : null;
      throttle.count(now());
      const result = await post(sink.request([first, ...more], { nowMs: clock(), picture: image }), { timeoutMs: sink.timeoutMs });
      switch (result.kind) {
        case 'answered':
          return sink.judge(result);
        case 'unanswered':
          return { kind: 'retry', detail: result.reason, retryAfterMs: 0 };
      }
    } catch (error) {
      // The message of an unknown error may quote what was to be sent.
      if (error instanceof PermanentError) return { kind: 'failed', detail: error.message };
      return { kind: 'retry', detail: 'the request could not be made', retryAfterMs: 0 };
    }
  }

  async function attempt(batch: Batch): Promise<void> {
    const [first, ...more] = batch;
    const outcome = first.message === null ? UNREADABLE : await send([first.message, ...more.flatMap(({ message }) => message ?? [])]);
    const detail = more.length === 0 ? outcome.detail : `${outcome.detail}, ${batch.length} together`;
    const rows = batch.map(({ transition, attempts }) => ({ transition_id: transition.transition_id, sink: sink.name, attempt: attempts + 1, at_ms: clock(), outcome: wordFor(outcome, attempts + 1), detail }));
    made.push({ batch, outcome, rows, atMs: now() });
  }

  const isTimeToRecord = (): boolean => {
    const [first] = made;
    return first !== undefined && (made.length >= RECORDED_AT_ONCE || now() - first.atMs >= SECOND_MS || made.at(-1)?.outcome.kind !== 'delivered');
  };

  async function record(): Promise<void> {
    await journal.record(made.flatMap(({ rows }) => rows));
    for (const each of made.splice(0)) conclude(each);
  }

  function conclude({ batch, outcome, rows }: Made): void {
    lastProblem = outcome.kind === 'delivered' ? null : outcome.detail;
    const chance = random();
    for (const [index, item] of batch.entries()) {
      item.attempts += 1;
      const { transition_id } = item.transition;
      const word = rows[index]?.outcome;
      if (word !== 'retry') waiting.delete(transition_id);
      if (outcome.kind === 'retry') item.dueMs = now() + Math.max((WAIT_BEFORE_MS[item.attempts] ?? 0) * (1 + JITTER * chance), outcome.retryAfterMs);
      if (word === 'failed' && outcome.kind !== 'gone') warn(`sink ${sink.name}: gave up on transition ${transition_id} after ${item.attempts} attempts (${outcome.detail})`);
    }
    if (outcome.kind !== 'gone') return;
    state = 'disabled';
    warn(`sink ${sink.name} wants nothing more (${outcome.detail}) and is disabled; correct or remove it in the configuration, then restart`);
  }

  /** Says again all that is open, where the receiver would forget it. In the loop, so that it never overtakes an end that was told. */
  async function refresh(refreshMs: number): Promise<void> {
    refreshDueMs = now() + refreshMs;
    for await (const [first, ...more] of reader.open(now())) {
      const outcome = first === undefined ? null : await send([first, ...more]);
      if (outcome !== null) lastProblem = outcome.kind === 'delivered' ? null : outcome.detail;
    }
  }

  async function work(): Promise<void> {
    while (!isClosed && state === 'open') {
      if (isTimeToRecord()) await record();
      if (postponedMs !== null && postponedMs <= now()) isBehind = true;
      if (isBehind && waiting.size <= waitingDeliveries / 2) {
        // What is decided next depends on what was told.
        if (made.length > 0) await record();
        await readOn();
      }
      if (sink.refreshMs !== undefined && refreshDueMs <= now()) await refresh(sink.refreshMs);
      const nowMs = now();
      const batch = next(nowMs);
      if (made.length > 0 && (batch === null || batch[0].dueMs > nowMs || throttle.freeMs(nowMs) > nowMs)) {
        await record();
        continue;
      }
      const dueMs = batch === null ? Number.POSITIVE_INFINITY : Math.max(batch[0].dueMs, throttle.freeMs(nowMs));
      const wakeMs = Math.min(dueMs, postponedMs ?? Number.POSITIVE_INFINITY, sink.refreshMs === undefined ? Number.POSITIVE_INFINITY : refreshDueMs);
      if (batch === null || dueMs > nowMs) return Number.isFinite(wakeMs) ? wakeIn(Math.max(0, wakeMs - nowMs)) : undefined;
      await attempt(batch);
    }
    if (made.length > 0) await record();
  }

  async function run(): Promise<void> {
    try {
      // A wake that comes while the work ends is seen here: nothing is awaited between this question and `running = null`.
      while (isWoken) {
        isWoken = false;
        await work();
      }
    } catch (error) {
      isBehind = true;
      lastProblem = `the store cannot be used: ${error instanceof Error ? error.message : String(error)}`;
      warn(`sink ${sink.name}: ${lastProblem}`);
      wakeIn(STORE_AWAY_WAIT_MS);
    } finally {
      running = null;
    }
  }

  function wake(): void {
    isWoken = true;
    running ??= run();
  }

  function wakeIn(delayMs: number): void {
    cancelWake();
    const sleepMs = Math.min(delayMs, LONGEST_SLEEP_MS);
    const slept = (): void => {
      // A timer is not deceived by a clock that was set back meanwhile.
      lastMs += sleepMs;
      wake();
    };
    if (!isClosed) cancelWake = schedule(sleepMs, slept);
  }

  return {
    /** There may be something new in the store. */
    wake() {
      isBehind = true;
      wake();
    },
    status: (): SinkStatus => ({ sink: sink.name, state, waiting: waiting.size, last_problem: lastProblem }),
    async settled() {
      while (running !== null) await running;
    },
    async close() {
      isClosed = true;
      cancelWake();
      await running;
    },
  };
}

function wordFor(outcome: Outcome, attempts: number): Attempt['outcome'] {
  switch (outcome.kind) {
    case 'delivered':
      return 'delivered';
    case 'retry':
      return attempts < WAIT_BEFORE_MS.length ? 'retry' : 'failed';
    case 'failed':
    case 'gone':
      return 'failed';
  }
}

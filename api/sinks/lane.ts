import { Alert } from '../../schemas/alert.ts';
import type { Clock, RandomSource } from '../../schemas/clock.ts';
import { WebhookEvent } from '../../schemas/webhook.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Message, Outcome, Sink } from './index.ts';
import type { AlertTransition, Attempt, Journal, Progress } from './journal.ts';
import type { Post } from './post.ts';

/**
 * The deliveries of one sink. One loop, one request at a time:
 *
 *     read on from the store, if there is room and more there → take the transition that is due first → send → record → …
 *
 * until nothing is left (sleeps until `wake`), nothing is due (wakes itself then), the sink is disabled, or the store is away (wakes
 * itself 5 s later). An attempt whose row could not be written is kept and written then; it is not sent a second time.
 * Transitions of one alert keep their order: "resolved" never overtakes an "open" that waits for its retry.
 */

/** Runs the task after the delay unless it is cancelled before. `deploy` passes setTimeout. */
export type Schedule = (delayMs: number, task: () => void) => () => void;

export type LaneDeps = {
  journal: Journal;
  clock: Clock;
  random: RandomSource;
  schedule: Schedule;
  post: Post;
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
/** Older transitions are not taken up again: the longest series of attempts is over by then. */
const HORIZON_MS = 7 * 24 * HOUR_MS;
/** A new sink is told of what happened since this long before it was first seen, and not of the alerts of last year. */
const NEW_SINK_LOOKS_BACK_MS = 10 * MINUTE_MS;
const STORE_AWAY_WAIT_MS = 5 * SECOND_MS;

type Item = {
  transition: AlertTransition;
  attempts: number;
  dueMs: number;
  /** An attempt that was made and is not in the journal yet. */
  made: { outcome: Outcome; row: Attempt } | null;
};

export function createLane(sink: Sink, { journal, clock, random, schedule, post, warn }: LaneDeps, { waitingDeliveries }: { waitingDeliveries: number }) {
  const waiting = new Map<string, Item>();
  /** The store may hold transitions that are not in memory. */
  let isBehind = true;
  let state: SinkStatus['state'] = 'open';
  let lastProblem: string | null = null;
  let isClosed = false;
  let isWoken = false;
  let running: Promise<void> | null = null;
  let cancelWake = (): void => undefined;

  function add(transition: AlertTransition, { attempts, last_ms }: Progress): void {
    if (waiting.has(transition.transition_id)) return;
    const dueMs = attempts === 0 ? clock() : last_ms + (WAIT_BEFORE_MS[attempts] ?? 0);
    waiting.set(transition.transition_id, { transition, attempts, dueMs, made: null });
  }

  async function readOn(): Promise<void> {
    const nowMs = clock();
    const since = Math.max((await journal.knownSince(sink.name, nowMs)) - NEW_SINK_LOOKS_BACK_MS, nowMs - HORIZON_MS, 0);
    // What is taken while the store answers is added beside its answer, so only a full answer leaves more behind.
    isBehind = false;
    const rows = await journal.notYetTold({ sink: sink.name, events: sink.events, since, limit: waitingDeliveries + 1 });
    if (rows.length > waitingDeliveries) isBehind = true;
    for (const { attempts, last_ms, ...transition } of rows.slice(0, waitingDeliveries)) add(transition, { attempts, last_ms });
  }

  /** The one that is due first, of those that no earlier transition of the same alert stands before. */
  function next(): Item | undefined {
    const heads = new Map<string, Item>();
    for (const item of waiting.values()) {
      const head = heads.get(item.transition.alert_id);
      if (head === undefined || item.transition.sequence < head.transition.sequence) heads.set(item.transition.alert_id, item);
    }
    return [...heads.values()].reduce<Item | undefined>((first, item) => (first === undefined || item.dueMs < first.dueMs ? item : first), undefined);
  }

  async function send(transition: AlertTransition): Promise<Outcome> {
    try {
      const result = await post(sink.request(messageOf(transition), clock()), { timeoutMs: sink.timeoutMs });
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

  async function attempt(item: Item): Promise<void> {
    const { transition_id } = item.transition;
    const number = item.attempts + 1;
    if (item.made === null) {
      const outcome = await send(item.transition);
      item.made = { outcome, row: { transition_id, sink: sink.name, attempt: number, at_ms: clock(), outcome: wordFor(outcome, number), detail: outcome.detail } };
    }
    const { outcome, row } = item.made;
    await journal.record(row);

    item.made = null;
    item.attempts = number;
    lastProblem = outcome.kind === 'delivered' ? null : outcome.detail;
    if (row.outcome !== 'retry') waiting.delete(transition_id);
    if (outcome.kind === 'retry') item.dueMs = clock() + Math.max((WAIT_BEFORE_MS[number] ?? 0) * (1 + JITTER * random()), outcome.retryAfterMs);
    if (outcome.kind === 'gone') {
      state = 'disabled';
      warn(`sink ${sink.name} wants nothing more (${outcome.detail}) and is disabled; correct or remove it in the configuration, then restart`);
    } else if (row.outcome === 'failed') {
      warn(`sink ${sink.name}: gave up on transition ${transition_id} after ${number} attempts (${outcome.detail})`);
    }
  }

  async function work(): Promise<void> {
    while (!isClosed && state === 'open') {
      if (isBehind && waiting.size <= waitingDeliveries / 2) await readOn();
      const item = next();
      if (item === undefined) return;
      const waitMs = item.dueMs - clock();
      if (waitMs > 0) return wakeIn(waitMs);
      await attempt(item);
    }
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
    if (!isClosed) cancelWake = schedule(delayMs, wake);
  }

  return {
    wake,
    /** For when the store cannot say now what became of the transitions that were to be taken. */
    readLater() {
      isBehind = true;
      wakeIn(STORE_AWAY_WAIT_MS);
    },
    take(transition: AlertTransition, progress: Progress) {
      if (!sink.events.some((event) => event === `alert.${transition.state}`)) return;
      // Once behind, only the store knows the order: what comes now is read after what is there already.
      if (waiting.size >= waitingDeliveries) isBehind = true;
      if (!isBehind) add(transition, progress);
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

function messageOf({ transition_id, state, at_ms, body }: AlertTransition): Message {
  try {
    return { id: transition_id, type: WebhookEvent.parse(`alert.${state}`), timestamp: new Date(at_ms).toISOString(), alert: Alert.parse(JSON.parse(body)) };
  } catch (error) {
    throw new PermanentError('the stored alert is not culprit.alert/1', { cause: error });
  }
}

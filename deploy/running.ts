import type { Tracer } from '@opentelemetry/api';
import type { Clock, RandomSource } from '../schemas/clock.ts';
import { asError } from '../schemas/errors.ts';

/** What a process of Culprit needs from where it runs. */
export type ServerDependencies = {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly warn: (message: string, error?: unknown) => void;
  /** Where our own spans go; without it there are none. */
  readonly tracer?: Tracer;
};

/** A process, or all roles in one. */
export type RunningServer = {
  /** http://HOST:PORT, with the port that was really taken. */
  readonly url: string;
  /** HOST:PORT of OTLP/gRPC; null where it is not taken. */
  readonly grpc: string | null;
  /** http://HOST:PORT of probes and metrics of this process; null where there is none. */
  readonly operations: string | null;
  /** Resolves when what was acknowledged is durable, and everything is let go. */
  close(): Promise<void>;
};

/** What has to be undone at the end, or where a start fails half way: last first. One that fails keeps no other from being undone. */
export function createUndo() {
  const steps: (() => Promise<unknown> | void)[] = [];
  return {
    push: (step: () => Promise<unknown> | void): void => void steps.push(step),
    /** Throws what failed when all is undone. */
    async unwind(): Promise<void> {
      const failures: unknown[] = [];
      for (const step of steps.splice(0).reverse()) {
        try {
          await step();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 1) throw new AggregateError(failures, `the end failed: ${failures.map((failure) => asError(failure).message).join('; ')}`);
      if (failures.length === 1) throw failures[0];
    },
  };
}

/** What is started is opened in order; where one step fails, those before it are undone, and it is what is thrown. */
export async function startInOrder<Result>(start: (undo: ReturnType<typeof createUndo>) => Promise<Result>): Promise<Result> {
  const undo = createUndo();
  try {
    return await start(undo);
  } catch (error) {
    // What fails here as well would stand in front of the reason.
    await undo.unwind().catch(() => undefined);
    throw error;
  }
}

/** Runs `work` again and again, never twice at once; what it throws is told, and it is tried again at the next time. */
export function repeat(work: () => Promise<void>, settings: { readonly everyMs: number; readonly onError: (error: unknown) => void }): { close(): Promise<void> } {
  let isStopped = false;
  let turn: Promise<void> = Promise.resolve();
  let waiting = 0;
  const timer = setInterval(() => {
    // One that is due while the one before it still runs is enough.
    if (waiting > 1) return;
    waiting += 1;
    turn = turn.then(() => (isStopped ? undefined : work())).catch(settings.onError).finally(() => (waiting -= 1));
  }, settings.everyMs);
  return {
    async close() {
      isStopped = true;
      clearInterval(timer);
      await turn;
    },
  };
}

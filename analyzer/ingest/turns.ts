import { RetryableError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';

/**
 * The turns of an ingest loop (a batch, a tick of the clock), and their two halves: drafting, which takes this thread, and writing, which takes the engine.
 * Drafts follow one another, and so do writes; a turn is drafted while those before it are written.
 *
 * What a draft asks the store is answered when the rows of everything drafted before it are durable. So a draft sees what it would see if nothing overlapped:
 * from memory, or, where it has to ask, by waiting. After a failure of either half nothing drafted since is acknowledged, and the next turn is in doubt.
 */
export type Turns = {
  /** The store as drafts see it. */
  readonly store: Store;
  /**
   * Runs `draft` after those before it. Resolves with its result when all that was given to `write` until its end is durable. Where it gave nothing itself and
   * something before it failed, it fails with AfterFailureError.
   */
  take<Result>(draft: () => Promise<Result>): Promise<Result>;
  /**
   * For a draft: runs `rows` when the rows given before are durable, and `ledger` when these are and the ledger given before: a ledger is only there where all
   * before it is. Where something before it failed the turn fails with AfterFailureError.
   */
  write(work: { readonly rows: () => Promise<void>; readonly ledger: () => Promise<void> }): void;
  /** Whether a turn before this one failed: nobody knows what the store has of it. */
  isInDoubt(): boolean;
  /** For a draft that clears the doubt: resolves when no write is under way, whatever became of it. The doubt is over, unless this turn fails as well. */
  beginAnew(): Promise<void>;
  /** Resolves when no turn that was begun before is under way, whatever became of it. */
  idle(): Promise<void>;
};

/** A turn before this one could not be written, so this one was not, or not in full. It can be tried at once. */
export class AfterFailureError extends RetryableError {
  constructor(cause: unknown) {
    super('what came before it could not be written', { cause, retryAfterSeconds: 1 });
  }
}

/** How far the writing of the last turn is, and so that of all before it. `handedOver`: its rows are durable, and its ledger is on its way. */
type Writing = { readonly handedOver: Promise<unknown>; readonly durable: Promise<void> };
const NOTHING: Writing = { handedOver: Promise.resolve(), durable: Promise.resolve() };

export function createTurns(store: Store): Turns {
  let drafting: Promise<unknown> = Promise.resolve();
  let last = NOTHING;
  let isInDoubt = false;
  const doubt = (): void => void (isInDoubt = true);
  const settled = (): Promise<void> => last.durable.catch(() => undefined);
  return {
    store: {
      insert: (table, rows) => store.insert(table, rows),
      async select<Row>(sql: string, parameters?: Readonly<Record<string, unknown>>) {
        await last.handedOver.catch(afterFailure);
        return store.select<Row>(sql, parameters);
      },
      command: (sql, parameters) => store.command(sql, parameters),
      close: () => store.close(),
    },
    // Not an async function, which would keep the draft, and with it all that was read, until its rows are durable.
    take(draft) {
      const drafted = drafting.then(async () => {
        const before = last;
        const result = await draft();
        return { result, durable: last === before ? last.durable.catch(afterFailure) : last.durable };
      });
      drafting = drafted.catch(doubt);
      return drafted.then(({ result, durable }) => durable.then(() => result));
    },
    write({ rows, ledger }) {
      // A ledger is a small insert on which answers hang: it is handed over before the rows of the next turn. Waiting for both: no failure leaves one of them under way.
      const handedOver = allOf(last.handedOver.then(rows, afterFailure), last.durable.catch(afterFailure)).then(() => ({ written: ledger() }));
      const durable = handedOver.then(({ written }) => written);
      durable.catch(doubt);
      last = { handedOver, durable };
    },
    isInDoubt: () => isInDoubt,
    async beginAnew() {
      await settled();
      last = NOTHING;
      isInDoubt = false;
    },
    async idle() {
      await drafting;
      await settled();
    },
  };
}

function afterFailure(cause: unknown): never {
  throw new AfterFailureError(cause);
}

/** Resolves, or throws the first failure in this order, when all are over. */
async function allOf(...works: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(works);
  for (const work of works) await work;
}

import { asError, RetryableError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import { isWorthKeeping } from './ancestry.ts';
import type { Draft } from './draft.ts';
import { ATTRIBUTED_LATE } from './late.ts';
import { ledgerRows, type Hours, type Tally } from './ledger.ts';
import type { Relative } from '../normalise.ts';
import { contentRow, relativeRow, type ContentOf } from './rows.ts';
import type { ScoreName } from './score-names.ts';
import type { VersionRow } from './seen-versions.ts';
import type { BatchNumber } from './shards.ts';

/** Told once the rows are durable: each flag of each call that became complete, and of calls whose prompt came after that. */
export type Flagged = (flag: string) => void;
export type WritesTo = { readonly store: Store; readonly flagged?: Flagged };

export type Turn = {
  readonly draft: Draft;
  readonly relatives: readonly Relative[];
  readonly contents: readonly ContentOf[];
  readonly tally: Tally;
  readonly versions: readonly VersionRow[];
  readonly scoreNames: readonly ScoreName[];
  readonly batch: BatchNumber;
  /** Those that earlier batches have written into, and did not write down. */
  readonly lateHours: Hours | undefined;
};

/** By table. `flags`: to be told. */
export type TurnRows = { readonly byTable: readonly (readonly [table: string, rows: readonly object[]])[]; readonly ledger: readonly object[]; readonly flags: readonly string[] };

export function rowsOf({ draft, relatives, contents, tally, versions, scoreNames, batch, lateHours }: Turn): TurnRows {
  return {
    byTable: [
      ['calls', draft.callRows(batch.number)],
      ['relatives', relatives.filter(isWorthKeeping).map(relativeRow)],
      ['scores', draft.scoreRows(batch.number)],
      ['versions', versions],
      ['contents', contents.map(contentRow)],
      ['score_names', scoreNames],
    ],
    ledger: ledgerRows(tally, [draft.hours(), ...(lateHours === undefined ? [] : [lateHours])], batch),
    flags: newFlagsOf(draft),
  };
}

/**
 * Writes what a turn of the ingest loop has drafted, but for its ledger. Resolves when all of it is durable; on an error any part of it may be.
 *
 * The ledger is last: rows whose batch has none are counted when they are taken up (recovery.ts), so it never claims what is not
 * there, and what it says of hours was written into them before. Senders are answered after it, so whoever gets no answer sends again, and finds what is there.
 */
export async function writeRows(store: Store, { byTable }: TurnRows): Promise<void> {
  await allOrThrow(byTable.map(([table, rows]) => store.insert(table, rows)));
}

export async function writeLedger({ store, flagged }: WritesTo, { ledger, flags }: TurnRows): Promise<void> {
  await store.insert('ledger', ledger);
  if (flagged !== undefined) for (const flag of flags) flagged(flag);
}

function newFlagsOf({ calls, completed }: Draft): string[] {
  const flags: string[] = [];
  for (const [key, { call, stored }] of calls) {
    if (call.flags.length === 0) continue;
    if (completed.has(key)) flags.push(...call.flags);
    else if (stored.role === 'call' && call.flags.includes(ATTRIBUTED_LATE)) flags.push(ATTRIBUTED_LATE);
  }
  return flags;
}

/** Waits for all, so that none is still under way when the store is asked what became of them. */
async function allOrThrow(inserts: readonly Promise<void>[]): Promise<void> {
  const failures: Error[] = [];
  await Promise.all(inserts.map((insert) => insert.catch((error: unknown) => void failures.push(asError(error)))));
  const failure = failures.find((error) => error instanceof RetryableError) ?? failures[0];
  if (failure !== undefined) throw failure;
}

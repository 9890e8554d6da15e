import type { Guard } from '../../schemas/evidence.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Traffic } from './cutover.ts';
import type { JudgedState } from './judged.ts';
import { NO_COUNTS, type SlotCountsState } from './slot-counts.ts';
import type { StartWindowState } from './start-windows.ts';
import type { Routing } from './units.ts';
import type { WindowSchedule } from './windows.ts';
import type { EvidenceState, Wealth } from '../statistics/evidence.ts';

/** The form of what is kept of a comparison; it stands in what is written. */
export const FORM = 2;

/** A comparison as it is after a slot; what it had of open windows and of units is read again from the store. */
export type ComparisonSnapshot = {
  readonly form: typeof FORM;
  readonly slot: number;
  readonly evidence: EvidenceState;
  readonly schedule: WindowSchedule;
  readonly startWindows: StartWindowState;
  readonly routing: Routing;
  readonly traffic: Traffic;
  /** First values of metrics that are still being learnt. */
  readonly learning: Readonly<Record<string, readonly number[]>>;
  /** Null: it was written before they were counted. */
  readonly judged: JudgedState | null;
  readonly guards_over_time: readonly Guard[];
};

/** What this program wrote before it said in which form. */
type FirstForm = Omit<ComparisonSnapshot, 'form' | 'evidence' | 'schedule' | 'judged' | 'guards_over_time'> &
  Partial<Pick<ComparisonSnapshot, 'judged' | 'guards_over_time'>> & {
    readonly form?: undefined;
    readonly schedule: readonly (Omit<ComparisonSnapshot['schedule'][number], 'counts'> & { readonly counts: readonly SlotCount[] })[];
    readonly evidence: Omit<ComparisonSnapshot['evidence'], 'metrics'> & { readonly metrics: Readonly<Record<string, { readonly pooled: Part; readonly models: readonly (Part | null)[] }>> };
  };
type SlotCount = readonly [slot: number, a: number, b: number];
type Part = { readonly injected: number; readonly log_wealth: readonly (readonly number[])[] };

/** What is in a snapshot of any form. */
const PARTS = ['slot', 'evidence', 'schedule', 'startWindows', 'routing', 'traffic', 'learning'] as const;

/** What is kept of a comparison, read in whichever form it was written. Throws PermanentError where it is in none. */
export function inCurrentForm(kept: FirstForm | ComparisonSnapshot): ComparisonSnapshot {
  const missing = PARTS.filter((part) => kept[part] === undefined);
  if (missing.length > 0) throw new PermanentError(`the snapshot has no ${missing.join(', ')}`);
  const form: number | undefined = kept.form;
  if (kept.form === FORM) return kept;
  if (form !== undefined) throw new PermanentError(`the snapshot is of form ${form}, which this version does not know`);
  const { evidence } = kept;
  const schedule = kept.schedule.map((each) => ({ ...each, counts: countsOf(each.counts) }));
  // fromEntries, because a score may be called "__proto__".
  const metrics = Object.fromEntries(Object.entries(evidence.metrics).map(([name, { pooled, models }]) => [name, [pooled, ...models].flatMap((part) => rowOf(part, pooled))]));
  return { judged: null, guards_over_time: [], ...kept, form: FORM, schedule, evidence: { ...evidence, metrics } };
}

/** @param like a part with as many badness functions and λ. */
function rowOf(part: Part | null, like: Part): Wealth {
  return part === null ? [0, ...like.log_wealth.flat().fill(0)] : [part.injected, ...part.log_wealth.flat()];
}

/** Slots without units were left out. */
function countsOf(rows: readonly SlotCount[]): SlotCountsState {
  const first = rows[0]?.[0] ?? NO_COUNTS.first;
  const units = rows.length === 0 ? [] : Array<number>(2 * ((rows.at(-1)?.[0] ?? first) - first + 1)).fill(0);
  for (const [slot, a, b] of rows) units.splice(2 * (slot - first), 2, a, b);
  return { first, units };
}

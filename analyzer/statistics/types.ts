/**
 * What the statistics read, in plain numbers and strings. `schemas/evidence.ts` has the same shapes for the wire; they are written
 * again here because this folder imports nothing, so that it can be checked, moved and rerun alone.
 */

export type MetricKind = 'rate' | 'score' | 'distribution';

/** Which way is worse. */
export type Direction = 'up' | 'down';

/** A histogram of the baseline's earlier units, frozen before the first bet. Bins ascend. */
export type Reference = { readonly bins: readonly number[]; readonly counts: readonly number[] };

/** What turns a value into a bin. */
export type Scale = {
  readonly kind: MetricKind;
  readonly direction: Direction;
  /** Range of a score before scaling to [0, 1]; 0 and 1 where absent. */
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
};

/** What turns a bin into badness. */
export type Metric = Scale & {
  readonly reference: Reference | null;
  /** Of a distribution: whether its tail is bet on by a function of its own. Absent from evidence that is older than that function. */
  readonly tail?: boolean | undefined;
};

/** What a bet on a metric needs besides. */
export type MetricBet = Metric & {
  /** Share of the stake. 0: its evidence is shown and adds nothing to the sum. */
  readonly weight: number;
  /** Slot of its first bet. */
  readonly from_slot: number;
};

/** How a comparison goes on when its baseline takes no more traffic: with earlier traffic in its place (`difference.ts`). */
export type BeforeAfterBet = {
  /** Prompts that did not change, and how each one's own badness is read. Null: a metric that it cannot be a control of. */
  readonly controls: readonly { readonly prompt: string; readonly references: Readonly<Record<string, Reference | null>> }[];
};

export type Settings = {
  /** Share of the prompt's α, in [0, 1]. */
  readonly stake: number;
  readonly slot_seconds: number;
  /** Models that have a part of the bet of their own. */
  readonly models: readonly string[];
  readonly metrics: Readonly<Record<string, MetricBet>>;
  /** Kept back for metrics first seen later; 1 less the weights. */
  readonly reserve: number;
  /** Null while both arms run at the same time. */
  readonly before_after: BeforeAfterBet | null;
  /** Of a model that is watched over all prompts (`drift.ts`): the slot that its evidence begins with, and whether prompts are left out in groups. */
  readonly drift: { readonly since_slot: number; readonly is_grouped: boolean; readonly leaves_out: LeavesOut } | null;
};

/** Counts of units by bin in one arm each: a the baseline, b the candidate. The three arrays have one length. */
export type Cells = { readonly bins: readonly number[]; readonly a: readonly number[]; readonly b: readonly number[] };

export type Stratum = Cells & {
  readonly metric: string;
  /** The slot that closed it. */
  readonly slot: number;
  readonly begin_slot: number;
  readonly start_window_ms: number;
  readonly model: string;
  readonly operation: string;
  readonly route: string;
  /**
   * bet: both arms at the same time. pair: a before, b after. control: the same times of a prompt that did not change. drift: one slot
   * of a prompt (b) against its hour before (a). reference: learnt
   * from, never bet on.
   */
  readonly use: 'bet' | 'pair' | 'control' | 'drift' | 'reference';
  /** The prompt that a control, or a part of a drift, is of; else empty. */
  readonly control: string;
};

/** What evidence of drift has to hold without: any one prompt; any one prompt or model; or it is of one prompt. */
export type LeavesOut = 'prompt' | 'prompt_or_model' | 'nothing';

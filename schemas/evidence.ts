import { z } from '@hono/zod-openapi';

/**
 * `culprit.evidence/1`: everything that is needed to recompute the e-value of a comparison, and nothing else.
 * From `replay --evidence`, `GET /v1/comparisons/{id}/evidence` and the page; read by `culprit verify`.
 */

/** What a metric's badness functions need, frozen before the first bet. */
export const Reference = z.object({
  /** Ascending bins of the baseline's earlier values and how many units fell into each. */
  bins: z.array(z.number().int()),
  counts: z.array(z.number().int().nonnegative()),
});
export type Reference = z.infer<typeof Reference>;

export const MetricKind = z.enum(['rate', 'score', 'distribution']);
export type MetricKind = z.infer<typeof MetricKind>;

export const MetricSettings = z.object({
  kind: MetricKind,
  /** Which way is worse. */
  direction: z.enum(['up', 'down']),
  /** Share of α staked on this metric. */
  weight: z.number().nonnegative(),
  /** Slot of the first bet; the stake of a metric seen later starts then. */
  from_slot: z.number().int(),
  tolerance: z.number().nonnegative(),
  severity: z.enum(['page', 'ticket', 'none']),
  /** Scale of a score: its worst-to-best range before scaling to [0, 1]. */
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  /** null for rates, which need none, and while it is still being learnt. */
  reference: Reference.nullable(),
  /** Of a distribution: half of what was bet on squares is bet on the tail. Absent from evidence that is older than that bet. */
  tail: z.boolean().optional(),
});
export type MetricSettings = z.infer<typeof MetricSettings>;

export const Stratum = z.object({
  metric: z.string(),
  /** The slot that closed it; a slot is `slot_seconds` of the arrival clock since the epoch. */
  slot: z.number().int(),
  begin_slot: z.number().int(),
  start_window_ms: z.number(),
  model: z.string(),
  operation: z.string(),
  route: z.string(),
  /** bet: both arms at once. pair: a before, b after a change. control: the same times of another prompt. drift: a slot of one prompt (b) against its hour before (a). reference: learnt from, never bet on. */
  use: z.enum(['bet', 'pair', 'control', 'drift', 'reference']),
  /** The prompt that a control, or a part of a drift, is of; else empty. */
  control: z.string().default(''),
  bins: z.array(z.number().int()),
  a: z.array(z.number().int().nonnegative()),
  b: z.array(z.number().int().nonnegative()),
});
export type Stratum = z.infer<typeof Stratum>;

/** A prompt that did not change, beside one that did. */
export const Control = z.object({
  prompt: z.string(),
  /** Its version that is counted. */
  version: z.string(),
  /** Slots that its calls and its scores are waited for. */
  call_slots: z.number().int(),
  score_slots: z.number().int(),
  /** What its own ranks are read from; null for rates, and for what it does not have. */
  references: z.record(z.string(), Reference.nullable()),
});
export type Control = z.infer<typeof Control>;

/** How a comparison goes on without its baseline: windows of time after the change against earlier ones. All slots are those in which calls started. */
export const BeforeAfter = z.object({
  /** The arrival slot in which this was decided. */
  opened_slot: z.number().int(),
  /** Later windows begin here, … */
  from_slot: z.number().int(),
  /** … and earlier ones end before this, going back to `history_slot`. */
  until_slot: z.number().int(),
  history_slot: z.number().int(),
  /** Length of a window. */
  window_slots: z.number().int().positive(),
  call_slots: z.number().int(),
  score_slots: z.number().int(),
  /** Controls are counted on these only. */
  request_models: z.array(z.string()),
  controls: z.array(Control),
  /** The baseline took traffic again, or earlier windows are used up. */
  ended_slot: z.number().int().nullable(),
});
export type BeforeAfter = z.infer<typeof BeforeAfter>;

/** Why a metric (`*`: any) is no ground to decide on for now. */
export const Guard = z.object({ metric: z.string(), reason: z.string() });
export type Guard = z.infer<typeof Guard>;

/** Versions that came with the candidate, and the one of the baseline's that they are compared with: else no stratum would have both arms. */
export const Carried = z.object({ versions: z.array(z.string()), as: z.string() });
export type Carried = z.infer<typeof Carried>;

export const ComparisonSettings = z.object({
  alpha: z.number(),
  /** Share of the prompt's α (comparisons that opened together share one). */
  stake: z.number(),
  slot_seconds: z.number(),
  opened_slot: z.number().int(),
  opened_ms: z.number(),
  /** Models that each have a part of the bet of their own; empty when only one was known at the opening. */
  models: z.array(z.string()),
  /** Session window, seconds. 0: a unit is its first call. */
  session_window_s: z.number(),
  metrics: z.record(z.string(), MetricSettings),
  /** What is still kept back for metrics first seen later. */
  reserve: z.number(),
  /** What values of the factor are told apart within: the request model of a response model; else empty. */
  group: z.string().default(''),
  /** Where arms run together; of models and providers only. */
  carried: Carried.nullable().default(null),
  before_after: BeforeAfter.nullable().default(null),
  /** Those that fire. */
  guards: z.array(Guard).default([]),
  /** Of a model or a provider that is watched over all prompts: where its evidence begins, whether prompts are left out in groups, and what is left out: of a prompt that is watched by itself nothing. */
  drift: z.object({ since_slot: z.number().int(), is_grouped: z.boolean(), leaves_out: z.enum(['prompt', 'prompt_or_model', 'nothing']).default('prompt') }).nullable().default(null),
});
export type ComparisonSettings = z.infer<typeof ComparisonSettings>;

/** What the reason of a comparison begins with that cannot be looked at for now, or not any more: it proves nothing meanwhile. */
export const SET_ASIDE = 'set aside';
export const isSetAside = ({ reason }: { readonly reason: string }): boolean => reason.startsWith(SET_ASIDE);

/** What tells a comparison from every other. */
export const ComparisonName = z.object({
  id: z.string(),
  project: z.string(),
  environment: z.string(),
  prompt: z.string(),
  factor: z.string(),
  baseline: z.string(),
  candidate: z.string(),
  epoch: z.number().int(),
});

export const Evidence = z
  .object({
    schema: z.literal('culprit.evidence/1'),
    comparison: ComparisonName,
    settings: ComparisonSettings,
    /** All strata up to `slot`, in the order in which they were bet on. */
    slot: z.number().int(),
    e_value: z.number(),
    metrics: z.record(z.string(), z.number()),
    strata: z.array(Stratum),
  })
  .openapi('Evidence');
export type Evidence = z.infer<typeof Evidence>;

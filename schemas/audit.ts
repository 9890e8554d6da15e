import { z } from 'zod';

/**
 * An A/A audit (`culprit.audit/1`): the user's own history with fake versions, of which is known that nothing changed. From `GET /v1/audit` and
 * `culprit audit`.
 */

/** How many of so many runs, with the exact 95 % interval of the share (Clopper and Pearson). */
const Share = z.object({ found: z.number().int(), share: z.number(), low: z.number(), high: z.number() });

export const AuditResult = z.object({
  schema: z.literal('culprit.audit/1'),
  prompt: z.string(),
  environment: z.string(),
  /** Of the history that was relabelled. */
  from_ms: z.number(),
  to_ms: z.number(),
  calls: z.number().int(),
  scores: z.number().int(),
  units: z.number().int(),
  seed: z.number().int(),
  /** Asked for, and done before the time was over. */
  asked: z.number().int(),
  runs: z.number().int(),
  strata: z.number().describe('looks of a run, on average'),
  alpha: z.number().describe('promised: the share that is ever told is at most this'),
  told: Share.describe('somebody would have been told: the false-page rate'),
  past_threshold: Share.describe('the evidence was ever past 1/alpha, whatever the effect'),
  past_5_percent: Share.describe('the same at alpha = 5 %, of which more is seen in few runs'),
  is_kept: z.boolean().describe('false: so many could not be, but once in a thousand times, if the promise held'),
  metrics: z.array(
    z.object({
      name: z.string(),
      weight: z.number(),
      past_threshold: z.number().int().describe('runs in which its own evidence was ever past 1/alpha; each is allowed alpha by itself'),
      headed: z.number().int().describe('false pages that were headed by it'),
      mean_e_value: z.number().describe('of its evidence at the end: at most 1 in expectation'),
    }),
  ),
});
export type AuditResult = z.infer<typeof AuditResult>;

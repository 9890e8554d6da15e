import { z } from 'zod';
import { MetricKind } from './evidence.ts';

/** How long until a change would be found: from `GET /v1/plan` and `culprit plan`. */

/** Hours are null where they are beyond `horizon_hours`, after which an undecided comparison is closed. */
export const PlanForShare = z.object({
  share: z.number().describe("the candidate's share of the traffic"),
  expected_hours: z.number().nullable().describe('mean of all simulated rollouts; null where any was not found'),
  half_hours: z.number().nullable().describe('found until then in half of all rollouts'),
  ninety_hours: z.number().nullable().describe('found until then in nine of ten'),
  found_share: z.number().describe('of the rollouts, found before the horizon'),
  candidate_units: z.number().nullable().describe('units of the candidate until half_hours'),
  forecast_hours: z.number().nullable().describe('by the growth rate of the evidence, without chance'),
  stratum_seconds: z.number(),
  is_told: z.boolean().describe('false: the change is within the tolerance, so nobody is told of it'),
  runs: z.number().int(),
  seed: z.number().int(),
  horizon_hours: z.number(),
});
export type PlanForShare = z.infer<typeof PlanForShare>;

export const PlanAnswer = z.object({
  schema: z.literal('culprit.plan/1'),
  prompt: z.string().nullable(),
  environment: z.string().nullable(),
  metric: z.string(),
  kind: MetricKind,
  direction: z.enum(['up', 'down']).describe('which way is worse'),
  baseline: z.number().describe('share, mean or median of today'),
  changed: z.number().describe('the same after the change'),
  tolerance: z.number(),
  alpha: z.number(),
  weight: z.number().describe("the metric's share of the stake"),
  models: z.number().int(),
  units_per_hour: z.array(z.number()).describe('that have the metric: one for all hours, or 24 by hour of the day (UTC)'),
  plan: PlanForShare,
  by_share: z.array(PlanForShare),
});
export type PlanAnswer = z.infer<typeof PlanAnswer>;

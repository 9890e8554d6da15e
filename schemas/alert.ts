import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';

/** The public alert, `culprit.alert/1`. What people, webhooks and rollback hooks receive. */

export const Effect = z
  .object({
    kind: z.enum(['difference', 'ratio_p50', 'ratio_p95', 'ratio_p99']),
    estimate: z.number(),
    low: z.number().nullable(),
    high: z.number().nullable(),
    confidence: z.number(),
  })
  .openapi('Effect', { description: 'Candidate against baseline: an estimate and an interval that stays valid however often one looks. null bounds: not enough units yet.' });
export type Effect = z.infer<typeof Effect>;

export const ArmSummary = z.object({ units: z.number().int(), value: z.number().nullable() }).openapi('ArmSummary');

export const Alert = z
  .object({
    id: z.string(),
    schema: z.literal('culprit.alert/1'),
    state: z.enum(['open', 'acknowledged', 'resolved']),
    severity: z.enum(['page', 'ticket']),
    project: z.string(),
    environment: z.string(),
    prompt: z.string().nullable(),
    prompt_version: z.string().nullable(),
    metric: z.string(),
    direction: z.enum(['up', 'down']),
    culprit: z.object({
      factor: z.string().openapi({ description: 'prompt_version, model, provider, app_version, prompt_content, a configured attribute, or unknown: the prompt got worse though none of them moved' }),
      value: z.string(),
      baseline: z.string(),
      confounded_with: z.array(z.object({ factor: z.string(), value: z.string(), told_apart_by: z.string().optional() })).optional(),
      commit: z.string().nullable(),
      author: z.string().nullable(),
      owner: z.string().nullable(),
      diff_url: z.string().nullable(),
    }),
    evidence: z.object({
      grade: z.enum(['concurrent', 'before_after', 'alone']),
      e_value: z.number(),
      threshold: z.number(),
      alpha: z.number(),
      metrics: z.record(z.string(), z.number()),
      baseline: ArmSummary,
      candidate: ArmSummary,
      effect: Effect,
    }),
    exonerated: z.array(z.object({ factor: z.string(), value: z.string(), reason: z.string(), e_value: z.number().nullable() })),
    recent_changes: z.array(z.object({ factor: z.string(), value: z.string(), at: z.string() })).optional().openapi({ description: 'What changed on the prompt in the day before, where nothing that changed is to blame.' }),
    onset: z.string(),
    raised_at: z.string(),
    resolved_at: z.string().nullable(),
    examples: z.array(z.object({ trace_id: z.string(), span_id: z.string(), why: z.string() })),
    links: z.object({ alert: z.string(), evidence: z.string(), chart: z.string(), rollback: z.string().nullable() }),
    summary: z.string(),
  })
  .openapi('Alert');
export type Alert = z.infer<typeof Alert>;

/** One step in the life of an alert; also the idempotency key of what is sent about it. */
export function transitionIdOf(alertId: string, sequence: number): string {
  return `trn_${createHash('sha256').update(`${alertId}/${sequence}`).digest('hex').slice(0, 20)}`;
}

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

export const Slice = z
  .object({
    dimension: z.string().openapi({ description: 'model, operation, or the name of an attribute' }),
    value: z.string(),
    baseline: ArmSummary,
    candidate: ArmSummary,
    effect: Effect,
    e_value: z.number().openapi({ description: 'of this slice alone, against "harmless in all of it"' }),
    is_worse: z.boolean().openapi({ description: 'named: of the slices of a metric that are, the expected share in which the candidate is harmless is at most 5 % (e-BH), however often one looks' }),
  })
  .openapi('Slice');
export type Slice = z.infer<typeof Slice>;

export const MixShift = z
  .object({
    dimension: z.string().openapi({ description: 'an attribute of `mix.attributes`, input_tokens, or session' }),
    value: z.string(),
    before: z.number().openapi({ description: 'its share of units before, or of the baseline' }),
    after: z.number().openapi({ description: 'since, or of the candidate' }),
    raw: z.number().openapi({ description: 'how much worse the metric is, positive is worse; of distributions a relative increase of the geometric mean' }),
    standardised: z.object({ estimate: z.number(), low: z.number(), high: z.number(), confidence: z.number() }).openapi({ description: 'the same, had the traffic kept its mix' }),
    explains: z.boolean().openapi({ description: 'nothing is proved to be left of the change with the earlier mix, and at least half of it is surely gone' }),
  })
  .openapi('MixShift');

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
      factor: z.string().openapi({ description: 'prompt_version, model, provider, app_version, prompt_content or a configured attribute; mix: the traffic moved, such as `app.language=de 10 % → 60 %`, and no version is to blame; unknown: the prompt got worse though none of them moved; pipeline: a fault of Culprit itself, or that it cannot do right any more; `advice` says what to do' }),
      value: z.string(),
      baseline: z.string(),
      confounded_with: z.array(z.object({ factor: z.string(), value: z.string(), told_apart_by: z.string().optional() })).optional(),
      commit: z.string().nullable(),
      author: z.string().nullable(),
      owner: z.string().nullable(),
      diff_url: z.string().nullable(),
    }),
    evidence: z.object({
      grade: z.enum(['concurrent', 'before_after', 'alone', 'counted']).openapi({ description: 'counted: nothing is inferred, so `e_value`, `threshold` and `alpha` say nothing and are 1' }),
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
    slices: z.array(Slice).optional().openapi({ description: 'the headline metric by model, operation, and each attribute that strata are kept apart by, of which there are two values or more; worst first' }),
    mix: z.array(MixShift).optional().openapi({ description: 'whose mix surely moved by more than five points; the one that explains the change first' }),
    onset: z.string(),
    raised_at: z.string(),
    resolved_at: z.string().nullable(),
    recovery: z.enum(['recovered', 'not_recovered', 'unknown']).optional().openapi({ description: 'once the culprit takes no more traffic: what a test of the metric said. Where it did not recover the alert stays open until it does, for a day at most' }),
    rollback: z.object({ hook: z.string(), state: z.string(), says: z.string() }).optional().openapi({ description: 'what a rollback hook did about it, and whether it helped' }),
    examples: z.array(z.object({ trace_id: z.string(), span_id: z.string(), why: z.string() })),
    links: z.object({ alert: z.string(), evidence: z.string(), chart: z.string(), rollback: z.string().nullable() }),
    summary: z.string(),
    advice: z.string().optional().openapi({ description: 'what to do, where it is the same for all: of faults of Culprit itself' }),
  })
  .openapi('Alert');
export type Alert = z.infer<typeof Alert>;

/** What a step in the life of an alert is told as: the state that it is in from now on, what becomes of its rollback, or that only more is known of it. */
export const AlertEvent = z.enum(['open', 'updated', 'rollback', 'acknowledged', 'resolved']);
export type AlertEvent = z.infer<typeof AlertEvent>;
/** Why most updates are. */
export const GREW = 'the evidence grew';

/** One step in the life of an alert, as it is told apart from others. `at_ms`: milliseconds since the epoch. */
export type TransitionSaid = { readonly alert_id: string; readonly sequence: number; readonly state: Alert['state']; readonly at_ms: number; readonly reason: string };

/**
 * The name of one step in the life of an alert; also the idempotency key of what is sent about it. The sequence number alone would not do:
 * a person and the look may take the same one at the same moment.
 */
export function transitionIdOf({ alert_id, sequence, state, at_ms, reason }: TransitionSaid): string {
  return `trn_${createHash('sha256').update(JSON.stringify([alert_id, sequence, state, at_ms, reason])).digest('hex').slice(0, 20)}`;
}

/** The row of `alert_transitions` for a step, with its alert as it is from then on. */
export function transitionRow(alert: Alert, { comparison_id, ...step }: { readonly comparison_id: string; readonly sequence: number; readonly at_ms: number; readonly reason: string; readonly event?: AlertEvent; readonly who?: string }) {
  const transition_id = transitionIdOf({ alert_id: alert.id, state: alert.state, ...step });
  return { transition_id, said: transition_id, alert_id: alert.id, project: alert.project, comparison_id, state: alert.state, ...step, body: JSON.stringify(alert) };
}

/** SQL: what the newest transition of an alert has most of. Of two with one number both stand; an alert that is resolved stays so. */
export const NEWEST_TRANSITION = `(state = 'resolved', sequence, at_ms, transition_id)`;

/** SQL, for rows of one alert: its newest transition, and the newest of its bodies that is JSON. What is wrong with one row must not keep the look from all others. */
export const NEWEST_READABLE = [
  ...['transition_id', 'sequence', 'at_ms', 'reason', 'state'].map((column) => `argMax(${column}, ${NEWEST_TRANSITION}) AS last_${column}`),
  `argMaxIf(body, ${NEWEST_TRANSITION}, isValidJSON(body)) AS last_body`,
].join(', ');
export type NewestReadable = { readonly last_transition_id: string; readonly last_sequence: number; readonly last_at_ms: number; readonly last_reason: string; readonly last_state: Alert['state']; readonly last_body: string };

/** The alert that a stored body is; null: it is none. */
export function alertIn(body: string): Alert | null {
  try {
    return Alert.parse(JSON.parse(body));
  } catch {
    return null;
  }
}

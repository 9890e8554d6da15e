import { z } from '@hono/zod-openapi';
import { mayConfirm, mayVeto } from './desk.ts';
import { ROLLBACK_STATES, type Rollback } from './records.ts';
import { saysOf } from './words.ts';

/** A rollback as the API shows it. */
export const ShownRollback = z
  .object({
    id: z.string(),
    alert_id: z.string(),
    prompt: z.string(),
    environment: z.string(),
    hook: z.string(),
    kind: z.string(),
    candidate: z.string(),
    baseline: z.string(),
    state: z.enum(ROLLBACK_STATES),
    says: z.string().openapi({ description: 'the state in a sentence' }),
    due_at: z.string().nullable().openapi({ description: 'when it acts by itself, or tries again' }),
    can: z.array(z.enum(['confirm', 'veto'])),
    steps: z.array(z.object({ state: z.enum(ROLLBACK_STATES), at_ms: z.number(), attempt: z.number().int(), by: z.string(), reason: z.string(), request: z.string().openapi({ description: 'without secrets and content' }), answer: z.string() })),
  })
  .openapi('Rollback', {
    example: {
      id: 'rbk_0a1b2c3d4e5f60718293', alert_id: 'alr_0a1b2c3d4e5f60718293', prompt: 'refund-agent', environment: 'production', hook: 'registry', kind: 'langfuse', candidate: '8', baseline: '7', state: 'waiting',
      says: 'Rolls back to 7 at 08:54:10 UTC, unless somebody vetoes', due_at: '2026-06-01T08:54:10.000Z', can: ['confirm', 'veto'], steps: [{ state: 'waiting', at_ms: 1_780_303_930_000, attempt: 0, by: '', reason: '', request: '', answer: '' }],
    },
  });

export function shownRollback(rollback: Rollback): z.infer<typeof ShownRollback> {
  const { identity, last, steps } = rollback;
  const { rollback_id, alert_id, prompt_name, environment, hook, kind, candidate, baseline } = identity;
  const isPending = last.state === 'waiting' || last.state === 'retry';
  return {
    id: rollback_id, alert_id, prompt: prompt_name, environment, hook, kind, candidate, baseline,
    state: last.state,
    says: saysOf(rollback),
    due_at: isPending ? new Date(last.due_ms).toISOString() : null,
    can: [...(mayConfirm(rollback) ? (['confirm'] as const) : []), ...(mayVeto(rollback) ? (['veto'] as const) : [])],
    steps: steps.map(({ state, at_ms, attempt, who, reason, request, answer }) => ({ state, at_ms, attempt, by: who, reason, request, answer })),
  };
}

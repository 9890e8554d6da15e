import { z } from '@hono/zod-openapi';
import { Tolerances } from '../tolerances.ts';
import { Verdict } from '../verdict.ts';
import { Advice } from './advice.ts';

/** A rollout as the API shows it. Shares are in percent of the prompt's units (sessions, else traces). */

export const ShownState = z.enum(['under_way', 'lapsed', 'completed', 'aborted']);
const Percent = z.number().min(0).max(100);
const Left = Advice.pick({ says: true, reason: true });

export const Step = z.object({
  number: z.number().int(),
  name: z.string().nullable(),
  state: z.enum(['done', 'skipped', 'present', 'ahead', 'stopped']),
  share_percent: Percent.nullable().openapi({ description: 'as declared; null: nobody did' }),
  minimum_s: z.number().int(),
  began_at: z.string().nullable(),
  by: z.string().openapi({ description: 'who said that it began; empty: nobody did' }),
  reason: z.string(),
  observed: z.object({ share_percent: Percent, candidate_units: z.number().int(), all_units: z.number().int() }).nullable().openapi({ description: 'null: no traffic, or not yet' }),
  left: Left.nullable().openapi({ description: 'what was said of it when it was left' }),
});

export const Rollout = z
  .object({
    id: z.string().openapi({ description: 'of one that was recognised: the id of its comparison' }),
    origin: z.enum(['declared', 'recognised']),
    state: ShownState.openapi({ description: 'lapsed: nobody has said anything of it for 14 days since the present step could have been left, and nothing is advised any more; a step that is said to begin takes it up again' }),
    prompt: z.string(),
    environment: z.string(),
    candidate: z.string(),
    baseline: z.string().nullable().openapi({ description: 'that was declared, else that it is compared with; null: not known yet' }),
    began_at: z.string(),
    ended_at: z.string().nullable(),
    by: z.string().openapi({ description: 'who declared it, or ended it' }),
    reason: z.string(),
    metrics: z.array(z.string()).nullable().openapi({ description: 'what has to be proved no worse for a go; null: all that are bet on' }),
    tolerances: Tolerances.openapi({ description: 'by how much; of other metrics the usual' }),
    steps: z.array(Step),
    advice: Advice.extend({ verdict: Verdict, waits_for: z.array(z.string()), comparison_id: z.string().nullable(), alert_id: z.string().nullable() }).nullable().openapi({ description: 'of the present step; null: it has ended or lapsed' }),
    share: z
      .object({ declared_percent: Percent.nullable(), observed_percent: Percent.nullable(), since: z.string(), differs: z.boolean(), says: z.string() })
      .nullable()
      .openapi({ description: 'of the present step, or the last hour of it; null: it has ended or lapsed' }),
  })
  .openapi('Rollout');
export type Rollout = z.infer<typeof Rollout>;

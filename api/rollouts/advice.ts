import { z } from '@hono/zod-openapi';
import type { Judgement } from '../verdicts.ts';

/** What a verdict means for the step that a rollout is at. Pure. */

export const Advice = z.object({
  says: z.enum(['go', 'hold', 'back']).openapi({ description: 'go: on to the next step, after the last one the candidate may have all traffic. hold: stay. back: the candidate is worse' }),
  reason: z.string(),
  known_at: z.string().nullable().openapi({ description: 'of a hold: about when it ends, if both versions are alike; null: that is not in sight' }),
});
export type Advice = z.infer<typeof Advice>;

export type PresentStep = { readonly began_ms: number; readonly minimum_s: number };

/** Only what is proved moves a rollout: "worse" at once, "no worse" once the step has lasted long enough. */
export function adviceOf({ verdict, reason, expected_at }: Pick<Judgement, 'verdict' | 'reason' | 'expected_at'>, { began_ms, minimum_s }: PresentStep, nowMs: number): Advice {
  const earliest = began_ms + minimum_s * 1000;
  switch (verdict) {
    case 'regressed':
      return { says: 'back', reason, known_at: null };
    case 'not_worse':
      if (nowMs >= earliest) return { says: 'go', reason, known_at: null };
      return { says: 'hold', reason: `${reason}; the step has to last until ${new Date(earliest).toISOString()}`, known_at: new Date(earliest).toISOString() };
    case 'undecided':
    case 'no_data':
      return { says: 'hold', reason, known_at: expected_at === null ? null : new Date(Math.max(earliest, Date.parse(expected_at))).toISOString() };
  }
}

import { isDeepStrictEqual } from 'node:util';
import { z } from '@hono/zod-openapi';
import { derivedId } from '../../schemas/derived-id.ts';
import type { Store } from '../../schemas/store.ts';
import { ProblemError } from '../problem.ts';
import { Tolerances } from '../tolerances.ts';
import type { Advice } from './advice.ts';

/** The table `rollouts`: append-only, the newest row is the state, and all of them say when each step began, and who said so. */

export type RolloutState = 'declared' | 'advanced' | 'completed' | 'aborted';

/** `share_percent` of the prompt's traffic that the candidate takes; `minimum_s`: no `go` before it lasted so long. */
export const PlannedStep = z.object({ name: z.string().nullable(), share_percent: z.number(), minimum_s: z.number() });
/** `metrics`: what has to be proved not worse before a `go`, null: all that are bet on; `tolerances`: by how much. */
const Plan = z.object({ steps: z.array(PlannedStep), metrics: z.array(z.string()).nullable(), tolerances: Tolerances });
export type Plan = z.infer<typeof Plan>;

/** What is rolled out. `baseline` null: what serves. */
export type RolledOut = { readonly project: string; readonly environment: string; readonly prompt: string; readonly candidate: string; readonly baseline: string | null };
/** Something that happened to it. `step` counts from 1; `left`: what was said of the step that it ended. */
export type RolloutEvent = { readonly sequence: number; readonly state: RolloutState; readonly step: number; readonly at_ms: number; readonly who: string; readonly reason: string; readonly left: Pick<Advice, 'says' | 'reason'> | null };
/** Events in their order; the last one is the state. */
export type DeclaredRollout = RolledOut & { readonly id: string; readonly plan: Plan; readonly events: readonly RolloutEvent[]; readonly last: RolloutEvent };

/** No comparison is open for longer, so nothing more will be known of a step that has had this long. */
const LAPSES_AFTER_MS = 14 * 86_400_000;

/** When nobody expects anything of it any more, unless a step begins before: so long after the present one may first be left. */
export const lapsesAtMs = ({ plan, last }: DeclaredRollout): number => last.at_ms + (plan.steps[last.step - 1]?.minimum_s ?? 0) * 1000 + LAPSES_AFTER_MS;

/** What it is now. `lapsed` is stored nowhere: somebody has forgotten to end it. */
export function stateOf(rollout: DeclaredRollout, nowMs: number): 'under_way' | 'lapsed' | 'completed' | 'aborted' {
  const { state } = rollout.last;
  if (isOver(state)) return state;
  return nowMs < lapsesAtMs(rollout) ? 'under_way' : 'lapsed';
}

/** Somebody has ended it. */
export const isOver = (state: RolloutState | ReturnType<typeof stateOf>): state is 'completed' | 'aborted' => state === 'completed' || state === 'aborted';

type Row = {
  rollout_id: string; sequence: number; state: RolloutState; project: string; environment: string; prompt_name: string; candidate: string; baseline: string;
  plan: string; step: number; at_ms: number; who: string; reason: string; advice: Advice['says'] | ''; advice_reason: string;
};
type Filter = { readonly id?: string; readonly prompt?: string | undefined; readonly environment?: string | undefined; readonly candidate?: string | undefined; readonly limit: number };
const MOST = 1000;

/** All of it throws what the store throws. */
export function createRecords(store: Store) {
  /** Newest first. */
  const list = async (project: string, { limit, ...named }: Filter): Promise<DeclaredRollout[]> => {
    const columns = { id: 'rollout_id', prompt: 'prompt_name', environment: 'environment', candidate: 'candidate' } as const;
    const conditions = (['id', 'prompt', 'environment', 'candidate'] as const).filter((name) => named[name] !== undefined).map((name) => `AND ${columns[name]} = {${name}:String}`);
    const rows = await store.select<Row>(
      `SELECT * FROM rollouts FINAL WHERE project = {project:String} AND rollout_id IN
         (SELECT rollout_id FROM rollouts WHERE project = {project:String} ${conditions.join(' ')} GROUP BY rollout_id ORDER BY min(at_ms) DESC, rollout_id LIMIT {limit:UInt32})
       ORDER BY rollout_id, sequence, state IN ('completed', 'aborted'), at_ms, state, step`,
      { project, limit, ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)) },
    );
    const byId = new Map<string, Row[]>();
    for (const row of rows) byId.set(row.rollout_id, [...(byId.get(row.rollout_id) ?? []), row]);
    return [...byId.values()].flatMap(rolloutOf).sort((one, other) => (other.events[0]?.at_ms ?? 0) - (one.events[0]?.at_ms ?? 0) || (one.id < other.id ? -1 : 1));
  };

  const append = async (rollout: RolledOut & { readonly id: string; readonly plan: Plan }, event: RolloutEvent): Promise<void> => {
    const { id, project, environment, prompt, candidate, baseline, plan } = rollout;
    const { sequence, state, step, at_ms, who, reason, left } = event;
    const row: Row = { rollout_id: id, sequence, state, project, environment, prompt_name: prompt, candidate, baseline: baseline ?? '', plan: JSON.stringify(plan), step, at_ms, who, reason, advice: left?.says ?? '', advice_reason: left?.reason ?? '' };
    await store.insert('rollouts', [row]);
  };

  const one = async (project: string, id: string): Promise<DeclaredRollout | null> => (await list(project, { id, limit: 1 }))[0] ?? null;

  return {
    list,
    one,

    /** The one that is under way where it is the same; one that has lapsed is over. Throws ProblemError 409 where that one has other steps. */
    async declare(rolledOut: RolledOut, plan: Plan, { at_ms, who, reason }: Pick<RolloutEvent, 'at_ms' | 'who' | 'reason'>): Promise<DeclaredRollout> {
      const { project, environment, prompt, candidate, baseline } = rolledOut;
      const earlier = await list(project, { prompt, environment, candidate, limit: MOST });
      const id = earlier.find((each) => stateOf(each, at_ms) === 'under_way')?.id ?? derivedId('rol', JSON.stringify([project, environment, prompt, candidate, earlier.length]));
      if (!earlier.some((each) => each.id === id)) await append({ id, ...rolledOut, plan }, { sequence: 0, state: 'declared', step: 1, at_ms, who, reason, left: null });
      // Somebody may have declared another at this very moment: what is stored now is the one.
      const stored = await one(project, id);
      if (stored === null) throw new Error(`the rollout ${id} was stored and is not there`);
      if (stored.baseline !== baseline || !isDeepStrictEqual(stored.plan, plan)) {
        throw new ProblemError(409, `A rollout of ${candidate} with another baseline, other steps, metrics or tolerances is under way: ${id}. End it first (POST /v1/rollouts/${id}/end).`);
      }
      return stored;
    },

    /** The rollout with one more event. */
    async add(rollout: DeclaredRollout, event: Omit<RolloutEvent, 'sequence'>): Promise<DeclaredRollout> {
      await append(rollout, { ...event, sequence: rollout.last.sequence + 1 });
      return (await one(rollout.project, rollout.id)) ?? rollout;
    },
  };
}

function rolloutOf(rows: readonly Row[]): DeclaredRollout[] {
  const events = rows.map(({ sequence, state, step, at_ms, who, reason, advice, advice_reason }): RolloutEvent => ({ sequence, state, step, at_ms, who, reason, left: advice === '' ? null : { says: advice, reason: advice_reason } }));
  const [row] = rows;
  const last = events.at(-1);
  if (row === undefined || last === undefined) return [];
  const { rollout_id: id, project, environment, prompt_name: prompt, candidate, baseline } = row;
  // Written by this API from the same schema.
  return [{ id, project, environment, prompt, candidate, baseline: baseline === '' ? null : baseline, plan: Plan.parse(JSON.parse(row.plan)), events, last }];
}

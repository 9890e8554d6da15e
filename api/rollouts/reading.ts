import type { ApiDeps } from '../app.ts';
import { readComparison, readComparisons, type Comparison } from '../comparisons.ts';
import { stepFor } from '../metrics.ts';
import { ProblemError } from '../problem.ts';
import type { ReadVerdict, VerdictTerms } from '../verdicts.ts';
import { adviceOf, type PresentStep } from './advice.ts';
import { createRecords, isUnderWay, type DeclaredRollout } from './records.ts';
import { isGrowing, isOtherShare, plateausOf, readUnits, shareOf, type Plateau, type Units } from './shares.ts';
import type { Rollout } from './shown.ts';

/** Rollouts as they stand: what was declared, or recognised, with the verdict on it and the share that is seen. */

export type RolloutFilter = { readonly prompt?: string | undefined; readonly environment?: string | undefined; readonly state?: Rollout['state'] | undefined; readonly origin?: Rollout['origin'] | undefined; readonly limit: number };

const HOUR_MS = 3_600_000;
/** Traffic further back is not counted for a step. */
const LONGEST_MS = 14 * 24 * HOUR_MS;
const MOST_PERIODS = 48;
/** Of all in the list; each costs a few reads. */
const MOST_RECOGNISED = 50;
const MOST_DECLARED = 1000;

export function createRolloutReader(deps: ApiDeps, readVerdict: ReadVerdict) {
  const { store, clock, settings } = deps;
  const records = createRecords(store);

  const adviceFor = async (rollout: Pick<DeclaredRollout, 'prompt' | 'candidate' | 'environment' | 'baseline'>, terms: VerdictTerms, step: PresentStep) => {
    const { prompt, candidate, environment, baseline } = rollout;
    const answer = await readVerdict({ prompt, candidate, environment, baseline: baseline ?? undefined }, terms);
    const { verdict, waits_for, comparison_id, alert_id } = answer;
    return { advice: { ...adviceOf(answer, step, clock()), verdict, waits_for, comparison_id, alert_id }, baseline: answer.baseline };
  };

  const adviceOnDeclared = (rollout: DeclaredRollout) => {
    const { events, plan, last } = rollout;
    return adviceFor(rollout, { metrics: plan.metrics ?? undefined, tolerances: plan.tolerances, since_ms: events[0]?.at_ms ?? last.at_ms }, { began_ms: last.at_ms, minimum_s: plan.steps[last.step - 1]?.minimum_s ?? 0 });
  };

  const shownDeclared = async (rollout: DeclaredRollout): Promise<Rollout> => {
    const { id, prompt, environment, candidate, plan, events, last } = rollout;
    const isOpen = isUnderWay(rollout);
    const begun = events.filter(({ state }) => state === 'declared' || state === 'advanced');
    const to_ms = isOpen ? clock() : last.at_ms;
    const present_ms = begun.at(-1)?.at_ms ?? to_ms;
    const recent_ms = Math.max(present_ms, to_ms - HOUR_MS);
    const beginnings = [...begun.map(({ at_ms }) => at_ms), recent_ms].map((ms) => Math.max(ms, to_ms - LONGEST_MS));
    const units = await readUnits(store, rollout, beginnings, to_ms);
    const recent = units.at(-1) ?? { candidate: 0, all: 0 };
    // Of the present step two periods were read.
    const observedOf = (index: number): Units => (index === begun.length - 1 ? sumOf(units[index], recent) : (units[index] ?? recent));
    const verdict = isOpen ? await adviceOnDeclared(rollout) : null;
    const declared = plan.steps[last.step - 1]?.share_percent ?? null;
    return {
      id,
      origin: 'declared',
      state: last.state === 'completed' || last.state === 'aborted' ? last.state : 'under_way',
      prompt,
      environment,
      candidate,
      baseline: rollout.baseline ?? verdict?.baseline ?? null,
      began_at: iso(events[0]?.at_ms ?? last.at_ms),
      ended_at: isOpen ? null : iso(last.at_ms),
      by: (isOpen ? events[0] : last)?.who ?? '',
      reason: (isOpen ? events[0] : last)?.reason ?? '',
      metrics: plan.metrics,
      tolerances: plan.tolerances,
      steps: plan.steps.map((step, index) => {
        const number = index + 1;
        const at = begun.findIndex((event) => event.step === number);
        const began = begun[at];
        const isLast = number === last.step;
        return {
          number,
          ...step,
          state: began === undefined ? (number < last.step ? 'skipped' : 'ahead') : !isLast || last.state === 'completed' ? 'done' : last.state === 'aborted' ? 'stopped' : 'present',
          began_at: began === undefined ? null : iso(began.at_ms),
          by: began?.who ?? '',
          reason: began?.reason ?? '',
          observed: began === undefined ? null : observedShown(observedOf(at)),
          left: began === undefined ? null : (events[events.indexOf(began) + 1]?.left ?? null),
        };
      }),
      advice: verdict?.advice ?? null,
      share: isOpen ? shareShown(candidate, { declared, seen: recent, since_ms: recent_ms }) : null,
    };
  };

  /** Null where its share does not grow. */
  const recognise = async (comparison: Comparison): Promise<Rollout | null> => {
    const { id, project, prompt, environment, candidate, baseline, opened_ms } = comparison;
    const to_ms = clock();
    const from_ms = Math.max(opened_ms, to_ms - LONGEST_MS);
    const step_ms = stepFor(Math.max(1, (to_ms - from_ms) / 1000), MOST_PERIODS) * 1000;
    const beginnings = Array.from({ length: Math.max(1, Math.ceil((to_ms - from_ms) / step_ms)) }, (_, index) => from_ms + index * step_ms);
    const units = await readUnits(store, { project, prompt, environment, candidate }, beginnings, to_ms);
    const plateaus = plateausOf(units.map((each, index): Plateau => ({ ...each, from_ms: beginnings[index] ?? from_ms })));
    const last = plateaus.at(-1);
    if (last === undefined || !isGrowing(plateaus)) return null;
    const { advice } = await adviceFor({ prompt, environment, candidate, baseline }, {}, { began_ms: last.from_ms, minimum_s: 0 });
    return {
      id, origin: 'recognised', state: 'under_way', prompt, environment, candidate, baseline, began_at: iso(opened_ms), ended_at: null, by: '', reason: '', metrics: null, tolerances: {},
      steps: plateaus.map((plateau, index) => ({ number: index + 1, name: null, state: plateau === last ? 'present' : 'done', share_percent: null, minimum_s: 0, began_at: iso(plateau.from_ms), by: '', reason: '', observed: observedShown(plateau), left: null })),
      advice,
      share: shareShown(candidate, { declared: null, seen: last, since_ms: last.from_ms }),
    };
  };

  /** Open comparisons of versions of which nobody has declared, or ended, a rollout since; newest first, of each version the newest. */
  const undeclared = async (declared: readonly DeclaredRollout[], { prompt, environment }: Pick<RolloutFilter, 'prompt' | 'environment'>): Promise<Comparison[]> => {
    const open = await readComparisons(deps, { state: 'open', factor: 'prompt_version', prompt, environment, limit: MOST_RECOGNISED });
    const spokenOf = new Map<string, number>();
    for (const rollout of declared.toReversed()) spokenOf.set(nameOf(rollout), isUnderWay(rollout) ? Number.POSITIVE_INFINITY : rollout.last.at_ms);
    return open.filter((comparison) => {
      const name = nameOf(comparison);
      const isOurs = comparison.opened_ms > (spokenOf.get(name) ?? 0);
      spokenOf.set(name, Number.POSITIVE_INFINITY);
      return isOurs;
    });
  };

  return {
    records,
    adviceOnDeclared,
    shownDeclared,

    /** Newest first. */
    async list(filter: RolloutFilter): Promise<Rollout[]> {
      const { prompt, environment, state, origin, limit } = filter;
      const declared = await records.list(settings.project, { prompt, environment, limit: MOST_DECLARED });
      const wanted = declared.filter((rollout) => state === undefined || (isUnderWay(rollout) ? 'under_way' : rollout.last.state) === state).slice(0, limit);
      const rollouts: Rollout[] = [];
      if (origin !== 'recognised') for (const rollout of wanted) rollouts.push(await shownDeclared(rollout));
      if (origin !== 'declared' && (state ?? 'under_way') === 'under_way') {
        for (const comparison of (await undeclared(declared, filter)).slice(0, limit)) {
          const recognised = await recognise(comparison);
          if (recognised !== null) rollouts.push(recognised);
        }
      }
      return rollouts.sort((one, other) => (one.began_at > other.began_at ? -1 : one.began_at < other.began_at ? 1 : one.id < other.id ? -1 : 1)).slice(0, limit);
    },

    /** Throws ProblemError 404 where the project has none of this id. */
    async one(id: string): Promise<Rollout> {
      const declared = await records.one(settings.project, id);
      if (declared !== null) return shownDeclared(declared);
      const missing = new ProblemError(404, `There is no rollout ${JSON.stringify(id)}; GET /v1/rollouts lists them.`);
      const { comparison } = await readComparison(deps, id).catch((error: unknown) => {
        throw error instanceof ProblemError ? missing : error;
      });
      const { prompt, environment, candidate } = comparison;
      const declaredOf = await records.list(settings.project, { prompt, environment, candidate, limit: MOST_DECLARED });
      const isOurs = (await undeclared(declaredOf, { prompt, environment })).some((each) => each.id === id);
      const recognised = isOurs ? await recognise(comparison) : null;
      if (recognised === null) throw missing;
      return recognised;
    },
  };
}

function nameOf({ prompt, environment, candidate }: Pick<Rollout, 'prompt' | 'environment' | 'candidate'>): string {
  return JSON.stringify([prompt, environment, candidate]);
}

function sumOf(one: Units = { candidate: 0, all: 0 }, other: Units): Units {
  return { candidate: one.candidate + other.candidate, all: one.all + other.all };
}

function observedShown(units: Units): Rollout['steps'][number]['observed'] {
  return units.all === 0 ? null : { share_percent: percentOf(shareOf(units)), candidate_units: units.candidate, all_units: units.all };
}

function shareShown(candidate: string, { declared, seen, since_ms }: { declared: number | null; seen: Units; since_ms: number }): NonNullable<Rollout['share']> {
  const observed = seen.all === 0 ? null : percentOf(shareOf(seen));
  const differs = declared !== null && isOtherShare(seen, declared / 100);
  return { declared_percent: declared, observed_percent: observed, since: iso(since_ms), differs, says: saysShare(candidate, { declared, observed, differs }) };
}

function saysShare(candidate: string, { declared, observed, differs }: { declared: number | null; observed: number | null; differs: boolean }): string {
  if (observed === null) return 'no traffic of the prompt is seen';
  if (declared === null) return `${candidate} gets ${observed} %`;
  return differs ? `${candidate} gets ${observed} %, not the ${declared} % that were declared` : `${candidate} gets ${observed} %; ${declared} % were declared`;
}

function percentOf(share: number): number {
  return Number((100 * share).toPrecision(3));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

import type { ApiDeps } from '../app.ts';
import { findComparisons, readComparison, type Found } from '../comparisons.ts';
import { stepFor } from '../metrics.ts';
import { ProblemError } from '../problem.ts';
import type { Judge, Judgement, Question } from '../verdicts.ts';
import { adviceOf, type PresentStep } from './advice.ts';
import { createRecords, isOver, lapsesAtMs, stateOf, type DeclaredRollout } from './records.ts';
import { isGrowing, isOtherShare, plateausOf, readUnits, shareOf, type Count, type Plateau, type Units } from './shares.ts';
import type { Rollout } from './shown.ts';

/** Rollouts as they stand: what was declared, or recognised, with the verdict on it and the share that is seen. */

export type RolloutFilter = { readonly prompt?: string | undefined; readonly environment?: string | undefined; readonly state?: Rollout['state'] | undefined; readonly origin?: Rollout['origin'] | undefined; readonly limit: number };

/** What has to be counted of a rollout, and what it is then; null: none. */
type Drawn = { readonly count: Count; readonly shown: (units: readonly Units[]) => Rollout | null };

const HOUR_MS = 3_600_000;
/** Traffic further back is not counted for a step. */
const LONGEST_MS = 14 * 24 * HOUR_MS;
const MOST_PERIODS = 48;
/** Of all in the list. */
const MOST_RECOGNISED = 50;
const MOST_DECLARED = 1000;

export function createRolloutReader(deps: ApiDeps, judge: Judge) {
  const { store, clock, settings } = deps;
  const records = createRecords(store);

  const adviceBy = (judgement: Judgement, step: PresentStep): NonNullable<Rollout['advice']> => {
    const { verdict, waits_for, comparison_id, alert_id } = judgement;
    return { ...adviceOf(judgement, step, clock()), verdict, waits_for, comparison_id, alert_id };
  };

  const questionOf = ({ prompt, candidate, environment, baseline, plan, events, last }: DeclaredRollout): Question => ({
    query: { prompt, candidate, environment, baseline: baseline ?? undefined },
    terms: { metrics: plan.metrics ?? undefined, tolerances: plan.tolerances, since_ms: events[0]?.at_ms ?? last.at_ms },
  });
  const adviceOn = ({ plan, last }: DeclaredRollout, judgement: Judgement): NonNullable<Rollout['advice']> => adviceBy(judgement, { began_ms: last.at_ms, minimum_s: plan.steps[last.step - 1]?.minimum_s ?? 0 });
  const isUnderWay = (rollout: DeclaredRollout): boolean => stateOf(rollout, clock()) === 'under_way';

  /** The periods of its steps, the present one's last hour apart. `judgement`: null of one that is not under way. */
  const drawDeclared = (rollout: DeclaredRollout, judgement: Judgement | null): Drawn => {
    const { id, prompt, environment, candidate, plan, events, last } = rollout;
    const state = stateOf(rollout, clock());
    const begun = events.filter(({ state: event }) => event === 'declared' || event === 'advanced');
    const to_ms = judgement !== null ? clock() : state === 'lapsed' ? lapsesAtMs(rollout) : last.at_ms;
    const present_ms = begun.at(-1)?.at_ms ?? to_ms;
    const recent_ms = Math.max(present_ms, to_ms - HOUR_MS);
    const beginnings_ms = [...begun.map(({ at_ms }) => at_ms), recent_ms].map((ms) => Math.max(ms, to_ms - LONGEST_MS));
    const shown = (units: readonly Units[]): Rollout => {
      const recent = units.at(-1) ?? { candidate: 0, all: 0 };
      // Of the present step two periods were read.
      const observedOf = (index: number): Units => (index === begun.length - 1 ? sumOf(units[index], recent) : (units[index] ?? recent));
      const declared = plan.steps[last.step - 1]?.share_percent ?? null;
      return {
        id,
        origin: 'declared',
        state,
        prompt,
        environment,
        candidate,
        baseline: rollout.baseline ?? judgement?.baseline ?? null,
        began_at: iso(events[0]?.at_ms ?? last.at_ms),
        ended_at: isOver(state) ? iso(last.at_ms) : null,
        by: (isOver(state) ? last : events[0])?.who ?? '',
        reason: (isOver(state) ? last : events[0])?.reason ?? '',
        metrics: plan.metrics,
        tolerances: plan.tolerances,
        steps: plan.steps.map((step, index) => {
          const number = index + 1;
          // One that lapsed and was taken up again began anew.
          const at = begun.findLastIndex((event) => event.step === number);
          const began = begun[at];
          const isLast = number === last.step;
          return {
            number,
            ...step,
            state: began === undefined ? (number < last.step ? 'skipped' : 'ahead') : !isLast || state === 'completed' ? 'done' : state === 'aborted' ? 'stopped' : 'present',
            began_at: began === undefined ? null : iso(began.at_ms),
            by: began?.who ?? '',
            reason: began?.reason ?? '',
            observed: began === undefined ? null : observedShown(observedOf(at)),
            left: began === undefined ? null : (events[events.indexOf(began) + 1]?.left ?? null),
          };
        }),
        advice: judgement === null ? null : adviceOn(rollout, judgement),
        share: judgement !== null ? shareShown(candidate, { declared, seen: recent, since_ms: recent_ms }) : null,
      };
    };
    return { count: { prompt, environment, candidate, beginnings_ms, to_ms }, shown };
  };

  /** Not shown where its share does not grow. */
  const drawRecognised = ({ comparison }: Found, judgement: Judgement): Drawn => {
    const { id, prompt, environment, candidate, baseline, opened_ms } = comparison;
    const to_ms = clock();
    const from_ms = Math.max(opened_ms, to_ms - LONGEST_MS);
    const step_ms = stepFor(Math.max(1, (to_ms - from_ms) / 1000), MOST_PERIODS) * 1000;
    // At whole steps of the clock from the second on, so that those of hours are read from cells.
    const second_ms = (Math.floor(from_ms / step_ms) + 1) * step_ms;
    const beginnings_ms = [from_ms, ...Array.from({ length: Math.max(0, Math.ceil((to_ms - second_ms) / step_ms)) }, (_, index) => second_ms + index * step_ms)];
    const shown = (units: readonly Units[]): Rollout | null => {
      const plateaus = plateausOf(units.map((each, index): Plateau => ({ ...each, from_ms: beginnings_ms[index] ?? from_ms })));
      const last = plateaus.at(-1);
      if (last === undefined || !isGrowing(plateaus)) return null;
      return {
        id, origin: 'recognised', state: 'under_way', prompt, environment, candidate, baseline, began_at: iso(opened_ms), ended_at: null, by: '', reason: '', metrics: null, tolerances: {},
        steps: plateaus.map((plateau, index) => ({ number: index + 1, name: null, state: plateau === last ? 'present' : 'done', share_percent: null, minimum_s: 0, began_at: iso(plateau.from_ms), by: '', reason: '', observed: observedShown(plateau), left: null })),
        advice: adviceBy(judgement, { began_ms: last.from_ms, minimum_s: 0 }),
        share: shareShown(candidate, { declared: null, seen: last, since_ms: last.from_ms }),
      };
    };
    return { count: { prompt, environment, candidate, beginnings_ms, to_ms }, shown };
  };

  /** All of them, with one reading of their evidence and one of their calls. */
  const show = async ({ declared = [], recognised = [] }: { declared?: readonly DeclaredRollout[]; recognised?: readonly Found[] }): Promise<Rollout[]> => {
    const underWay = declared.filter(isUnderWay);
    const onDeclared = await judge.askAll(underWay.map(questionOf));
    const onRecognised = await judge.judgeAll(recognised);
    const drawn = [
      ...declared.map((rollout) => drawDeclared(rollout, onDeclared[underWay.indexOf(rollout)] ?? null)),
      ...recognised.flatMap((found, index) => (onRecognised[index] === undefined ? [] : [drawRecognised(found, onRecognised[index])])),
    ];
    const units = await readUnits(store, settings.project, drawn.map(({ count }) => count));
    return drawn.map(({ shown }, index) => shown(units[index] ?? [])).filter((rollout) => rollout !== null);
  };
  const shownDeclared = async (rollout: DeclaredRollout): Promise<Rollout> => {
    const [shown] = await show({ declared: [rollout] });
    if (shown === undefined) throw new Error(`the rollout ${rollout.id} is declared and not shown`);
    return shown;
  };

  /** Open comparisons of versions of which nobody has declared, or ended, a rollout since; newest first, of each version the newest. */
  const undeclared = async (declared: readonly DeclaredRollout[], { prompt, environment }: Pick<RolloutFilter, 'prompt' | 'environment'>): Promise<Found[]> => {
    const open = await findComparisons(deps, { state: 'open', factor: 'prompt_version', prompt, environment, limit: MOST_RECOGNISED });
    const spokenOf = new Map<string, number>();
    for (const rollout of declared.toReversed()) spokenOf.set(nameOf(rollout), stateOf(rollout, clock()) === 'under_way' ? Number.POSITIVE_INFINITY : rollout.last.at_ms);
    return open.filter(({ comparison }) => {
      const name = nameOf(comparison);
      const isOurs = comparison.opened_ms > (spokenOf.get(name) ?? 0);
      spokenOf.set(name, Number.POSITIVE_INFINITY);
      return isOurs;
    });
  };

  return {
    records,
    /** What is said of the present step, and is kept with the event that ends it. */
    async adviceOnDeclared(rollout: DeclaredRollout): Promise<NonNullable<Rollout['advice']>> {
      const { query, terms } = questionOf(rollout);
      return adviceOn(rollout, await judge.ask(query, terms));
    },
    shownDeclared,

    /** Newest first. */
    async list(filter: RolloutFilter): Promise<Rollout[]> {
      const { prompt, environment, state, origin, limit } = filter;
      const declared = await records.list(settings.project, { prompt, environment, limit: MOST_DECLARED });
      const wanted = declared.filter((rollout) => state === undefined || stateOf(rollout, clock()) === state).slice(0, limit);
      const recognised = origin === 'declared' || (state ?? 'under_way') !== 'under_way' ? [] : (await undeclared(declared, filter)).slice(0, limit);
      const rollouts = await show({ declared: origin === 'recognised' ? [] : wanted, recognised });
      return rollouts.sort((one, other) => (one.began_at > other.began_at ? -1 : one.began_at < other.began_at ? 1 : one.id < other.id ? -1 : 1)).slice(0, limit);
    },

    /** Throws ProblemError 404 where the project has none of this id. */
    async one(id: string): Promise<Rollout> {
      const declared = await records.one(settings.project, id);
      if (declared !== null) return shownDeclared(declared);
      const missing = new ProblemError(404, `There is no rollout ${JSON.stringify(id)}; GET /v1/rollouts lists them.`);
      const found = await readComparison(deps, id).catch((error: unknown) => {
        throw error instanceof ProblemError ? missing : error;
      });
      const { prompt, environment, candidate } = found.comparison;
      const declaredOf = await records.list(settings.project, { prompt, environment, candidate, limit: MOST_DECLARED });
      const isOurs = (await undeclared(declaredOf, { prompt, environment })).some(({ comparison }) => comparison.id === id);
      const [recognised] = isOurs ? await show({ recognised: [found] }) : [];
      if (recognised === undefined) throw missing;
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

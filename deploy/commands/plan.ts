import { z } from 'zod';
import { baselineLike, changeOf, plansOver, USUAL_SHARES, type Worse } from '../../analyzer/statistics/plan-answer.ts';
import { PermanentError } from '../../schemas/errors.ts';
import { BUILT_IN_METRICS, metricSettingsFor } from '../../schemas/metric-settings.ts';
import { PlanAnswer, type PlanForShare } from '../../schemas/plan.ts';
import type { Invocation } from '../main.ts';
import { textOf } from './flags.ts';
import { serverOf, type AskedServer } from '../asking.ts';

/**
 * `culprit plan`: how long until a change would be found. With --prompt from a running server's own history, else from what the flags say of
 * the traffic. Exit status 1 where a flag does not fit or no server answers.
 */
export async function runPlan(invocation: Invocation): Promise<number> {
  const { config, flags } = invocation;
  const metric = textOf(flags, '--metric') ?? 'error_rate';
  const answer = textOf(flags, '--prompt') === undefined ? await fromFlags(metric, config, flags) : await fromServer(metric, serverOf(invocation), flags);
  console.log(flags['--json'] === true ? JSON.stringify(answer) : describe(answer));
  return 0;
}

type Flags = Invocation['flags'];

/** @throws PermanentError naming the flag and what fits. */
function numberOf(flags: Flags, name: string, bounds: { readonly from: number; readonly to: number; readonly fallback?: number }): number {
  const text = textOf(flags, name);
  if (text === undefined && bounds.fallback !== undefined) return bounds.fallback;
  if (text === undefined) throw new PermanentError(`${name} is missing; give a number, like ${name}=${bounds.from > 0 ? bounds.from : bounds.to > 1 ? 1 : 0.1}, or name a --prompt of a running server`);
  const number = Number(text);
  if (!Number.isFinite(number) || number < bounds.from || number > bounds.to) throw new PermanentError(`${name} is ${text}; give a number from ${bounds.from} to ${bounds.to}`);
  return number;
}

const DEFAULT_RUNS = 400;

function worseOf(flags: Flags): Worse {
  const given = (['--worse', '--drop', '--times'] as const).filter((name) => textOf(flags, name) !== undefined);
  const [name] = given;
  if (name === undefined || given.length > 1) throw new PermanentError('say by how much it gets worse, once: --worse (or --drop) in its own unit, of latency and cost as a share (0.25: a quarter more), or --times');
  return { by: name === '--times' ? 'times' : 'worse', size: numberOf(flags, name, { from: 0, to: 1e9 }) };
}

async function fromFlags(name: string, config: Invocation['config'], flags: Flags): Promise<PlanAnswer> {
  const { kind, direction, tolerance, minimum, maximum, weight } = metricSettingsFor(config, '', name, 'score');
  const scale = { kind, direction, ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
  const largest = kind === 'rate' ? 1 : kind === 'score' ? (maximum ?? 1) : 1e12;
  const typical = numberOf(flags, '--baseline', { from: kind === 'score' ? (minimum ?? 0) : 0, to: largest });
  const deviation = numberOf(flags, '--deviation', { from: 1e-6, to: largest, fallback: kind === 'score' ? 0.12 * ((maximum ?? 1) - (minimum ?? 0)) : 0.5 });
  const baseline = baselineLike(scale, typical, deviation);
  const units = (numberOf(flags, '--calls-per-hour', { from: 1e-6, to: 1e9 }) * numberOf(flags, '--score-sampling', { from: 1e-6, to: 1, fallback: 1 })) / numberOf(flags, '--calls-per-session', { from: 1, to: 1e6, fallback: 1 });
  const share = numberOf(flags, '--share', { from: 1e-6, to: 1 - 1e-6, fallback: 0.1 });
  const ofStake = numberOf(flags, '--weight', { from: 1e-6, to: 1, fallback: usualWeight(weight) });
  const metric = { ...scale, tail: kind === 'distribution', reference: kind === 'rate' ? null : baseline };
  return inWords(async () => {
    const { change, changed } = changeOf(metric, typical, worseOf(flags));
    const plans = await plansOver({
      metric, tolerance, baseline, change, share, units_per_hour: [units], start_hour: 0, budget: { alpha: config.alpha, stake: 1, weight: ofStake, models: 1 },
      seed: numberOf(flags, '--seed', { from: 0, to: 2 ** 31, fallback: 1 }), runs: numberOf(flags, '--runs', { from: 20, to: 5_000, fallback: DEFAULT_RUNS }),
    }, () => Promise.resolve());
    return { schema: 'culprit.plan/1', prompt: null, environment: null, metric: name, kind, direction, baseline: typical, changed, tolerance, alpha: config.alpha, weight: ofStake, models: 1, units_per_hour: [units], plan: plans.plan, by_share: [...plans.by_share] };
  });
}

/** Of the stake, where all built-in metrics and one score are bet on and a fifth is kept back. */
function usualWeight(weight: number): number {
  const all = Object.values(BUILT_IN_METRICS).reduce((sum, metric) => sum + metric.weight, 4);
  if (weight === 0) throw new PermanentError('this metric is shown and not bet on (weight 0), so no change of it is ever told; configure a weight, or give one with --weight');
  return (0.8 * weight) / all;
}

async function inWords<Found>(work: () => Promise<Found>): Promise<Found> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RangeError) throw new PermanentError(error.message, { cause: error });
    throw error;
  }
}

async function fromServer(metric: string, server: AskedServer, flags: Flags): Promise<PlanAnswer> {
  const { by, size } = worseOf(flags);
  const query = new URLSearchParams({ metric, [by]: String(size) });
  for (const [flag, parameter] of [['--prompt', 'prompt'], ['--environment', 'environment'], ['--share', 'share'], ['--score-sampling', 'score_sampling'], ['--calls-per-hour', 'calls_per_hour'], ['--runs', 'runs'], ['--seed', 'seed']] as const) {
    const text = textOf(flags, flag);
    if (text !== undefined) query.set(parameter, text);
  }
  const parsed = PlanAnswer.safeParse(await server.ask(`/v1/plan?${query.toString()}`));
  if (!parsed.success) throw new PermanentError(`${server.url} answered something else than a plan: ${z.prettifyError(parsed.error).slice(0, 200)}`);
  return parsed.data;
}

/** As a person would say it. */
function describe({ prompt, metric, kind, baseline, changed, alpha, units_per_hour, plan, by_share, tolerance }: PlanAnswer): string {
  const units = units_per_hour.reduce((sum, rate) => sum + rate, 0) / units_per_hour.length;
  const what = `${prompt === null ? '' : `${prompt}: `}${metric}${kind === 'distribution' ? ' (median)' : ''} from ${short(baseline)} to ${short(changed)}, ${short(units)} units an hour${units_per_hour.length > 1 ? ' on average over the day' : ''}, ${short(100 * plan.share)} % to the candidate, alpha ${alpha}`;
  const answer = plan.half_hours === null
    ? `  found in ${short(100 * plan.found_share)} % of all rollouts within ${plan.horizon_hours / 24} days, after which an undecided comparison closes`
    : `  found after ${hours(plan.half_hours)} in half of all rollouts (${plan.candidate_units} units of the candidate), after ${hours(plan.ninety_hours)} in nine of ten, ${plan.expected_hours === null ? '' : `${hours(plan.expected_hours)} on average`}`;
  const rows = by_share.map((each) => `  ${`${short(100 * each.share)} %`.padStart(7)}  ${hours(each.half_hours).padStart(10)}  ${hours(each.ninety_hours).padStart(12)}  ${`${short(100 * each.found_share)} %`.padStart(8)}${rowNote(each, by_share)}`);
  return [
    what, answer.trimEnd().replace(/,$/, ''),
    ...(plan.is_told ? [] : [`  but the change is within the tolerance (${tolerance}), so nobody would be told of it`]),
    '', '    share        half   nine of ten     found', ...rows, '',
    `  ${plan.runs} simulated rollouts (seed ${plan.seed}), ${Math.max(20, Math.ceil(plan.runs / 4))} for each share of the table; strata of ${plan.stratum_seconds} s, and the time that slots and judges take to close comes on top`,
  ].join('\n');
}

function rowNote(each: PlanForShare, all: readonly PlanForShare[]): string {
  const best = all.reduce((found, other) => ((other.half_hours ?? Number.POSITIVE_INFINITY) < (found.half_hours ?? Number.POSITIVE_INFINITY) ? other : found));
  return all.length === USUAL_SHARES.length && each === best && each.half_hours !== null ? '  soonest' : '';
}

function hours(value: number | null): string {
  if (value === null) return 'never';
  if (value < 1) return `${Math.max(1, Math.round(60 * value))} min`;
  return value < 48 ? `${short(value)} h` : `${short(value / 24)} days`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(value >= 100 ? 3 : 2)));
}

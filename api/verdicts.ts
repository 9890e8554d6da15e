import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { isSetAside } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import { findComparisons, readComparison, verdictOf, type Comparison, type Found } from './comparisons.ts';
import { Forecast, forecastOf, saysForecast } from './forecasts.ts';
import { oddsFigure } from './figures.ts';
import { NameText } from './parameters.ts';
import { problemResponses } from './problem.ts';
import type { MetricVerdict, MetricVerdicts } from './metric-verdicts.ts';
import { MetricEffect, type ReadResults } from './results.ts';
import { misfitOf, type Tolerances } from './tolerances.ts';
import { Verdict } from './verdict.ts';

const Answer = z
  .object({
    verdict: Verdict,
    reason: z.string(),
    e_value: z.number().nullable(),
    threshold: z.number().nullable(),
    effect: MetricEffect.nullable().openapi({ description: 'of the metric that was asked for, else of the one with the most evidence' }),
    metric: z.string().nullable(),
    baseline: z.string().nullable(),
    candidate: z.string(),
    environment: z.string().nullable(),
    comparison_id: z.string().nullable(),
    alert_id: z.string().nullable(),
    forecast: Forecast.nullable().openapi({ description: 'of the metric, while it is undecided' }),
    waits_for: z.array(z.string()).openapi({ description: 'metrics that are not proved to be no worse yet, while it is undecided' }),
    expected_at: z.string().nullable().openapi({ description: 'when all of them will be, about, if both versions are alike; null: that is not in sight' }),
  })
  .openapi('VerdictAnswer');
type Answer = z.infer<typeof Answer>;
/** Without the size of the effect, which takes ten times as long. */
export type Judgement = Omit<Answer, 'effect'>;

/** Of which comparison of prompt versions: the newest that fits. */
export const VerdictQuery = z.strictObject({ prompt: NameText, candidate: NameText, baseline: NameText.optional(), environment: NameText.optional(), metric: NameText.optional() });
export type VerdictQuery = z.infer<typeof VerdictQuery>;
/** `metrics`: those that have to be proved no worse, instead of all that are bet on; `tolerances`: by how much. `since_ms`: comparisons that were over before count for nothing. */
export type VerdictTerms = { readonly metrics?: readonly string[] | undefined; readonly tolerances?: Tolerances | undefined; readonly since_ms?: number | undefined };
type JudgedBy = Omit<VerdictTerms, 'since_ms'> & { readonly metric?: string | undefined };
export type Question = { readonly query: VerdictQuery; readonly terms?: VerdictTerms | undefined };

export type Judge = {
  /** Of the newest comparison that fits. */
  ask(query: VerdictQuery, terms?: VerdictTerms): Promise<Judgement>;
  /** The same of many, with few questions to the store; in their order. */
  askAll(questions: readonly Question[]): Promise<Judgement[]>;
  /** Of comparisons that have been read; in their order. */
  judgeAll(found: readonly Found[]): Promise<Judgement[]>;
};

const route = createRoute({
  method: 'get',
  path: '/v1/verdict',
  summary: 'Is this version worse? For gates, rollback hooks and rollout controllers',
  request: { query: VerdictQuery },
  responses: {
    200: { description: 'Of the newest comparison of prompt versions that fits. Nothing known is `no_data`; a failure of the analysis is `undecided`, never `not_worse`.', content: { 'application/json': { schema: Answer } } },
    ...problemResponses,
  },
});

export function registerVerdicts(app: OpenAPIHono, deps: ApiDeps, judge: Judge, readResults: ReadResults): void {
  app.openapi(route, async (context) => {
    const judgement = await judge.ask(context.req.valid('query'));
    return context.json({ ...judgement, effect: await effectOf(deps, judgement, readResults) }, 200);
  });
}

async function effectOf(deps: ApiDeps, { comparison_id, metric }: Judgement, readResults: ReadResults): Promise<Answer['effect']> {
  if (comparison_id === null) return null;
  const shown = (await readResults(await readComparison(deps, comparison_id))).find(({ name }) => name === metric);
  return shown?.effects.find(({ kind }) => kind === 'ratio_p95') ?? shown?.effects[0] ?? null;
}

export function createJudge(deps: ApiDeps, metricVerdicts: MetricVerdicts): Judge {
  const judgeOne = async (found: Found, { metric, metrics, tolerances = {} }: JudgedBy): Promise<Judgement> => {
    const terms = { metric, metrics, tolerances };
    const verdicts = await metricVerdicts.read(found, tolerances);
    const judgement = judgementOf(found, verdicts, terms);
    const carrier = verdicts.every(({ verdict }) => verdict === 'no_data') ? await carrierOf(deps, found.comparison) : undefined;
    if (carrier === undefined) return judgement;
    const ofBoth = judgementOf(carrier, await metricVerdicts.read(carrier, tolerances), terms);
    return { ...ofBoth, baseline: judgement.baseline, candidate: judgement.candidate, reason: `${carrier.comparison.candidate} came with ${judgement.candidate}, and the two are judged as one: ${ofBoth.reason}` };
  };

  const unknown = async ({ prompt, candidate, baseline, environment, metric }: VerdictQuery): Promise<Judgement> => {
    const [other] = baseline === undefined ? [] : await findComparisons(deps, { prompt, candidate, environment, factor: 'prompt_version', state: 'open', limit: 1 });
    const reason = other === undefined ? 'no comparison of this candidate is known' : `${candidate} is compared with ${other.comparison.baseline}, not with ${baseline}; the setting prompts.NAME.baseline says with what`;
    return {
      verdict: 'no_data', reason, e_value: null, threshold: null, metric: metric ?? null, baseline: baseline ?? null, candidate, environment: environment ?? null,
      comparison_id: null, alert_id: null, forecast: null, waits_for: [], expected_at: null,
    };
  };

  const askAll: Judge['askAll'] = async (questions) => {
    const newest = await findNewest(deps, questions.map(({ query }) => query));
    const asked = questions.map(({ query, terms = {} }, index) => {
      const found = newest[index];
      return { query, terms, found: found !== undefined && lastedUntilMs(found.comparison) >= (terms.since_ms ?? 0) ? found : undefined };
    });
    await metricVerdicts.readAhead(asked.flatMap(({ found, terms: { tolerances } }) => (found === undefined ? [] : [{ found, tolerances }])));
    const judgements: Judgement[] = [];
    for (const { query, terms, found } of asked) judgements.push(found === undefined ? await unknown(query) : await judgeOne(found, { metric: query.metric, ...terms }));
    return judgements;
  };

  return {
    async ask(query, terms) {
      const [judgement] = await askAll([{ query, terms }]);
      if (judgement === undefined) throw new Error(`nothing was said of ${query.candidate}`);
      return judgement;
    },
    askAll,
    async judgeAll(found) {
      await metricVerdicts.readAhead(found.map((each) => ({ found: each })));
      const judgements: Judgement[] = [];
      for (const each of found) judgements.push(await judgeOne(each, {}));
      return judgements;
    },
  };
}

/** The newest comparison of prompt versions that fits each query, with one question for all of them; in their order. */
async function findNewest(deps: ApiDeps, queries: readonly VerdictQuery[]): Promise<(Found | undefined)[]> {
  if (queries.length === 0) return [];
  const found = await findComparisons(deps, { factor: 'prompt_version', among: queries, limit: 5_000 });
  return queries.map(({ prompt, candidate, baseline, environment }) =>
    found.find(({ comparison }) => comparison.prompt === prompt && comparison.candidate === candidate && comparison.baseline === (baseline ?? comparison.baseline) && comparison.environment === (environment ?? comparison.environment)));
}

/** Models and providers of a prompt that are compared at a time. */
const MOST_CARRIERS = 50;

/** The comparison of the model or provider that a version came with: on it there is no earlier version to compare with (analyzer/look/factors.ts). */
async function carrierOf(deps: ApiDeps, { prompt, environment, candidate, opened_ms }: Comparison): Promise<Found | undefined> {
  const found = await findComparisons(deps, { prompt, environment, limit: MOST_CARRIERS });
  return found.find(({ comparison, settings: { carried } }) => carried?.versions.includes(candidate) === true && Math.abs(comparison.opened_ms - opened_ms) < 600_000);
}

function lastedUntilMs({ state, last_look_ms, opened_ms }: Comparison): number {
  return state === 'open' ? Number.POSITIVE_INFINITY : (last_look_ms ?? opened_ms);
}

function judgementOf(found: Found, results: readonly MetricVerdict[], { metric, metrics, tolerances }: JudgedBy & { readonly tolerances: Tolerances }): Judgement {
  const { comparison, settings } = found;
  const waiting = waitingFor(results, metric === undefined ? metrics : [metric]);
  const misfit = results.map(({ name, kind }) => (tolerances[name] === undefined ? null : misfitOf(name, kind, tolerances[name]))).find((why) => why !== null);
  const proved = metrics === undefined ? verdictOf(comparison, results) : waiting.length === 0 ? 'not_worse' : 'undecided';
  const whole = comparison.verdict !== 'undecided' ? comparison.verdict : misfit === undefined ? proved : 'undecided';
  const among = metrics === undefined || whole !== 'undecided' ? results : results.filter(({ name }) => metrics.includes(name));
  const shown = metric === undefined ? among.toSorted((one, other) => (other.peak_e_value ?? 0) - (one.peak_e_value ?? 0))[0] : results.find((result) => result.name === metric);
  const guard = settings.guards.find((each) => metric === undefined || each.metric === metric || each.metric === '*');
  const verdict = metric === undefined ? whole : (shown?.verdict ?? 'no_data');
  const isAside = isSetAside(comparison);
  const isOpen = verdict === 'undecided' && comparison.state === 'open' && !isAside;
  const settingsOfShown = shown === undefined ? undefined : settings.metrics[shown.name];
  const forecast = verdict !== 'undecided' || shown === undefined || settingsOfShown === undefined ? null : forecastOf(settingsOfShown, shown.seen, found);
  return {
    verdict,
    reason: strangeMetric(metric, results) ?? (verdict === 'undecided' && !isAside ? (guard?.reason ?? misfit) : undefined) ?? reasonOf(verdict, { comparison, shown, forecast }),
    e_value: metric === undefined ? comparison.e_value : (comparison.metrics[metric] ?? null),
    threshold: comparison.threshold,
    metric: shown?.name ?? metric ?? null,
    baseline: comparison.baseline,
    candidate: comparison.candidate,
    environment: comparison.environment,
    comparison_id: comparison.id,
    alert_id: comparison.alert_id,
    forecast,
    waits_for: isOpen ? waiting : [],
    expected_at: isOpen && guard === undefined && misfit === undefined ? expectedAt(comparison, results.filter(({ name }) => waiting.includes(name))) : null,
  };
}

/** A name that is misspelt would otherwise wait for data for ever. */
function strangeMetric(metric: string | undefined, results: readonly MetricVerdict[]): string | undefined {
  if (metric === undefined || results.some(({ name }) => name === metric)) return undefined;
  return `${metric} is not among the metrics of this comparison, which were fixed when it opened: ${results.map(({ name }) => name).join(', ')}`;
}

/** Those that are not proved to be no worse yet: of the named ones, else of all that are bet on and have data. */
function waitingFor(results: readonly MetricVerdict[], named: readonly string[] | undefined): string[] {
  const awaited = named ?? results.filter(({ weight, verdict }) => weight > 0 && verdict !== 'no_data').map(({ name }) => name);
  return awaited.filter((name) => results.find((result) => result.name === name)?.verdict !== 'not_worse');
}

function expectedAt({ opened_ms }: Comparison, waiting: readonly MetricVerdict[]): string | null {
  const hours = waiting.map(({ proof_hours }) => proof_hours ?? Number.POSITIVE_INFINITY);
  const latest = Math.max(0, ...hours);
  return latest > 0 && Number.isFinite(latest) ? new Date(opened_ms + latest * 3_600_000).toISOString() : null;
}

type Reasons = { readonly comparison: Comparison; readonly shown: MetricVerdict | undefined; readonly forecast: Forecast | null };

function undecidedReason({ comparison, shown, forecast }: Reasons): string {
  if (comparison.state === 'closed') return `closed undecided: ${comparison.reason}`;
  if (comparison.reason !== '') return comparison.reason;
  const waits = 'the evidence does not suffice yet, either way';
  return forecast === null || shown === undefined ? waits : `${waits}: ${saysForecast(shown.name, forecast)}`;
}

function reasonOf(verdict: Verdict, reasons: Reasons): string {
  const { comparison, shown } = reasons;
  const name = shown?.name ?? 'the metric';
  switch (verdict) {
    case 'regressed':
      return `evidence against ${name} reached ${oddsFigure(shown?.peak_e_value ?? comparison.peak_e_value ?? 0)}; the threshold is ${comparison.threshold}`;
    case 'not_worse':
      return 'proved not worse by the tolerance';
    case 'undecided':
      return undecidedReason(reasons);
    case 'no_data':
      return 'no stratum has calls of both versions yet';
  }
}

import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { ApiDeps } from './app.ts';
import { findComparisons, verdictOf, type Comparison, type Found } from './comparisons.ts';
import { Forecast, saysForecast } from './forecasts.ts';
import { NameText } from './parameters.ts';
import { problemResponses } from './problem.ts';
import { MetricEffect, type MetricResult, type ReadResults } from './results.ts';
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
export type Answer = z.infer<typeof Answer>;

/** Of which comparison of prompt versions: the newest that fits. */
export const VerdictQuery = z.strictObject({ prompt: NameText, candidate: NameText, baseline: NameText.optional(), environment: NameText.optional(), metric: NameText.optional() });
export type VerdictQuery = z.infer<typeof VerdictQuery>;
/** `metrics`: those that have to be proved no worse, instead of all that are bet on; `tolerances`: by how much. `since_ms`: comparisons that were over before count for nothing. */
export type VerdictTerms = { readonly metrics?: readonly string[] | undefined; readonly tolerances?: Tolerances | undefined; readonly since_ms?: number | undefined };
export type ReadVerdict = (query: VerdictQuery, terms?: VerdictTerms) => Promise<Answer>;

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

export function registerVerdicts(app: OpenAPIHono, readVerdict: ReadVerdict): void {
  app.openapi(route, async (context) => context.json(await readVerdict(context.req.valid('query')), 200));
}

/** Of a comparison that has been read. */
export type Judge = (found: Found, terms?: Omit<VerdictTerms, 'since_ms'> & { readonly metric?: string | undefined }) => Promise<Answer>;

export function createJudge(deps: ApiDeps, readResults: ReadResults): Judge {
  return async (found, { metric, metrics, tolerances = {} } = {}) => {
    const terms = { metric, metrics, tolerances };
    const results = await readResults(found, tolerances);
    const answer = answerOf(found, results, terms);
    const carrier = results.every(({ verdict }) => verdict === 'no_data') ? await carrierOf(deps, found.comparison) : undefined;
    if (carrier === undefined) return answer;
    const ofBoth = answerOf(carrier, await readResults(carrier, tolerances), terms);
    return { ...ofBoth, baseline: answer.baseline, candidate: answer.candidate, reason: `${carrier.comparison.candidate} came with ${answer.candidate}, and the two are judged as one: ${ofBoth.reason}` };
  };
}

export function createVerdicts(deps: ApiDeps, judge: Judge): ReadVerdict {
  return async ({ prompt, candidate, baseline, environment, metric }, { metrics, tolerances, since_ms = 0 } = {}) => {
    const [found] = await findComparisons(deps, { prompt, candidate, baseline, environment, factor: 'prompt_version', limit: 1 });
    if (found !== undefined && lastedUntilMs(found.comparison) >= since_ms) return judge(found, { metric, metrics, tolerances });
    const [other] = baseline === undefined ? [] : await findComparisons(deps, { prompt, candidate, environment, factor: 'prompt_version', state: 'open', limit: 1 });
    const reason = other === undefined ? 'no comparison of this candidate is known' : `${candidate} is compared with ${other.comparison.baseline}, not with ${baseline}; the setting prompts.NAME.baseline says with what`;
    return {
      verdict: 'no_data', reason, e_value: null, threshold: null, effect: null, metric: metric ?? null, baseline: baseline ?? null, candidate, environment: environment ?? null,
      comparison_id: null, alert_id: null, forecast: null, waits_for: [], expected_at: null,
    };
  };
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

function answerOf({ comparison, settings: { guards } }: Found, results: readonly MetricResult[], { metric, metrics, tolerances }: { metric: string | undefined; metrics: readonly string[] | undefined; tolerances: Tolerances }): Answer {
  const waiting = waitingFor(results, metric === undefined ? metrics : [metric]);
  const misfit = results.map(({ name, kind }) => (tolerances[name] === undefined ? null : misfitOf(name, kind, tolerances[name]))).find((why) => why !== null);
  const proved = metrics === undefined ? verdictOf(comparison, results) : waiting.length === 0 ? 'not_worse' : 'undecided';
  const whole = comparison.verdict !== 'undecided' ? comparison.verdict : misfit === undefined ? proved : 'undecided';
  const among = metrics === undefined || whole !== 'undecided' ? results : results.filter(({ name }) => metrics.includes(name));
  const shown = metric === undefined ? among.toSorted((one, other) => (other.peak_e_value ?? 0) - (one.peak_e_value ?? 0))[0] : results.find((result) => result.name === metric);
  const guard = guards.find((each) => metric === undefined || each.metric === metric || each.metric === '*');
  const verdict = metric === undefined ? whole : (shown?.verdict ?? 'no_data');
  const isOpen = verdict === 'undecided' && comparison.state === 'open';
  return {
    verdict,
    reason: (verdict === 'undecided' ? (guard?.reason ?? misfit) : undefined) ?? reasonOf(verdict, { comparison, shown }),
    e_value: metric === undefined ? comparison.e_value : (shown?.e_value ?? null),
    threshold: comparison.threshold,
    effect: shown?.effects.find((effect) => effect.kind === 'ratio_p95') ?? shown?.effects[0] ?? null,
    metric: shown?.name ?? metric ?? null,
    baseline: comparison.baseline,
    candidate: comparison.candidate,
    environment: comparison.environment,
    comparison_id: comparison.id,
    alert_id: comparison.alert_id,
    forecast: verdict === 'undecided' ? (shown?.forecast ?? null) : null,
    waits_for: isOpen ? waiting : [],
    expected_at: isOpen && guard === undefined && misfit === undefined ? expectedAt(comparison, results.filter(({ name }) => waiting.includes(name))) : null,
  };
}

/** Those that are not proved to be no worse yet: of the named ones, else of all that are bet on and have data. */
function waitingFor(results: readonly MetricResult[], named: readonly string[] | undefined): string[] {
  const awaited = named ?? results.filter(({ weight, verdict }) => weight > 0 && verdict !== 'no_data').map(({ name }) => name);
  return awaited.filter((name) => results.find((result) => result.name === name)?.verdict !== 'not_worse');
}

function expectedAt({ opened_ms }: Comparison, waiting: readonly MetricResult[]): string | null {
  const hours = waiting.map(({ proof_hours }) => proof_hours ?? Number.POSITIVE_INFINITY);
  const latest = Math.max(0, ...hours);
  return latest > 0 && Number.isFinite(latest) ? new Date(opened_ms + latest * 3_600_000).toISOString() : null;
}

function undecidedReason(comparison: Comparison, shown: MetricResult | undefined): string {
  if (comparison.state === 'closed') return `closed undecided: ${comparison.reason}`;
  if (comparison.reason !== '') return comparison.reason;
  const waits = 'the evidence does not suffice yet, either way';
  return shown?.forecast === null || shown === undefined ? waits : `${waits}: ${saysForecast(shown.name, shown.forecast)}`;
}

function reasonOf(verdict: Verdict, { comparison, shown }: { comparison: Comparison; shown: MetricResult | undefined }): string {
  const name = shown?.name ?? 'the metric';
  switch (verdict) {
    case 'regressed':
      return `evidence against ${name} reached ${(shown?.peak_e_value ?? comparison.peak_e_value ?? 0).toPrecision(3)}; the threshold is ${comparison.threshold}`;
    case 'not_worse':
      return 'proved not worse by the tolerance';
    case 'undecided':
      return undecidedReason(comparison, shown);
    case 'no_data':
      return 'no stratum has calls of both versions yet';
  }
}

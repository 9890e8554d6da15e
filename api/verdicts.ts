import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { Effect } from '../schemas/alert.ts';
import type { ApiDeps } from './app.ts';
import { findComparisons, verdictOf, type Comparison, type Found } from './comparisons.ts';
import { Forecast, saysForecast } from './forecasts.ts';
import { NameText } from './parameters.ts';
import { problemResponses } from './problem.ts';
import type { MetricResult, ReadResults } from './results.ts';
import { Verdict } from './verdict.ts';

const Answer = z
  .object({
    verdict: Verdict,
    reason: z.string(),
    e_value: z.number().nullable(),
    threshold: z.number().nullable(),
    effect: Effect.nullable().openapi({ description: 'of the metric that was asked for, else of the one with the most evidence' }),
    metric: z.string().nullable(),
    baseline: z.string().nullable(),
    candidate: z.string(),
    environment: z.string().nullable(),
    comparison_id: z.string().nullable(),
    alert_id: z.string().nullable(),
    forecast: Forecast.nullable().openapi({ description: 'of the metric, while it is undecided' }),
  })
  .openapi('VerdictAnswer');
export type Answer = z.infer<typeof Answer>;

/** Of which comparison of prompt versions: the newest that fits. */
export const VerdictQuery = z.strictObject({ prompt: NameText, candidate: NameText, baseline: NameText.optional(), environment: NameText.optional(), metric: NameText.optional() });
export type VerdictQuery = z.infer<typeof VerdictQuery>;
export type ReadVerdict = (query: VerdictQuery) => Promise<Answer>;

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

export function createVerdicts(deps: ApiDeps, readResults: ReadResults): ReadVerdict {
  return async ({ prompt, candidate, baseline, environment, metric }) => {
    const [found] = await findComparisons(deps, { prompt, candidate, baseline, environment, factor: 'prompt_version', limit: 1 });
    if (found !== undefined) {
      const results = await readResults(found);
      const answer = answerOf(found, results, metric);
      const carrier = results.every(({ verdict }) => verdict === 'no_data') ? await carrierOf(deps, found.comparison) : undefined;
      if (carrier === undefined) return answer;
      const ofBoth = answerOf(carrier, await readResults(carrier), metric);
      return { ...ofBoth, baseline: answer.baseline, candidate: answer.candidate, reason: `${carrier.comparison.candidate} came with ${candidate}, and the two are judged as one: ${ofBoth.reason}` };
    }
    return { verdict: 'no_data', reason: 'no comparison of this candidate is known', e_value: null, threshold: null, effect: null, metric: metric ?? null, baseline: baseline ?? null, candidate, environment: environment ?? null, comparison_id: null, alert_id: null, forecast: null };
  };
}

/** Models and providers of a prompt that are compared at a time. */
const MOST_CARRIERS = 50;

/** The comparison of the model or provider that a version came with: on it there is no earlier version to compare with (analyzer/look/factors.ts). */
async function carrierOf(deps: ApiDeps, { prompt, environment, candidate, opened_ms }: Comparison): Promise<Found | undefined> {
  const found = await findComparisons(deps, { prompt, environment, limit: MOST_CARRIERS });
  return found.find(({ comparison, settings: { carried } }) => carried?.versions.includes(candidate) === true && Math.abs(comparison.opened_ms - opened_ms) < 600_000);
}

function answerOf({ comparison, settings: { guards } }: Found, results: readonly MetricResult[], metric: string | undefined): Answer {
  const shown = metric === undefined ? results.toSorted((one, other) => (other.peak_e_value ?? 0) - (one.peak_e_value ?? 0))[0] : results.find((result) => result.name === metric);
  const guard = guards.find((each) => metric === undefined || each.metric === metric || each.metric === '*');
  const verdict = metric === undefined ? verdictOf(comparison, results) : (shown?.verdict ?? 'no_data');
  return {
    verdict,
    reason: guard !== undefined && verdict === 'undecided' ? guard.reason : reasonOf(verdict, { comparison, shown }),
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
  };
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

import type { OpenAPIHono } from '@hono/zod-openapi';
import { Gauge, Registry } from 'prom-client';
import type { ApiDeps } from './app.ts';
import { readComparisons } from './comparisons.ts';

/** Comparisons as Prometheus gauges, for rollout controllers and dashboards that ask Prometheus: those that were alerted on, then the newest, as many as can be read in one go. Behind them what the process tells of itself. */
const MOST_COMPARISONS = 200;
const MOST_OF_EACH_PROMPT = 20;

const LABELS = ['environment', 'prompt', 'factor', 'baseline', 'candidate'] as const;

export function registerPrometheus(app: OpenAPIHono, deps: ApiDeps): void {
  app.get('/metrics', async (context) => {
    const registry = new Registry();
    const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> => new Gauge({ name, help, labelNames, registers: [registry] });
    const eValue = gauge('culprit_comparison_e_value', 'Evidence that the candidate is worse, held against culprit_comparison_threshold', LABELS);
    const metricEValue = gauge('culprit_comparison_metric_e_value', 'Evidence of one metric by itself', [...LABELS, 'metric']);
    const threshold = gauge('culprit_comparison_threshold', '1/alpha', LABELS);
    const regressed = gauge('culprit_comparison_regressed', '1 where an alert says that the candidate is worse, else 0', LABELS);
    for (const { environment, prompt, factor, baseline, candidate, ...comparison } of await readComparisons(deps, { state: 'open', ofEachPrompt: MOST_OF_EACH_PROMPT, limit: MOST_COMPARISONS })) {
      const labels = { environment, prompt, factor, baseline, candidate };
      eValue.set(labels, comparison.e_value ?? 1);
      threshold.set(labels, comparison.threshold);
      regressed.set(labels, comparison.verdict === 'regressed' ? 1 : 0);
      for (const [metric, value] of Object.entries(comparison.metrics)) metricEValue.set({ ...labels, metric }, value);
    }
    const own = deps.ownMetrics === undefined ? '' : await deps.ownMetrics();
    return context.body(`${await registry.metrics()}${own}`, 200, { 'content-type': registry.contentType, 'cache-control': 'no-store' });
  });
}

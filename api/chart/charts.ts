import type { Alert } from '../../schemas/alert.ts';
import type { ApiDeps } from '../app.ts';
import { findComparisons, readLooks, type Comparison } from '../comparisons.ts';
import { figureOf } from '../figures.ts';
import { readSeries, type Series } from '../series.ts';
import { pngOf } from './picture.ts';
import { chartSvg, type ChartFacts, type ChartPoint } from './svg.ts';

/** Charts of alerts, read from the store, drawn, and kept for a while. */
export type Charts = {
  svg(alert: Alert): Promise<string>;
  png(alert: Alert): Promise<Uint8Array>;
};

/** Long enough for all who are told at once, short enough to show what happens. */
const KEPT_MS = 20_000;
const KEPT_CHARTS = 64;

export function createCharts(deps: Pick<ApiDeps, 'store' | 'clock' | 'settings'>): Charts {
  const kept = new Map<string, { readonly untilMs: number; readonly drawn: Promise<unknown> }>();
  /** Whoever asks while one is drawn gets the same one. */
  const keep = <Drawn>(key: string, draw: () => Promise<Drawn>): Promise<Drawn> => {
    const known = kept.get(key);
    const nowMs = deps.clock();
    // What is kept under a key is what `draw` of that key made.
    if (known !== undefined && known.untilMs > nowMs && known.untilMs <= nowMs + KEPT_MS) return known.drawn as Promise<Drawn>;
    const drawn = draw();
    drawn.catch(() => kept.delete(key));
    kept.delete(key);
    kept.set(key, { untilMs: nowMs + KEPT_MS, drawn });
    for (const oldest of kept.keys()) {
      if (kept.size <= KEPT_CHARTS) break;
      kept.delete(oldest);
    }
    return drawn;
  };
  const svg = (alert: Alert): Promise<string> => keep(`svg ${alert.id} ${alert.state}`, async () => chartSvg(await factsOf(deps, alert)));
  return { svg, png: (alert) => keep(`png ${alert.id} ${alert.state}`, async () => pngOf(await svg(alert))) };
}

async function factsOf(deps: Pick<ApiDeps, 'store' | 'clock' | 'settings'>, alert: Alert): Promise<ChartFacts> {
  const { metric, evidence } = alert;
  const onsetMs = Date.parse(alert.onset);
  const raisedMs = Date.parse(alert.raised_at);
  const resolvedMs = alert.resolved_at === null ? null : Date.parse(alert.resolved_at);
  const [of] = await deps.store.select<{ comparison_id: string }>('SELECT comparison_id FROM alert_transitions WHERE alert_id = {id:String} LIMIT 1', { id: alert.id });
  const [found] = of === undefined ? [] : await findComparisons(deps, { id: of.comparison_id, limit: 1 });
  const quantile = QUANTILES[evidence.effect.kind];
  const common = { title: alert.summary, measure: `${metric.replaceAll('_', ' ')}${quantile === null ? '' : ` ${quantile}`}`, format: figureOf(metric, found?.settings.metrics[metric]?.kind), onsetMs, raisedMs, resolvedMs, threshold: Math.round(evidence.threshold) };
  if (found === undefined) return { ...common, isFromZero: true, fromMs: onsetMs - 1_800_000, toMs: Math.max(raisedMs, onsetMs) + 1_800_000, arms: [], stepMs: 60_000, looks: [] };
  const { comparison, settings } = found;
  // A while before it began, and until it was over, or now.
  const toMs = Math.min(deps.clock(), resolvedMs === null ? Number.POSITIVE_INFINITY : resolvedMs + 1_800_000);
  const fromMs = Math.min(comparison.opened_ms, onsetMs) - Math.max(1_800_000, (toMs - onsetMs) * 0.3);
  const [series, { looks }] = await Promise.all([readSeries(deps, comparison, { metric, from: fromMs, to: Math.max(toMs, raisedMs + 60_000) }), readLooks(deps, comparison.id, 300)]);
  return { ...common, isFromZero: settings.metrics[metric]?.kind !== 'score', fromMs: series.from_ms, toMs: series.to_ms, arms: armsOf(series, comparison, quantile), stepMs: series.step_seconds * 1000, looks };
}

type Quantile = 'p50' | 'p95' | 'p99';

/** What is drawn of a distribution: the quantile that its effect is of. */
const QUANTILES: Readonly<Record<Alert['evidence']['effect']['kind'], Quantile | null>> = { difference: null, ratio_p50: 'p50', ratio_p95: 'p95', ratio_p99: 'p99' };

function armsOf({ arms, step_seconds }: Series, comparison: Comparison, quantile: Quantile | null): ChartFacts['arms'] {
  return arms.map(({ role, points }) => ({
    role,
    name: comparison[role],
    points: points.flatMap((point): ChartPoint[] => {
      const value = quantile === null ? point.value : point[quantile];
      const bounds = quantile === null ? { low: point.low, high: point.high } : { low: null, high: null };
      return value === null ? [] : [{ at_ms: point.at_ms + step_seconds * 500, value, ...bounds }];
    }),
  }));
}

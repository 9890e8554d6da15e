import { builtIn } from '../schemas/metric-settings.ts';

/** Figures of a metric as people read them: with three digits, and their unit where the metric has one. */
const TIMES: ReadonlySet<string> = new Set(['latency', 'ttft']);

/** @param kind of the metric; left out, that of the built-in metric of this name. */
export function figureOf(metric: string, kind: string | undefined = builtIn(metric)?.kind): (value: number) => string {
  const short = (value: number): string => String(Number(value.toPrecision(3)));
  if (TIMES.has(metric)) return (value) => (Math.abs(value) >= 1000 ? `${short(value / 1000)} s` : `${short(value)} ms`);
  if (metric === 'cost') return (value) => `$${short(value)}`;
  return kind === 'rate' ? (value) => `${short(value * 100)} %` : short;
}

/** Odds against chance, in words that stay short: they grow past any number of digits. */
export function oddsFigure(value: number): string {
  return value < 1e9 ? Number(value.toPrecision(3)).toLocaleString('en') : `10^${Math.floor(Math.log10(value))}`;
}

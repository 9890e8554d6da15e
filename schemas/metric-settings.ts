import { z } from 'zod';
import { MetricKind } from './evidence.ts';
import { RollbackRule } from './hooks.ts';
import type { ScoreDataType } from './score.ts';

/** What may be configured of metrics and prompts (`metrics` and `prompts` in the file), and which word wins. */

const Direction = z.enum(['up', 'down']);
const Severity = z.enum(['page', 'ticket', 'none']);

const LabelList = z.array(z.string().trim().min(1).max(256)).min(1).max(1000);

/** What may be said of a metric, for all prompts or for one. What is left out keeps its default. */
export const MetricRule = z
  .strictObject({
    kind: MetricKind.optional().describe('rate (0 or 1), score (bounded judgement) or distribution (latency, cost, …). Built-in metrics have theirs.'),
    direction: Direction.optional().describe('Which way is worse.'),
    weight: z.number().nonnegative().max(1000).optional().describe('Share of alpha staked on it, relative to the other metrics. 0: shown, not bet on.'),
    tolerance: z.number().nonnegative().max(1).optional().describe('Effect that is not worth an alert. Rates, scores: the difference (scores from 0 to 1). Scores, distributions: the chance of being worse less that of being better. Distributions: also the relative increase of the root mean square.'),
    severity: Severity.optional().describe('What an alert that is headed by it becomes. none: shown, not bet on, never raised.'),
    minimum: z.number().optional().describe('Scale of a score: its lowest value.'),
    maximum: z.number().optional().describe('Scale of a score: its highest value.'),
    good: LabelList.optional().describe('Labels that count as 1. Where only one of the two lists is given, every other label counts for the other.'),
    bad: LabelList.optional().describe('Labels that count as 0.'),
  })
  .refine((rule) => rule.minimum === undefined || rule.maximum === undefined || rule.minimum < rule.maximum, {
    path: ['minimum'],
    message: 'is not below maximum; swap the two',
  })
  .refine(({ good = [], bad = [] }) => !good.some((label) => bad.includes(label)), { path: ['good'], message: 'shares a label with bad; keep it in one of the two' });
export type MetricRule = z.infer<typeof MetricRule>;

export const PromptRule = z.strictObject({
  baseline: z.string().min(1).optional().describe('Version, or label of the version, that new versions are compared with.'),
  split: z.record(z.string().min(1), z.number().positive()).optional().describe('How traffic is meant to be divided between versions, as weights. Where it is not, nothing is decided.'),
  owner: z.string().min(1).optional().describe('Who is named in its alerts: a team, a handle, an address.'),
  metrics: z.record(z.string().min(1), MetricRule).optional(),
  rollback: RollbackRule.optional().describe('What may be done about its regressions.'),
});
export type PromptRule = z.infer<typeof PromptRule>;

export type BuiltInMetric = { readonly kind: MetricKind; readonly direction: 'up' | 'down'; readonly weight: number };

/** The metrics that every call has by itself. Weights are relative and normalised when a comparison opens; tokens are shown, not bet on. */
export const BUILT_IN_METRICS = {
  error_rate: { kind: 'rate', direction: 'up', weight: 4 },
  latency: { kind: 'distribution', direction: 'up', weight: 4 },
  format: { kind: 'rate', direction: 'up', weight: 3 },
  cost: { kind: 'distribution', direction: 'up', weight: 2 },
  ttft: { kind: 'distribution', direction: 'up', weight: 1.5 },
  truncated: { kind: 'rate', direction: 'up', weight: 1.5 },
  empty: { kind: 'rate', direction: 'up', weight: 1 },
  content_filter: { kind: 'rate', direction: 'up', weight: 1 },
  input_tokens: { kind: 'distribution', direction: 'up', weight: 0 },
  output_tokens: { kind: 'distribution', direction: 'up', weight: 0 },
} as const satisfies Record<string, BuiltInMetric>;

/** Weight that all scores of a comparison share, where no weight of their own is set. */
const ALL_SCORES_WEIGHT = 4;

/** Half a point for rates and scores, two points (or 2 % of the root mean square) for distributions: analyzer/statistics/effect.ts, `worseningOf`. */
const DEFAULT_TOLERANCE: Readonly<Record<MetricKind, number>> = { rate: 0.005, score: 0.005, distribution: 0.02 };


/** The two sections of the file that say how prompts are watched. */
export type MetricsAndPrompts = { readonly metrics: Readonly<Record<string, MetricRule>>; readonly prompts: Readonly<Record<string, PromptRule>> };

/** One metric as it is tested on one prompt. */
export type MetricChoice = {
  kind: MetricKind;
  direction: 'up' | 'down';
  /** Relative. `all_scores`: one weight that all such scores of the comparison share between them. */
  weight: number;
  weight_for: 'metric' | 'all_scores';
  tolerance: number;
  severity: 'page' | 'ticket' | 'none';
  minimum?: number;
  maximum?: number;
};

/**
 * How a metric is tested on a prompt. The most specific word wins, field by field: the prompt's own name, a pattern such as
 * `support/*` (the one with more literal characters first), `metrics.<name>`, the built-in default.
 * `observedKind` is what the values look like, used for scores that nobody configured; built-in metrics ignore it.
 */
export function metricSettingsFor(config: MetricsAndPrompts, promptName: string, metricName: string, observedKind: MetricKind): MetricChoice {
  const rule = [own(config.metrics, metricName), ...promptRules(config.prompts, promptName).map(({ metrics = {} }) => own(metrics, metricName))].reduce<MetricRule>(
    (merged, next) => ({ ...merged, ...next }),
    {},
  );
  const known = builtIn(metricName);
  const kind = known?.kind ?? rule.kind ?? observedKind;
  const severity = rule.severity ?? 'page';
  const weight = rule.weight ?? known?.weight ?? ALL_SCORES_WEIGHT;
  return {
    kind,
    // A judgement is better the higher it is, unless said otherwise.
    direction: rule.direction ?? known?.direction ?? 'down',
    weight: severity === 'none' ? 0 : weight,
    weight_for: known === undefined && rule.weight === undefined ? 'all_scores' : 'metric',
    tolerance: rule.tolerance ?? DEFAULT_TOLERANCE[kind],
    severity,
    ...(rule.minimum === undefined ? {} : { minimum: rule.minimum }),
    ...(rule.maximum === undefined ? {} : { maximum: rule.maximum }),
  };
}

/** The labels of a score that are configured to be good or bad, in lower case; null: none are. */
export function scoreLabelsFor(config: Pick<MetricsAndPrompts, 'metrics'>, scoreName: string): { readonly good: ReadonlySet<string>; readonly bad: ReadonlySet<string> } | null {
  const { good, bad } = own(config.metrics, scoreName) ?? {};
  if (good === undefined && bad === undefined) return null;
  const lower = (labels: readonly string[] = []): ReadonlySet<string> => new Set(labels.map((label) => label.toLowerCase()));
  return { good: lower(good), bad: lower(bad) };
}

/** The type of a score that is configured, by its labels or its kind. Null: that of its first value. */
export function scoreTypeFor(config: Pick<MetricsAndPrompts, 'metrics'>, scoreName: string): ScoreDataType | null {
  const rule = own(config.metrics, scoreName);
  if (rule === undefined) return null;
  if (rule.good !== undefined || rule.bad !== undefined || rule.kind === 'rate') return 'boolean';
  return rule.kind === undefined ? null : 'numeric';
}

/** Baseline, owner, split and rollback of a prompt, by the same order of precedence. */
export function promptSettingsFor(config: Pick<MetricsAndPrompts, 'prompts'>, promptName: string): { baseline?: string; owner?: string; split?: Readonly<Record<string, number>>; rollback?: RollbackRule } {
  const { baseline, owner, split, rollback } = promptRules(config.prompts, promptName).reduce<PromptRule>((merged, next) => ({ ...merged, ...next }), {});
  return { ...(baseline === undefined ? {} : { baseline }), ...(owner === undefined ? {} : { owner }), ...(split === undefined ? {} : { split }), ...(rollback === undefined ? {} : { rollback }) };
}

export function builtIn(name: string): BuiltInMetric | undefined {
  return own<BuiltInMetric>(BUILT_IN_METRICS, name);
}

/** Score and prompt names come from telemetry: "constructor" must not find what every object inherits. */
function own<Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Least specific first, so that later ones override. */
function promptRules(prompts: MetricsAndPrompts['prompts'], promptName: string): PromptRule[] {
  const literalCharacters = (pattern: string) => pattern.replaceAll('*', '').length;
  const patterns = Object.keys(prompts)
    .filter((pattern) => pattern !== promptName && pattern.includes('*') && matchesGlob(pattern, promptName))
    .sort((x, y) => literalCharacters(x) - literalCharacters(y) || (x < y ? -1 : 1));
  return [...patterns, promptName].map((pattern) => own(prompts, pattern)).filter((rule) => rule !== undefined);
}

/** A pattern with a `*`, which stands for any characters, `/` too. Linear in the name for one star, never exponential: no regular expression is built. */
export function matchesGlob(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false;
  let position = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, position);
    if (found < 0) return false;
    position = found + part.length;
  }
  return position <= name.length - last.length;
}

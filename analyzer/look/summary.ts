import type { Effect } from '../statistics/effect.ts';

/** An alert in one sentence, for people who have just been woken. */
export type SummaryFacts = {
  readonly prompt: string;
  readonly candidate: string;
  readonly baseline: string;
  readonly metric: string;
  readonly kind: 'rate' | 'score' | 'distribution';
  readonly direction: 'up' | 'down';
  /** Of rates and scores the mean, of distributions the quantile that moved most. */
  readonly values: { readonly baseline: number | null; readonly candidate: number | null };
  /** "p50", "p95" or "p99" for distributions. */
  readonly quantile: string | null;
  readonly onsetMs: number;
};

/** What goes wrong more often, for the rates that every call has. */
const VERBS: ReadonlyMap<string, string> = new Map([
  ['error_rate', 'fails'],
  ['format', 'breaks the asked format'],
  ['truncated', 'is cut off'],
  ['content_filter', 'is stopped by a content filter'],
  ['empty', 'answers nothing'],
]);

const UNITS: ReadonlyMap<string, (value: number) => string> = new Map([
  ['latency', milliseconds],
  ['ttft', milliseconds],
  ['cost', (value: number) => `$${significant(value)}`],
]);

export function quantileNameOf({ kind }: Effect): string | null {
  return kind === 'difference' ? null : kind.slice('ratio_'.length);
}

export function summaryOf(facts: SummaryFacts): string {
  const since = `since ${new Date(facts.onsetMs).toISOString().slice(11, 16)} UTC`;
  const subject = `${facts.prompt} ${facts.candidate}`;
  const { baseline, candidate } = facts.values;
  if (baseline === null || candidate === null) return `${subject} is worse than ${facts.baseline} on ${facts.metric} ${since}`;
  switch (facts.kind) {
    case 'rate': {
      const against = `(${percent(candidate)} against ${percent(baseline)})`;
      const verb = VERBS.get(facts.metric);
      if (verb === undefined) return `${subject} passes ${facts.metric} ${facts.direction === 'down' ? 'less' : 'more'} often than ${facts.baseline} ${against} ${since}`;
      return baseline > 0 && candidate / baseline >= 1.05
        ? `${subject} ${verb} ${significant(candidate / baseline)} times as often as ${facts.baseline} ${against} ${since}`
        : `${subject} ${verb} more often than ${facts.baseline} ${against} ${since}`;
    }
    case 'score':
      return `${subject} scores ${facts.direction === 'down' ? 'lower' : 'higher'} on ${facts.metric} than ${facts.baseline} (${candidate.toFixed(3)} against ${baseline.toFixed(3)}) ${since}`;
    case 'distribution': {
      const unit = UNITS.get(facts.metric) ?? significant;
      const name = `${facts.quantile ?? ''} ${facts.metric.replaceAll('_', ' ')}`.trim();
      return `${subject} has ${significant(candidate / baseline)} times the ${name} of ${facts.baseline} (${unit(candidate)} against ${unit(baseline)}) ${since}`;
    }
  }
}

function percent(value: number): string {
  return `${significant(value * 100)} %`;
}

function milliseconds(value: number): string {
  return value >= 1000 ? `${significant(value / 1000)} s` : `${significant(value)} ms`;
}

/** Two significant digits, three from 100 on: 0.011, 5.6, 42, 123. */
function significant(value: number): string {
  const digits = Math.abs(value) >= 100 ? 3 : 2;
  return String(Number(value.toPrecision(digits)));
}

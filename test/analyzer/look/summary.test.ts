import { describe, expect, it } from 'vitest';
import { summaryOf, type SummaryFacts } from '../../../analyzer/look/summary.ts';

const facts: SummaryFacts = {
  prompt: 'refund-agent', candidate: 'v2', baseline: 'v1', metric: 'error_rate', kind: 'rate', direction: 'up', values: { baseline: 0.011, candidate: 0.062 }, quantile: null, onsetMs: Date.UTC(2026, 5, 1, 8, 30),
};

describe('the summary of an alert', () => {
  it.each<[Partial<SummaryFacts>, string]>([
    [{}, 'refund-agent v2 fails 5.6 times as often as v1 (6.2 % against 1.1 %) since 08:30 UTC'],
    [{ values: { baseline: 0, candidate: 0.062 } }, 'refund-agent v2 fails more often than v1 (6.2 % against 0 %) since 08:30 UTC'],
    [{ values: { baseline: 0.6, candidate: 0.62 } }, 'refund-agent v2 fails more often than v1 (62 % against 60 %) since 08:30 UTC'],
    [{ metric: 'format' }, 'refund-agent v2 breaks the asked format 5.6 times as often as v1 (6.2 % against 1.1 %) since 08:30 UTC'],
    [{ metric: 'thumbs_up', direction: 'down', values: { baseline: 0.8, candidate: 0.6 } }, 'refund-agent v2 passes thumbs_up less often than v1 (60 % against 80 %) since 08:30 UTC'],
    [{ metric: 'quality', kind: 'score', direction: 'down', values: { baseline: 0.8604, candidate: 0.8351 } }, 'refund-agent v2 scores lower on quality than v1 (0.835 against 0.860) since 08:30 UTC'],
    [{ metric: 'latency', kind: 'distribution', quantile: 'p99', values: { baseline: 2600, candidate: 6900 } }, 'refund-agent v2 has 2.7 times the p99 latency of v1 (6.9 s against 2.6 s) since 08:30 UTC'],
    [{ metric: 'ttft', kind: 'distribution', quantile: 'p50', values: { baseline: 240, candidate: 480 } }, 'refund-agent v2 has 2 times the p50 ttft of v1 (480 ms against 240 ms) since 08:30 UTC'],
    [{ metric: 'cost', kind: 'distribution', quantile: 'p50', values: { baseline: 0.0021, candidate: 0.0034 } }, 'refund-agent v2 has 1.6 times the p50 cost of v1 ($0.0034 against $0.0021) since 08:30 UTC'],
    [{ values: { baseline: null, candidate: 0.06 } }, 'refund-agent v2 is worse than v1 on error_rate since 08:30 UTC'],
  ])('%j', (change, said) => {
    expect(summaryOf({ ...facts, ...change })).toBe(said);
  });
});

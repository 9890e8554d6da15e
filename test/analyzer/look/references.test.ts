import { describe, expect, it } from 'vitest';
import { learnMetric, type MetricChoice } from '../../../analyzer/look/references.ts';

const choice: MetricChoice = { kind: 'distribution', direction: 'up', weight: 4, weight_for: 'metric', tolerance: 0.02, severity: 'page' };
const stake = { weight: 0.2, fromSlot: 7 };

describe('a metric that is learnt', () => {
  it('is a histogram of its earlier values where they are ranked', () => {
    expect(learnMetric(choice, [1, 1, 2, 4, 0], stake)).toEqual({
      kind: 'distribution', direction: 'up', tolerance: 0.02, severity: 'page', weight: 0.2, from_slot: 7, reference: { bins: [-1000, 0, 8, 16], counts: [1, 2, 1, 1] }, tail: true,
    });
  });

  it('needs nothing where it is a rate', () => {
    expect(learnMetric({ ...choice, kind: 'rate' }, [], stake).reference).toBeNull();
  });

  it('has a scale where it is a score, at the best end of which bin 0 lies', () => {
    const score = { ...choice, kind: 'score', direction: 'down' } as const;
    expect(learnMetric(score, [5, 5, 0], stake)).toMatchObject({ minimum: 0, maximum: 5, reference: { bins: [0, 50], counts: [2, 1] } });
    expect(learnMetric({ ...score, direction: 'up' }, [5, 5, 0], stake)).toMatchObject({ reference: { bins: [0, 50], counts: [1, 2] } });
  });

  it('keeps a scale of some length where all values are alike', () => {
    const score = { ...choice, kind: 'score', direction: 'down', minimum: 3, maximum: 3 } as const;
    expect(learnMetric(score, [3], stake)).toMatchObject({ minimum: 3, maximum: 4 });
  });
});

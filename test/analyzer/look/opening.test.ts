import { describe, expect, it } from 'vitest';
import { Comparison } from '../../../analyzer/look/comparison.ts';
import type { CallObservation, ScoreObservation } from '../../../analyzer/look/observations.ts';
import { factorNamed } from '../../../analyzer/look/factors.ts';
import { openComparison } from '../../../analyzer/look/opening.ts';
import type { MetricPolicy } from '../../../analyzer/look/references.ts';
import { ConfigFile } from '../../../schemas/config.ts';
import { metricSettingsFor } from '../../../schemas/metric-settings.ts';
import { evidenceOf, createEvidence } from '../../../analyzer/statistics/evidence.ts';
import { atSlot, call, FIRST_SLOT, scoreOf, type Change } from './observed.ts';

const policyOf = (settings: object = {}): MetricPolicy => (name, kind) => metricSettingsFor(ConfigFile.parse(settings), 'p', name, kind === 'boolean' ? 'rate' : 'score');

function opening(calls: readonly CallObservation[], scores: readonly ScoreObservation[] = [], settings: object = {}) {
  return openComparison({
    factor: factorNamed('prompt_version'), group: '', slot: FIRST_SLOT, baseline: 'v1', candidate: 'v2', opened_ms: atSlot(0), alpha: 0.01, stake: 1, session_window_s: 180, policy: policyOf(settings), calls, scores,
  });
}

const hour = (count: number, change: Change<CallObservation> = {}): CallObservation[] => Array.from({ length: count }, (_, n) => call(-119 + (n % 119), { session_id: `s${n}`, ...change }));
const judged = (calls: readonly CallObservation[], values: readonly number[], change: Change<ScoreObservation> = {}): ScoreObservation[] => calls.map((each, n) => scoreOf(each, each.slot - FIRST_SLOT, values[n % values.length] ?? 0, change));
const rich = { ttft_ms: 300, input_tokens: 700, output_tokens: 90, cost_usd: 0.01, finish_reason: 'stop', is_empty: false, is_format_valid: true } as const;

describe('weights', () => {
  it('are relative, normalised over what the baseline showed, with a fifth kept back', () => {
    const calls = hour(60, rich);
    const { settings } = opening(calls, [...judged(calls, [0.5, 0.9]), ...judged(calls, [0.5, 0.9], { name: 'tone' })]);
    const total = 4 + 4 + 3 + 2 + 1.5 + 1.5 + 1 + 1 + 4;
    const weights = Object.fromEntries(Object.entries(settings.metrics).map(([name, { weight }]) => [name, Math.round((weight * total * 1e6) / 0.8) / 1e6]));
    expect(weights).toEqual({ error_rate: 4, latency: 4, format: 3, cost: 2, ttft: 1.5, truncated: 1.5, empty: 1, content_filter: 1, input_tokens: 0, output_tokens: 0, quality: 2, tone: 2 });
    expect(settings.reserve).toBe(0.2);
    expect(Object.values(settings.metrics).reduce((sum, { weight }) => sum + weight, settings.reserve)).toBeCloseTo(1, 12);
    expect(evidenceOf(createEvidence(), settings).e_value, 'the stake, before anything is bet').toBeCloseTo(1, 12);
  });

  it('leave out what is shown and not bet on', () => {
    const { settings } = opening(hour(60, rich), [], { metrics: { latency: { severity: 'none' }, error_rate: { weight: 0 } } });
    expect([settings.metrics.latency?.weight, settings.metrics.error_rate?.weight]).toEqual([0, 0]);
    expect(Object.values(settings.metrics).reduce((sum, { weight }) => sum + weight, settings.reserve)).toBeCloseTo(1, 12);
  });

  it('are all in reserve where nothing was seen', () => {
    expect(opening([]).settings).toMatchObject({ reserve: 1, metrics: {} });
  });

  it('are learnt from the baseline only, and a score may be called anything', () => {
    const calls = hour(60);
    const { settings } = opening([...calls, ...hour(60, { version: 'v2', is_format_valid: false })], judged(calls, [0.5], { name: '__proto__' }));
    expect(Object.keys(settings.metrics).sort()).toEqual(['__proto__', 'error_rate', 'latency']);
  });
});

describe('the scale of a score', () => {
  it.each([
    { values: [0, 0.4, 1], scale: { kind: 'score', minimum: 0, maximum: 1 } },
    { values: [1, 4, 5], scale: { kind: 'score', minimum: 0, maximum: 5 } },
    { values: [1, 9], scale: { kind: 'score', minimum: 0, maximum: 10 } },
    { values: [20, 99], scale: { kind: 'score', minimum: 0, maximum: 100 } },
    { values: [-1, 1], scale: { kind: 'score', minimum: -1, maximum: 1 } },
    { values: [-30, 250], scale: { kind: 'score', minimum: -30, maximum: 250 } },
    { values: [0], scale: { kind: 'score', minimum: 0, maximum: 1 } },
  ])('is read from its values $values', ({ values, scale }) => {
    const calls = hour(60);
    expect(opening(calls, judged(calls, values)).settings.metrics.quality).toMatchObject(scale);
  });

  it('is what the configuration says', () => {
    const calls = hour(60);
    const { settings } = opening(calls, judged(calls, [3]), { metrics: { quality: { minimum: 1, maximum: 7, direction: 'up' } } });
    expect(settings.metrics.quality).toMatchObject({ minimum: 1, maximum: 7, direction: 'up' });
  });

  it('of yes and no is a rate', () => {
    const calls = hour(20);
    expect(opening(calls, judged(calls, [0, 1], { data_type: 'boolean' })).settings.metrics.quality).toMatchObject({ kind: 'rate', direction: 'down', reference: null });
  });
});

describe('a metric that is first seen later', () => {
  const identity = { project: 'd', environment: 'e', prompt_name: 'p', factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0, comparison_id: 'c' } as const;
  const open = (history: readonly CallObservation[]) => new Comparison(identity, { ...opening(history), policy: policyOf() });
  const slotOfUnits = (slot: number, units: number, name: string): [CallObservation[], ScoreObservation[]] => {
    const calls = Array.from({ length: units }, (_, n) => call(slot, { version: n % 2 === 0 ? 'v1' : 'v2' }));
    return [calls, calls.map((each, n) => scoreOf(each, slot, n / units, { name }))];
  };

  it('is learnt from its first 50 units, takes half of the reserve, and is bet on from the next slot', () => {
    const comparison = open(hour(60));
    const feed = (slot: number, units: number): string[] => [...new Set(comparison.feed(FIRST_SLOT + slot, ...slotOfUnits(slot, units, 'tone'), new Map()).strata.map(({ metric }) => metric))];
    for (let slot = 1; slot <= 4; slot += 1) expect(feed(slot, 12)).not.toContain('tone');
    expect(comparison.settings().metrics.tone).toBeUndefined();
    feed(5, 12);
    const { metrics, reserve } = comparison.settings();
    expect(metrics.tone).toMatchObject({ weight: 0.1, from_slot: FIRST_SLOT + 6, kind: 'score', minimum: 0, maximum: 1 });
    expect(metrics.tone?.reference?.counts.reduce((sum, count) => sum + count, 0)).toBe(50);
    expect(reserve).toBeCloseTo(0.1, 12);
    // Its first stratum holds none of the units of the slots that it was learnt in, though their window was still open.
    let units = 0;
    for (let slot = 6; units === 0; slot += 1) {
      const { strata } = comparison.feed(FIRST_SLOT + slot, ...slotOfUnits(slot, slot === 6 ? 12 : 0, 'tone'), new Map());
      units = strata.filter(({ metric }) => metric === 'tone').reduce((sum, { a, b }) => sum + [...a, ...b].reduce((total, count) => total + count, 0), 0);
    }
    expect(units).toBe(12);
  });

  it('leaves the sum of the evidence as it was', () => {
    const comparison = open(hour(60));
    for (let slot = 1; slot <= 5; slot += 1) {
      const before = comparison.evidence().e_value;
      const outcome = comparison.feed(FIRST_SLOT + slot, ...slotOfUnits(slot, 12, 'tone'), new Map());
      if (outcome.strata.length === 0) expect(outcome.e_value).toBeCloseTo(before, 12);
    }
    const { settings } = { settings: comparison.settings() };
    expect(Object.values(settings.metrics).reduce((sum, { weight }) => sum + weight, settings.reserve)).toBeCloseTo(1, 12);
  });

  it('cannot be one of more than 64', () => {
    const comparison = open(hour(60));
    for (let slot = 1; slot <= 70; slot += 1) comparison.feed(FIRST_SLOT + slot, ...slotOfUnits(slot, 50, `score ${slot}`), new Map());
    expect(Object.keys(comparison.settings().metrics)).toHaveLength(64);
  });
});

describe('what else is fixed at the opening', () => {
  it('is that a unit is its first call, where fewer than 5 % of the calls are a further one of their session', () => {
    const repeated = (share: number): CallObservation[] => hour(1000).map((each, n) => (n < share * 1000 ? { ...each, session_id: 's999' } : each));
    expect(opening(repeated(0.04)).settings.session_window_s).toBe(0);
    expect(opening(repeated(0.06)).settings.session_window_s).toBe(180);
    expect(opening(hour(30)).settings.session_window_s, 'too little history to tell').toBe(180);
  });

  it('is the models that have a part of their own, where there are several', () => {
    expect(opening([...hour(9), ...hour(9, { response_model: 'm-2' }), ...hour(9, { response_model: 'm', is_error: true })]).settings.models).toEqual(['m-1', 'm-2']);
    expect(opening(hour(9)).settings.models).toEqual([]);
  });

  it('is the length of the first windows, from the counts of the hour before', () => {
    const calls = [...hour(1190), ...Array.from({ length: 10 }, () => call(0, { version: 'v2' }))];
    const lengths = opening(calls).schedule.map(({ family, begin, length }) => [family.group, family.model, begin, length]);
    expect(lengths).toEqual([
      ['errors', 'm', FIRST_SLOT + 1, 2],
      ['successes', 'm-1', FIRST_SLOT + 1, 2],
    ]);
  });
});

import { describe, expect, it } from 'vitest';
import { alertIdOf, alertOf, findingOf, headlineOf, isPastThreshold } from '../../../analyzer/look/alerting.ts';
import type { ComparisonIdentity } from '../../../analyzer/look/comparison.ts';
import { slotStartMs } from '../../../analyzer/slots.ts';
import { advance, createEvidence, evidenceOf } from '../../../analyzer/statistics/evidence.ts';
import { referenceOf } from '../../../analyzer/statistics/reference.ts';
import { binOf } from '../../../analyzer/statistics/badness.ts';
import { Alert } from '../../../schemas/alert.ts';
import type { ComparisonSettings, MetricSettings, Stratum } from '../../../schemas/evidence.ts';
import { normal, seeded, stratumOf } from '../../statistics/traffic.ts';

const FIRST = 59_000_000;
const random = seeded(81);
const latency = { kind: 'distribution', direction: 'up' } as const;
const metric = (weight: number, change: Partial<MetricSettings> = {}): MetricSettings => ({ kind: 'rate', direction: 'up', weight, from_slot: FIRST, tolerance: 0.005, severity: 'page', reference: null, ...change });
const reference = referenceOf(Array.from({ length: 400 }, () => binOf(latency, 900 * Math.exp(0.4 * normal(random)))));
const ofLatency = (weight: number, change: Partial<MetricSettings> = {}): MetricSettings => metric(weight, { kind: 'distribution', tolerance: 0.02, reference: { bins: [...reference.bins], counts: [...reference.counts] }, ...change });

const settingsOf = (metrics: Record<string, MetricSettings>): ComparisonSettings => ({
  alpha: 0.01, stake: 1, slot_seconds: 30, opened_slot: FIRST - 1, opened_ms: slotStartMs(FIRST - 1) + 7_000, models: [], session_window_s: 0, metrics, reserve: 0.2, group: '', carried: null, before_after: null, drift: null, guards: [],
});

/** Strata of 30 units, a third of them the candidate's, which errs or is slow as told from a slot on. */
function strataOf(settings: ComparisonSettings, fault: { error: number; slower: number; from?: number }, slots = 40): Stratum[] {
  return Array.from({ length: slots }, (_, index) => {
    const isFaulty = index >= (fault.from ?? 0);
    const units = Array.from({ length: 30 }, (__, n) => {
      const arm = n % 3 === 0 ? ('b' as const) : ('a' as const);
      const worse = arm === 'b' && isFaulty;
      return { arm, error: Number(random() < (worse ? fault.error : 0.01)), ms: 900 * Math.exp(0.4 * normal(random)) * (worse ? fault.slower : 1) };
    });
    const slot = FIRST + index;
    return Object.entries(settings.metrics).map(([name, each]) => stratumOf(name, each, slot, units.map(({ arm, error, ms }) => ({ arm, value: each.kind === 'rate' ? error : ms })), 'gpt-4o'));
  })
    .flat()
    .map((stratum) => ({ ...stratum, bins: [...stratum.bins], a: [...stratum.a], b: [...stratum.b] }));
}

function evidenceFor(settings: ComparisonSettings, strata: readonly Stratum[]) {
  let state = createEvidence();
  for (const slot of new Set(strata.map((stratum) => stratum.slot))) state = advance(state, settings, slot, strata.filter((stratum) => stratum.slot === slot));
  return { ...evidenceOf(state, settings), controls: null };
}

function find(settings: ComparisonSettings, strata: readonly Stratum[]) {
  const evidence = evidenceFor(settings, strata);
  return { evidence, isPast: isPastThreshold(evidence, settings), finding: findingOf(evidence, settings, strata) };
}

describe('a finding', () => {
  it('is headed by the metric with the largest term, since the opening where the fault was there from the first stratum (seed 81)', () => {
    const settings = settingsOf({ error_rate: metric(0.4), latency: ofLatency(0.4) });
    const { isPast, finding } = find(settings, strataOf(settings, { error: 0.3, slower: 1 }));
    expect(isPast).toBe(true);
    expect(finding).toMatchObject({ metric: 'error_rate', onsetMs: settings.opened_ms, effect: { kind: 'difference' } });
    expect(finding?.effect.estimate).toBeGreaterThan(0.2);
    expect(finding?.candidate.units).toBe(400);
  });

  it('of a distribution is told as the quantile that moved (seed 81)', () => {
    const settings = settingsOf({ error_rate: metric(0.4), latency: ofLatency(0.4) });
    const { finding } = find(settings, strataOf(settings, { error: 0.01, slower: 1.6 }));
    expect(finding).toMatchObject({ metric: 'latency', effect: { kind: expect.stringMatching(/^ratio_p(50|95|99)$/) } });
    expect(finding?.effect.estimate).toBeGreaterThan(1.3);
    expect((finding?.candidate.value ?? 0) / (finding?.baseline.value ?? 1)).toBeGreaterThan(1.3);
  });

  it('has the onset of a fault that came later (seed 81)', () => {
    const settings = settingsOf({ error_rate: metric(0.8) });
    const { finding } = find(settings, strataOf(settings, { error: 0.4, slower: 1, from: 60 }, 90));
    expect(Math.abs((finding?.onsetMs ?? 0) - slotStartMs(FIRST + 60))).toBeLessThanOrEqual(4 * 30_000);
  });

  it('is none within the tolerance, however sure (seed 81)', () => {
    const settings = settingsOf({ error_rate: metric(0.8, { tolerance: 0.5 }) });
    expect(find(settings, strataOf(settings, { error: 0.3, slower: 1 }))).toMatchObject({ isPast: true, finding: null });
  });

  it('does not go to another metric in whose favour nothing is won (seed 81)', () => {
    // All of the evidence is of errors, which are tolerated; latency is worse by chance at most.
    const settings = settingsOf({ error_rate: metric(0.4, { tolerance: 0.9 }), latency: ofLatency(0.4, { tolerance: 0 }) });
    expect(find(settings, strataOf(settings, { error: 0.4, slower: 1.001 }))).toMatchObject({ isPast: true, finding: null });
  });

  it('goes past a metric within its tolerance to one that is beyond (seed 81)', () => {
    const settings = settingsOf({ error_rate: metric(0.4, { tolerance: 0.9 }), latency: ofLatency(0.4) });
    const strata = strataOf(settings, { error: 0.6, slower: 1.6 });
    const { evidence, finding } = find(settings, strata);
    expect(evidence.metrics.error_rate).toBeGreaterThan(evidence.metrics.latency ?? 0);
    expect(finding?.metric).toBe('latency');
  });

  it('is never headed by what is only shown', () => {
    const settings = settingsOf({ error_rate: metric(0.8), latency: ofLatency(0) });
    const { finding } = find(settings, strataOf(settings, { error: 0.3, slower: 3 }));
    expect(finding?.metric).toBe('error_rate');
  });
});

describe('the headline', () => {
  const settings = settingsOf({ ttft: ofLatency(0.3), latency: ofLatency(0.3), error_rate: metric(0.2) });
  const all = new Set(Object.keys(settings.metrics));

  it('is latency where the time to first token leads and latency has half of its log evidence', () => {
    expect(headlineOf({ metrics: { ttft: 1e6, latency: 1e4, error_rate: 1 } }, settings, all)).toBe('latency');
    expect(headlineOf({ metrics: { ttft: 1e6, latency: 1e2, error_rate: 1 } }, settings, all)).toBe('ttft');
    expect(headlineOf({ metrics: { ttft: 1e6, latency: 1e4, error_rate: 1 } }, settings, new Set(['ttft']))).toBe('ttft');
  });

  it('goes by the term of the sum, ties by name', () => {
    expect(headlineOf({ metrics: { ttft: 10, latency: 10, error_rate: 16 } }, settings, all)).toBe('error_rate');
    expect(headlineOf({ metrics: { ttft: 10, latency: 10, error_rate: 1 } }, settings, all)).toBe('latency');
    expect(headlineOf({ metrics: {} }, settings, new Set())).toBeNull();
  });
});

describe('an alert', () => {
  const settings = settingsOf({ error_rate: metric(0.8) });
  const strata = strataOf(settings, { error: 0.3, slower: 1 });
  const { evidence, finding } = find(settings, strata);
  const identity: ComparisonIdentity = { project: 'p', environment: 'production', prompt_name: 'refund-agent', factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0, comparison_id: 'cmp_1' };
  const context = { identity, settings, evidence, strata, confounded_with: [], apart: [], examples: [], raisedMs: slotStartMs(FIRST + 41), version: 'v2', owner: 'payments', publicUrl: 'https://culprit.example.com', canRollBack: true };

  it('is what the public contract says, and all of it follows from what is given', () => {
    if (finding === null) throw new Error('no finding');
    const alert = alertOf({ ...context, finding });
    expect(Alert.parse(alert)).toEqual(alert);
    expect(alertOf({ ...context, finding })).toEqual(alert);
    expect(alert).toMatchObject({
      id: alertIdOf(identity), state: 'open', severity: 'page', metric: 'error_rate', resolved_at: null,
      culprit: { factor: 'prompt_version', value: 'v2', baseline: 'v1', owner: 'payments' },
      evidence: { grade: 'concurrent', threshold: 100, alpha: 0.01, e_value: evidence.e_value },
      exonerated: [{ factor: 'model', value: 'gpt-4o' }],
      links: { alert: `https://culprit.example.com/alerts/${alertIdOf(identity)}`, evidence: 'https://culprit.example.com/v1/comparisons/cmp_1/evidence', rollback: `https://culprit.example.com/alerts/${alertIdOf(identity)}#rollback` },
    });
    expect(alertOf({ ...context, finding, canRollBack: false }).links.rollback).toBeNull();
    expect(alert.summary).toMatch(/^refund-agent v2 fails [\d.]+ times as often as v1 \([\d.]+ % against [\d.]+ %\) since \d\d:\d\d UTC$/);
  });

  it('is a ticket where its metric is worth no more', () => {
    if (finding === null) throw new Error('no finding');
    expect(alertOf({ ...context, finding: { ...finding, settings: { ...finding.settings, severity: 'ticket' } } })).toMatchObject({ severity: 'ticket', links: { rollback: null } });
  });
});

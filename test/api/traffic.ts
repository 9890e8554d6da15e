import { createHash } from 'node:crypto';
import { FORM, type ComparisonSnapshot } from '../../analyzer/look/snapshot.ts';
import { slotOf } from '../../analyzer/slots.ts';
import { createEvidence, advance, evidenceOf } from '../../analyzer/statistics/evidence.ts';
import { binOf } from '../../analyzer/statistics/badness.ts';
import { referenceOf } from '../../analyzer/statistics/reference.ts';
import type { Alert } from '../../schemas/alert.ts';
import { ComparisonSettings, type MetricSettings, type Stratum } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { callRow, scoreRow, slotSeconds, type CallRow } from './rows.ts';

/**
 * Two hours of traffic of a few prompts, written as the analyzer writes it: calls, scores, versions, strata, looks, a comparison
 * and its alert. The evidence is computed by the real e-process from the seeded calls, so that what the page shows is true of them.
 */

export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export type Arm = { version: string; share: number; errorRate: number; medianMs: number; quality: number };
export type Rollout = { prompt: string; baseline: Arm; candidate: Arm; beganMs: number; callsPerMinute: number; raisesAlert: boolean };

const HOUR_MS = 3_600_000;

/** v2 fails eight times as often as v1, on a tenth of the traffic, since an hour and a half; an alert says so. */
export const worseRollout = (nowMs: number): Rollout => ({
  prompt: 'refund-agent',
  baseline: { version: 'v1', share: 0.9, errorRate: 0.011, medianMs: 900, quality: 0.86 },
  candidate: { version: 'v2', share: 0.1, errorRate: 0.09, medianMs: 880, quality: 0.85 },
  beganMs: nowMs - 1.5 * HOUR_MS,
  callsPerMinute: 60,
  raisesAlert: true,
});

/** Both versions alike, side by side since an hour. */
export const harmlessRollout = (nowMs: number, callsPerMinute: number): Rollout => {
  const healthy = { share: 0.5, errorRate: 0.02, medianMs: 900, quality: 0.86 };
  return { prompt: 'refund-agent', baseline: { version: 'v1', ...healthy }, candidate: { version: 'v2', ...healthy }, beganMs: nowMs - HOUR_MS, callsPerMinute, raisesAlert: false };
};

/** The two hours before. */
export const twoHoursTo = (nowMs: number): { fromMs: number; toMs: number } => ({ fromMs: nowMs - 2 * HOUR_MS, toMs: nowMs });

function lognormal(random: () => number, median: number, sigma: number): number {
  return median * Math.exp(sigma * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** Writes the traffic of one rollout from `fromMs` to `toMs` and what the analyzer concludes of it. Returns its ids. */
export async function seedRollout(store: Store, rollout: Rollout, time: { fromMs: number; toMs: number }, random: () => number): Promise<{ comparisonId: string; alertId: string | null; calls: CallRow[] }> {
  const { prompt, baseline, candidate, beganMs } = rollout;
  const calls: CallRow[] = [];
  const scores: ReturnType<typeof scoreRow>[] = [];
  let index = 0;
  for (let at_ms = time.fromMs; at_ms < time.toMs; at_ms += (60_000 / rollout.callsPerMinute) * (0.5 + random())) {
    const arm = at_ms >= beganMs && random() < candidate.share ? candidate : baseline;
    const is_error = random() < arm.errorRate;
    const duration_ms = lognormal(random, is_error ? 7900 : arm.medianMs, is_error ? 0.1 : 0.45);
    const call = callRow({
      at_ms,
      id: `${prompt} ${index++} ${time.fromMs}`,
      prompt,
      version: arm.version,
      duration_ms,
      is_error,
      model: random() < 0.3 ? 'gpt-4o-mini-2024-07-18' : 'gpt-4o-2024-08-06',
      ttft_ms: lognormal(random, 260, 0.3),
      output_tokens: Math.max(1, Math.round(lognormal(random, 180, 0.5))),
    });
    calls.push(call);
    if (!is_error && random() < 0.3) scores.push(scoreRow(call, { name: 'quality', value: Math.min(1, Math.max(0, arm.quality + 0.18 * (random() + random() - 1))) }));
  }
  await store.insert('calls', calls);
  await store.insert('scores', scores);
  for (const arm of [baseline, candidate]) {
    const own = calls.filter((call) => call.prompt_version === arm.version);
    const times = own.map((call) => Number(call.event_time) * 1000);
    await store.insert('versions', [
      { project: 'default', environment: 'production', prompt_name: prompt, factor: 'prompt_version', value: arm.version, first_seen_ms: Math.min(...times), last_seen_ms: Math.max(...times), calls: own.length },
    ]);
  }

  const earlier = calls.filter((call) => Number(call.event_time) * 1000 < beganMs && !call.is_error);
  const scale = { kind: 'distribution', direction: 'up' } as const;
  const duration = (call: CallRow): number => Number(BigInt(call.end_ns) - BigInt(call.start_ns)) / 1e6;
  const openedSlot = Math.floor(beganMs / 1000 / slotSeconds);
  const plain = (kind: MetricSettings['kind'], direction: 'up' | 'down', weight: number, tolerance: number): MetricSettings => ({ kind, direction, weight, from_slot: openedSlot, tolerance, severity: weight > 0 ? 'page' : 'none', reference: null });
  const scoreScale = { kind: 'score', direction: 'down' } as const;
  const quality = { ...plain('score', 'down', 0.16, 0.005), minimum: 0, maximum: 1, reference: referenceOf(scores.filter((score) => Number(score.event_time) * 1000 < beganMs).map((score) => binOf({ ...scoreScale, minimum: 0, maximum: 1 }, score.value))) };
  const settings = {
    alpha: 0.01,
    stake: 1,
    slot_seconds: slotSeconds,
    opened_slot: openedSlot,
    opened_ms: beganMs,
    models: [],
    session_window_s: 0,
    metrics: {
      error_rate: plain('rate', 'up', 0.28, 0.005),
      latency: { ...plain('distribution', 'up', 0.28, 0.02), reference: referenceOf(earlier.map((call) => binOf(scale, duration(call)))) },
      cost: { ...plain('distribution', 'up', 0.12, 0.02), reference: referenceOf(earlier.map((call) => binOf(scale, call.cost_usd ?? 0))) },
      format: plain('rate', 'up', 0.12, 0.005),
      quality,
      input_tokens: { ...plain('distribution', 'up', 0, 0.02), reference: referenceOf([binOf(scale, 1200)]) },
    },
    reserve: 0.04,
  };
  const frozen = ComparisonSettings.parse(settings);

  const valueOf: Record<string, (call: CallRow) => number | null> = {
    error_rate: (call) => Number(call.is_error),
    latency: (call) => (call.is_error ? null : duration(call)),
    cost: (call) => call.cost_usd,
    format: (call) => (call.is_format_valid === null ? null : Number(!call.is_format_valid)),
    quality: (call) => qualityOf.get(call.trace_id) ?? null,
    input_tokens: (call) => (call.is_error ? null : call.input_tokens),
  };
  const qualityOf = new Map(scores.map((score) => [score.trace_id, score.value]));
  const comparisonId = `cmp_${createHash('sha256').update(`${prompt}${candidate.version}`).digest('hex').slice(0, 16)}`;
  const strata: Stratum[] = [];
  const looks: { comparison_id: string; slot: number; at: string; e_value: number; metrics: Record<string, number> }[] = [];
  let state = createEvidence();
  let crossedMs: number | null = null;
  for (let slot = openedSlot; slot < Math.floor(time.toMs / 1000 / slotSeconds); slot += 1) {
    const closed: Stratum[] = [];
    for (const [name, metric] of Object.entries(frozen.metrics)) {
      const counts = new Map<string, Map<number, [number, number]>>();
      for (const call of calls) {
        if (Math.floor(call.received_ms / 1000 / slotSeconds) !== slot || Number(call.event_time) * 1000 < beganMs) continue;
        const value = valueOf[name]?.(call) ?? null;
        if (value === null) continue;
        const model = call.request_model;
        const bins = counts.get(model) ?? new Map<number, [number, number]>();
        counts.set(model, bins);
        const bin = binOf(metric, value);
        const pair = bins.get(bin) ?? [0, 0];
        pair[call.prompt_version === candidate.version ? 1 : 0] += 1;
        bins.set(bin, pair);
      }
      for (const [model, bins] of counts) {
        const sorted = [...bins].toSorted(([one], [other]) => one - other);
        closed.push({ metric: name, slot, begin_slot: slot, start_window_ms: beganMs, model, operation: 'chat', route: '/refund', use: 'bet', control: '', bins: sorted.map(([bin]) => bin), a: sorted.map(([, [a]]) => a), b: sorted.map(([, [, b]]) => b) });
      }
    }
    closed.sort((one, other) => one.metric.localeCompare(other.metric));
    if (closed.length === 0) continue;
    state = advance(state, frozen, slot, closed);
    strata.push(...closed);
    const evidence = evidenceOf(state, frozen);
    const atMs = (slot + 1) * slotSeconds * 1000;
    looks.push({ comparison_id: comparisonId, slot, at: String(atMs / 1000), ...evidence });
    if (crossedMs === null && evidence.e_value >= 1 / frozen.alpha) crossedMs = atMs;
  }
  await store.insert('strata', strata.map((stratum) => ({ ...stratum, comparison_id: comparisonId, closed_at: String((stratum.slot + 1) * slotSeconds) })));
  await store.insert('looks', looks);
  const none = { a: 0, b: 0 };
  const snapshot: ComparisonSnapshot = {
    form: FORM,
    // As the look counts them: those above are longer.
    slot: slotOf(time.toMs),
    evidence: state,
    schedule: [],
    startWindows: { boundaries: [], ...none },
    routing: { again: none, elsewhere: none, firstCallFrom: null },
    traffic: [],
    learning: {},
    judged: null,
    guards_over_time: [],
  };
  await store.insert('comparisons', [
    { comparison_id: comparisonId, project: 'default', environment: 'production', prompt_name: prompt, factor: 'prompt_version', baseline: baseline.version, candidate: candidate.version, epoch: 0, opened_ms: beganMs, state: 'open', reason: '', slot: looks.at(-1)?.slot ?? openedSlot, settings: JSON.stringify(frozen), snapshot: JSON.stringify(snapshot) },
  ]);
  if (!rollout.raisesAlert) return { comparisonId, alertId: null, calls };
  if (crossedMs === null) throw new Error(`the seeded rollout of ${prompt} never reached its threshold`);

  const alertId = `alr_${createHash('sha256').update(comparisonId).digest('hex').slice(0, 16)}`;
  const raisedMs = crossedMs;
  const arm = (version: string): { units: number; failed: number; value: number } => {
    const own = calls.filter((call) => call.prompt_version === version && Number(call.event_time) * 1000 >= beganMs && call.received_ms <= raisedMs);
    const failed = own.filter((call) => call.is_error).length;
    return { units: own.length, failed, value: failed / own.length };
  };
  const [a, b] = [arm(baseline.version), arm(candidate.version)];
  const atCrossing = looks.find((look) => Number(look.at) * 1000 === crossedMs);
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const alert: Alert = {
    id: alertId,
    schema: 'culprit.alert/1',
    state: 'open',
    severity: 'page',
    project: 'default',
    environment: 'production',
    prompt,
    prompt_version: candidate.version,
    metric: 'error_rate',
    direction: 'up',
    culprit: { factor: 'prompt_version', value: candidate.version, baseline: baseline.version, commit: '4f2a91c7d05e', author: 'mira', owner: 'payments', diff_url: 'https://git.example/shop/compare/v1...v2' },
    evidence: {
      grade: 'concurrent',
      e_value: atCrossing?.e_value ?? 0,
      threshold: 100,
      alpha: 0.01,
      metrics: atCrossing?.metrics ?? {},
      baseline: { units: a.units, value: a.value },
      candidate: { units: b.units, value: b.value },
      effect: { kind: 'difference', estimate: b.value - a.value, low: (b.value - a.value) * 0.55, high: (b.value - a.value) * 1.45, confidence: 0.95 },
    },
    exonerated: [
      { factor: 'model', value: 'gpt-4o-2024-08-06', reason: 'other prompts on it did not move', e_value: 0.3 },
      { factor: 'provider', value: 'openai', reason: 'no rise in errors elsewhere', e_value: 0.41 },
      { factor: 'traffic', value: 'routes, tenants, lengths', reason: 'as before', e_value: null },
    ],
    onset: new Date(beganMs).toISOString(),
    raised_at: new Date(crossedMs).toISOString(),
    resolved_at: null,
    examples: calls
      .filter((call) => call.is_error && call.prompt_version === candidate.version)
      .slice(0, 4)
      .map((call) => ({ trace_id: call.trace_id, span_id: call.span_id, why: `error 500 after ${(duration(call) / 1000).toFixed(1)} s` })),
    links: { alert: `/alerts/${alertId}`, evidence: `/v1/comparisons/${comparisonId}/evidence`, chart: `/alerts/${alertId}`, rollback: null },
    summary: `${prompt} ${candidate.version} fails ${(b.value / a.value).toFixed(1)} times as often as ${baseline.version} (${percent(b.value)} against ${percent(a.value)}) since ${new Date(beganMs).toISOString().slice(11, 16)} UTC`,
  };
  await store.insert('alert_transitions', [{ transition_id: `${alertId}-1`, alert_id: alertId, sequence: 1, project: 'default', comparison_id: comparisonId, state: 'open', at_ms: crossedMs, reason: 'evidence reached its threshold', body: JSON.stringify(alert) }]);
  return { comparisonId, alertId, calls };
}

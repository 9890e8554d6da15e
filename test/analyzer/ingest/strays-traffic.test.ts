import { expect, it } from 'vitest';
import { spanKey } from '../../../analyzer/ingest/identity.ts';
import { createInferences } from '../../../analyzer/ingest/inferences.ts';
import { seeded } from '../../../analyzer/statistics/random.ts';
import type { LlmCall } from '../../../schemas/call.ts';
import type { Store } from '../../../schemas/store.ts';
import { callOf } from '../spans.ts';

/**
 * How often calls that are not one are taken for one. The worst traffic: streams without response ids, hundreds at a time, all of one service and model, with
 * few distinct counts of tokens, and nothing else that would set them apart. Each is told of by a chain library in a trace of its own, by a client
 * library in another, or by both.
 */
type Told = 'both' | 'chain' | 'client';
type Traffic = { readonly calls: number; readonly perSecond: number; readonly distinctTokens: number; readonly tellers: readonly Told[]; readonly seed: number };

const EMPTY: Store = { insert: () => Promise.resolve(), select: () => Promise.resolve([]), command: () => Promise.resolve(), close: () => Promise.resolve() };
const bare = callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' });
const ns = (ms: number): string => String(BigInt(Math.round(ms * 1_000)) * 1_000n);
const START_MS = Number(BigInt(bare.start_time_ns) / 1_000_000n);

/** `call`: which call a span is of, by `spanKey`. */
function make({ calls, perSecond, distinctTokens, tellers, seed }: Traffic): { readonly spans: readonly LlmCall[]; readonly call: ReadonlyMap<string, number> } {
  const random = seeded(seed);
  const spans: LlmCall[] = [];
  const call = new Map<string, number>();
  let nowMs = START_MS;
  const tell = (number: number, library: string, fromMs: number, toMs: number, tokens: number): void => {
    const hex = (spans.length + 1).toString(16);
    const span = { ...bare, trace_id: hex.padStart(32, '0'), span_id: hex.padStart(16, '0'), scope_name: library, service_name: 'shop', start_time_ns: ns(fromMs), end_time_ns: ns(toMs), input_tokens: 1_000 + tokens, output_tokens: 50 + tokens, is_stream: true };
    spans.push(span);
    call.set(spanKey(span), number);
  };
  for (let number = 0; number < calls; number += 1) {
    nowMs += (-Math.log(1 - random()) * 1_000) / perSecond;
    const endMs = nowMs + 500 + 3_500 * random();
    const tokens = Math.floor(random() * distinctTokens);
    const told = tellers[Math.floor(random() * tellers.length)];
    if (told !== 'client') tell(number, 'chain', nowMs, endMs, tokens);
    // As was measured: most begin within 15 ms of the chain, some much later; nearly all end within 30 ms of it.
    if (told !== 'chain') tell(number, 'client', nowMs + (random() < 0.1 ? 400 : 15) * random(), endMs - 30 * random(), tokens);
  }
  // In the order in which they end, which is that in which they are sent.
  return { spans: spans.toSorted((one, other) => Number(BigInt(one.end_time_ns) - BigInt(other.end_time_ns))), call };
}

type Outcome = { readonly calls: number; readonly counted: number; readonly wrong: number };

/** `counted`: what counts as a call; `wrong`: spans taken for one call that are of two. */
function outcomeOf(traffic: Traffic, inOrder: (spans: readonly LlmCall[]) => readonly LlmCall[] = (spans) => spans): Outcome {
  const { spans: sent, call } = make(traffic);
  const spans = inOrder(sent);
  const inferences = createInferences(EMPTY, { capacity: 100_000, coversFromMs: 0, shard: 0 });
  for (let from = 0; from < spans.length; from += BATCH) {
    for (const span of spans.slice(from, from + BATCH)) inferences.seeInference(spanKey(span), span, '');
    inferences.changes(new Map());
  }
  const { fills } = inferences.changes(new Map(spans.map((span) => [spanKey(span), { stored: span }])));
  const pairs = [...fills].flatMap(([survivor, others]) => others.map((other) => [survivor, other].map(spanKey)));
  return {
    calls: traffic.calls,
    counted: spans.filter((span) => inferences.roleOf(spanKey(span), '') === 'call').length,
    wrong: pairs.filter(([one = '', other = '']) => call.get(one) !== call.get(other)).length,
  };
}

const SEEDS = [1, 2, 3];
const BATCH = 200;
const RATES = [1, 10, 100].map((perSecond) => ({ perSecond }));
const inAll = (traffic: Omit<Traffic, 'seed' | 'calls'>): Outcome[] => SEEDS.map((seed) => outcomeOf({ ...traffic, calls: 600, seed }));
const rate = (outcomes: readonly Outcome[], of: (outcome: Outcome) => number): number => outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.reduce((sum, { calls }) => sum + calls, 0);

it.each(RATES)('of traffic that two libraries tell of, at $perSecond/s, no two calls are taken for one (seeds 1–3)', ({ perSecond }) => {
  for (const distinctTokens of [3, 30, 1_000]) {
    const outcomes = inAll({ perSecond, distinctTokens, tellers: ['both'] });
    for (const { wrong, counted, calls } of outcomes) {
      expect(wrong).toBe(0);
      expect(counted).toBeGreaterThanOrEqual(calls);
    }
    // Where streams differ as real ones do, hardly any counts twice; of three kinds of them many do.
    if (distinctTokens === 1_000) expect(rate(outcomes, ({ counted, calls }) => counted - calls)).toBeLessThan(0.02);
  }
});

it.each(RATES)('of traffic that one library tells of, at $perSecond/s, everything counts (seeds 1–3)', ({ perSecond }) => {
  for (const tellers of [['chain'], ['client']] as const) for (const { counted, calls } of inAll({ perSecond, distinctTokens: 1, tellers })) expect(counted).toBe(calls);
});

// Nothing on the wire tells a chain of which no client tells, and a client that began and ended with it by accident, from one call.
it.each(RATES)('of two kinds of traffic of one service, each told of by one library, at $perSecond/s, few are (seeds 1–3)', ({ perSecond }) => {
  expect(rate(inAll({ perSecond, distinctTokens: 3, tellers: ['chain', 'client'] }), ({ wrong }) => wrong)).toBeLessThan(0.01);
  expect(rate(inAll({ perSecond, distinctTokens: 1_000, tellers: ['chain', 'client'] }), ({ wrong }) => wrong)).toBeLessThan(0.002);
  expect(rate(inAll({ perSecond, distinctTokens: 3, tellers: ['both', 'chain', 'client'] }), ({ wrong }) => wrong)).toBeLessThan(0.01);
});

it('comes to the same in any order (seeds 1–3)', () => {
  for (const seed of SEEDS) {
    const traffic: Traffic = { calls: 600, perSecond: 10, distinctTokens: 3, tellers: ['both', 'both', 'both', 'chain', 'client'], seed };
    const random = seeded(seed + 100);
    const shuffled = outcomeOf(traffic, (spans) => spans.map((span) => ({ span, at: random() })).toSorted((one, other) => one.at - other.at).map(({ span }) => span));
    expect(shuffled).toEqual(outcomeOf(traffic));
  }
});

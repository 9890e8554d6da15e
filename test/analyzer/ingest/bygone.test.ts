import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBygone } from '../../../analyzer/ingest/bygone.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';
import { ARRIVED_MS, id, inference, openIngesting, TAGS, traces, type Ingesting } from './ingesting.ts';

const call = (trace: number, { began = 0, response = null, scope = 'a', service = 'shop' }: { began?: number; response?: number | null; scope?: string; service?: string } = {}) => ({
  project: 'default',
  trace_id: trace.toString(16).padStart(32, '0'),
  service_name: service,
  scope_name: scope,
  response_id: response === null ? null : `response-${response}`,
  start_time_ns: String(1_000_000_000 + began * 1_000_000),
});

describe('what is bygone', () => {
  it('has nothing of what shares neither trace nor response nor service with another library', () => {
    const bygone = createBygone({ capacity: 100, coversFromMs: 0 });
    bygone.passed(5_000);
    bygone.saw(call(1, { response: 1 }), call(1, { response: 1 }));
    expect(bygone.hasNothingOf(call(2, { response: 2 }), 5_000)).toBe(true);
    expect(bygone.hasNothingOf(call(1), 5_000)).toBe(false);
    expect(bygone.hasNothingOf(call(3, { response: 1 }), 5_000)).toBe(false);
    expect(bygone.hasNothingOf(call(4, { scope: 'b' }), 5_000)).toBe(false);
    expect(bygone.hasNothingOf(call(4, { scope: 'b', service: 'another' }), 5_000)).toBe(true);
    bygone.saw(call(4, { scope: 'b' }), call(4, { scope: 'b' }));
    expect(bygone.hasNothingOf(call(5), 5_000)).toBe(false);
  });

  it('knows of a span that is no call by its trace', () => {
    const bygone = createBygone({ capacity: 100, coversFromMs: 0 });
    bygone.saw(call(1), null);
    expect([1, 2].map((trace) => bygone.hasNothingOf(call(trace, { scope: 'b' }), 5_000))).toEqual([false, true]);
  });

  it('says nothing of what began before it, or by a clock that runs ahead', () => {
    const bygone = createBygone({ capacity: 100, coversFromMs: 10_000 });
    bygone.passed(20_000);
    // The call began at 1 s and some.
    expect([12_000, 13_500, 19_000, 26_000].map((began) => bygone.hasNothingOf(call(1, { began }), 20_000))).toEqual([false, true, true, false]);
  });

  it('never denies what was seen within its time, however often it has forgotten', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ trace: fc.integer({ min: 0, max: 60 }), response: fc.option(fc.integer({ min: 0, max: 60 })), began: fc.integer({ min: 0, max: 9_000 }) }), { maxLength: 120 }), (spans) => {
        const bygone = createBygone({ capacity: 16, coversFromMs: 0 });
        const seen: { trace: number; response: number | null }[] = [];
        for (const [index, { trace, response, began }] of spans.entries()) {
          // One a second; it began up to nine seconds before it came.
          const stampMs = 20_000 + index * 1_000;
          const now = call(trace, { response, began: stampMs - 1_000 - began });
          bygone.passed(stampMs);
          // What it shares a trace or response with came, at the earliest, when this one began.
          const since = seen.slice(Math.max(0, index - Math.ceil(began / 1_000)));
          if (since.some((other) => other.trace === trace || (response !== null && other.response === response))) expect(bygone.hasNothingOf(now, stampMs)).toBe(false);
          bygone.saw(now, now);
          seen.push({ trace, response });
        }
      }),
    );
  });
});

describe('in the loop', () => {
  let on: Ingesting;
  beforeAll(async () => {
    on = await openIngesting();
  });
  afterAll(() => on.close());

  /** A call in a trace of its own that took some seconds, and arrives when it ends. */
  const long = (number: number, endedMs: number, seconds: number, response: string, library = 'a-library'): LogMessage =>
    traces(
      [inference(number, { ...TAGS, 'gen_ai.response.id': response }, { trace_id: id(number).padStart(32, '0'), start_ns: BigInt(endedMs - seconds * 1_000) * 1_000_000n, end_ns: BigInt(endedMs) * 1_000_000n })],
      endedMs,
      'default',
      library,
    );

  it('asks nothing about calls that are longer than what is remembered lasts, and still finds the twin of one', async () => {
    let questions = 0;
    const through: Store = { ...on.store, select: (sql, parameters) => ((questions += 1), on.store.select(sql, parameters)) };
    await on.fresh();
    const ingest = await on.start({ rememberedSpans: 10, rememberedCalls: 10 }, ARRIVED_MS, through);
    questions = 0;
    for (let number = 1; number <= 60; number += 1) await ingest.write([long(number, ARRIVED_MS + number * 1_000, 25, `chatcmpl-of-the-call-${number}`)]);
    expect(questions).toBe(0);
    // Both in memory no more: one response, told of once more, in another trace.
    const endedMs = ARRIVED_MS + 61_000;
    await ingest.write([long(61, endedMs, 45, 'chatcmpl-of-the-call-30'), long(62, endedMs, 45, 'chatcmpl-of-the-call-62')]);
    expect(questions).toBeGreaterThan(0);
    const calls = await on.calls();
    expect(calls.filter(({ role }) => role === 'call')).toHaveLength(61);
    expect(calls.filter(({ role }) => role === 'duplicate')).toHaveLength(1);
  });
});

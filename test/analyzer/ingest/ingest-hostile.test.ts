import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, OTHER } from '../../../analyzer/ingest/cardinality.ts';
import { selectActivity } from '../../../analyzer/look/observations.ts';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, judgement, jsonOf, logs, openIngesting, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import { STARTED_MS } from '../spans.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const STARTED_NS = BigInt(STARTED_MS) * 1_000_000n;
const TWO_YEARS_NS = 2n * 365n * 86_400n * 1_000_000_000n;
const SECOND_NS = 1_000_000_000n;
const LARGEST_NS = 2n ** 64n - 1n;

async function shown(): Promise<Record<string, unknown>[]> {
  const { calls } = await jsonOf<{ calls: Record<string, unknown>[] }>(await on.request('/v1/calls?trace_id=0af7651916cd43dd8448eb211c80319c'));
  return calls;
}

describe('hostile input', () => {
  it.each([
    ['two years ahead', { start_ns: STARTED_NS + TWO_YEARS_NS, end_ns: STARTED_NS + TWO_YEARS_NS + SECOND_NS }, { duration_ms: 1000, flags: ['clock_far_off'] }],
    ['two years behind', { start_ns: STARTED_NS - TWO_YEARS_NS, end_ns: STARTED_NS - TWO_YEARS_NS + SECOND_NS }, { duration_ms: 1000, flags: ['clock_far_off'] }],
    ['at zero', { start_ns: 0n, end_ns: 0n }, { duration_ms: null, flags: ['clock_far_off'] }],
    ['at the end of time', { start_ns: LARGEST_NS, end_ns: LARGEST_NS }, { duration_ms: null, flags: ['clock_far_off'] }],
    ['that ends before it starts', { end_ns: STARTED_NS - SECOND_NS }, { duration_ms: null, flags: ['clock_skew'] }],
  ])('a call %s is kept and flagged, filed by a time that is believable, complete in the slot of its arrival', async (_name, times, expected) => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS, times)])]);
    expect(await shown()).toMatchObject([expected]);
    const [row] = await on.calls();
    expect(row).toMatchObject({ slot: ARRIVED_SLOT });
    expect(Math.abs((row?.event_s ?? 0) * 1000 - ARRIVED_MS)).toBeLessThan(10_000);
    await (await on.start({}, ARRIVED_MS + 60_000)).write([traces([inference(1, TAGS, times)], ARRIVED_MS + 60_000)]);
    expect(await on.calls()).toHaveLength(1);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, duplicate: 1 });
  });

  it('attributes of a megabyte and unpaired surrogates do not keep the others of their batch from being stored', async () => {
    const ingest = await on.fresh();
    const megabyte = 'x'.repeat(2 ** 20);
    const lone = 'v\ud800';
    await ingest.write([
      traces([
        inference(1, { 'gen_ai.prompt.name': megabyte, 'gen_ai.prompt.version': megabyte, 'session.id': megabyte, 'app.route': megabyte, 'gen_ai.request.model': megabyte, 'gen_ai.output.messages': megabyte }, { status_code: 2, status_message: megabyte }),
        inference(2, { ...TAGS, 'gen_ai.prompt.version': lone, 'session.id': '\udfff', 'app.route': lone, 'gen_ai.response.id': lone }, { status_code: 2, status_message: lone }),
        inference(3, TAGS),
        wrapper(4, { 'gen_ai.prompt.name': lone, 'session.id': megabyte }),
      ]),
      logs([judgement(3, 0.5, {}, { 'gen_ai.evaluation.explanation': megabyte + lone, 'gen_ai.evaluation.name': lone })]),
    ]);
    const [large, surrogate, plain] = await on.calls();
    expect(large?.prompt_version).toHaveLength(256);
    expect(large?.flags).toContain('attribute_truncated');
    expect(surrogate?.prompt_version).toBe('v\ufffd');
    expect(plain?.prompt_version).toBe('v2');
    expect(await on.scores()).toMatchObject([{ name: 'v\ufffd', value: 0.5, join_state: 'joined' }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 5, stored: 4, ignored: 1 });
  });

  it('100,000 versions of one prompt make 1,000 and (other), which no comparison takes part in', { timeout: 60_000 }, async () => {
    const ingest = await on.fresh({ rememberedSpans: 200_000 });
    const spans = 100_000;
    for (let from = 0; from < spans; from += 5_000) {
      await ingest.write([traces(Array.from({ length: 5_000 }, (_, index) => inference(from + index + 1, { ...TAGS, 'gen_ai.prompt.version': `request-${from + index}` })))]);
    }
    const other = { version: OTHER, calls: spans - DEFAULT_LIMITS.versionsPerPrompt };
    const [counts] = await on.store.select(`SELECT uniqExact(prompt_version) AS versions, countIf(prompt_version = '${OTHER}' AND has(flags, 'version_over_limit')) AS beyond, (SELECT uniqExact(value) FROM versions WHERE factor = 'prompt_version') AS known FROM calls FINAL`);
    expect(counts).toEqual({ versions: DEFAULT_LIMITS.versionsPerPrompt + 1, beyond: other.calls, known: DEFAULT_LIMITS.versionsPerPrompt });
    const compared = await selectActivity(on.store, { from: 0, to: ARRIVED_SLOT + 1 });
    expect(compared).toHaveLength(DEFAULT_LIMITS.versionsPerPrompt);
    // The next process knows which were first.
    const restarted = await on.start({}, ARRIVED_MS + 60_000);
    await restarted.write([traces([inference(200_001, { ...TAGS, 'gen_ai.prompt.version': 'request-0' }), inference(200_002, { ...TAGS, 'gen_ai.prompt.version': 'new' })], ARRIVED_MS + 60_000)]);
    const late = await on.store.select(`SELECT prompt_version, flags FROM calls WHERE span_id IN ('${id(200_001)}', '${id(200_002)}') ORDER BY span_id`);
    expect(late).toEqual([{ prompt_version: 'request-0', flags: [] }, { prompt_version: OTHER, flags: ['version_over_limit'] }]);
    await expectExactLedger(on);
  });

  it('a trace of 20,000 spans is found again span by span after a restart', async () => {
    const ingest = await on.fresh();
    const spans = Array.from({ length: 20_000 }, (_, index) => inference(index + 1, TAGS));
    await ingest.write([traces(spans)]);
    const restarted = await on.start({}, ARRIVED_MS + 60_000);
    await restarted.write([traces([...spans.slice(0, 10), inference(30_000, TAGS)], ARRIVED_MS + 60_000)]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 20_011, stored: 20_001, duplicate: 10 });
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OtlpSpan } from '../../../schemas/otlp.ts';
import { agent, ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, judgement, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, type Ingesting } from './ingesting.ts';
import { STARTED_MS } from '../spans.ts';

/** Which call a score stands on, where the span that it names, or stood on, does not count. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const WAITED = ARRIVED_MS + RESOLVE_WAIT_MS;
const LATER = ARRIVED_MS + 60_000;
const OTHER_TRACE = 'f'.repeat(32);
const V1 = { ...TAGS, 'gen_ai.prompt.version': 'v1' };
const RESPONSE = { 'gen_ai.response.id': 'chatcmpl-9c201d6dd5f468efb16f57f0747f2' };
const below = (parent: number, seconds: number): Partial<OtlpSpan> => ({ parent_span_id: id(parent), start_ns: BigInt(STARTED_MS + seconds * 1000) * 1_000_000n, end_ns: BigInt(STARTED_MS + seconds * 1000 + 900) * 1_000_000n });

describe('an agent that counted, until two inferences below it came', () => {
  /** Its own row is complete, in memory and in the store. */
  const counted = async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([agent(1, TAGS)])]);
    await ingest.advance(WAITED);
    return ingest;
  };

  it.each(['in memory', 'after a restart'])('is not what a later score of it stands on, %s', async (where) => {
    const ingest = await counted();
    await ingest.write([traces([inference(2, TAGS, below(1, 1)), inference(3, TAGS, below(1, 0))], LATER)]);
    const scoring = where === 'in memory' ? ingest : await on.start({}, LATER);
    await scoring.write([logs([judgement(1, 0.25)], LATER)]);
    expect(await on.scores()).toMatchObject([{ join_state: 'pending' }]);
    await scoring.advance(LATER + RESOLVE_WAIT_MS);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(3), prompt_version: 'v2', slot: ARRIVED_SLOT + 3 }]);
    await expectExactLedger(on);
  });

  it.each<[string, object, object]>([
    ['goes to the first of them, where they have one version', TAGS, { join_state: 'joined', call_span_id: id(3), prompt_version: 'v2' }],
    ['is ambiguous, where they have two', V1, { join_state: 'ambiguous', call_span_id: '', prompt_version: null }],
  ])('its score %s, and keeps its slot and what was bet on', async (_, tags, expected) => {
    const ingest = await counted();
    await ingest.write([logs([judgement(1, 0.25)], WAITED)]);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(1), slot: ARRIVED_SLOT + 1 }]);
    await ingest.write([traces([inference(2, { ...TAGS, ...tags }, below(1, 1)), inference(3, TAGS, below(1, 0))], LATER)]);
    expect(await on.scores()).toMatchObject([{ ...expected, slot: ARRIVED_SLOT + 1, bet_value: 0.25 }]);
    await expectExactLedger(on);
  });

  it('its score is corrected in the same request: the new value, on the new call', async () => {
    const ingest = await counted();
    const judgedAt = (seconds: number) => ({ time_ns: BigInt(STARTED_MS + seconds * 1000) * 1_000_000n });
    await ingest.write([logs([judgement(1, 0.25, judgedAt(1))], WAITED)]);
    await ingest.write([traces([inference(2, TAGS, below(1, 1)), inference(3, TAGS, below(1, 0))], LATER), logs([judgement(1, 0.75, judgedAt(2))], LATER)]);
    expect(await on.scores()).toMatchObject([{ call_span_id: id(3), value: 0.75, bet_value: 0.25, slot: ARRIVED_SLOT + 1 }]);
    await expectExactLedger(on);
  });
});

describe('an inference that a proxy saw first, in a trace of its own', () => {
  it.each([
    ['its span', 'in memory', 2],
    ['its span', 'after a restart', 2],
    ['its trace', 'in memory', null],
    ['its trace', 'after a restart', null],
  ])('a score of %s reaches the call that counts, %s', async (_, where, spanNumber) => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, { ...TAGS, ...RESPONSE }, { trace_id: OTHER_TRACE })])]);
    await ingest.write([traces([inference(2, RESPONSE)], ARRIVED_MS + 1, 'default', 'another-library')]);
    expect((await on.calls()).map(({ role }) => role).toSorted()).toEqual(['call', 'duplicate']);
    const scoring = where === 'in memory' ? ingest : await on.start({}, ARRIVED_MS + 2);
    await scoring.write([logs([judgement(spanNumber, 0.25)], ARRIVED_MS + 2)]);
    await scoring.advance(WAITED + 2);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(1), prompt_version: 'v2' }]);
    await expectExactLedger(on);
  });
});

it('a score of the last call of a long trace finds it after a restart', async () => {
  const ingest = await on.fresh();
  await ingest.write([traces(Array.from({ length: 150 }, (_, index) => inference(1 + index, TAGS, below(999, index))))]);
  await ingest.advance(WAITED);
  const restarted = await on.start({}, WAITED);
  await restarted.write([logs([judgement(150, 0.25)], WAITED)]);
  expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(150) }]);
});

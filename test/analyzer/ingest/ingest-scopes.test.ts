import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, judgement, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import { STARTED_MS, TRACE_ID } from '../spans.ts';

/** Scores of more than one call: of a trace, a session, a span above calls. They wait as long as calls wait for their relatives. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const WAITED = ARRIVED_MS + RESOLVE_WAIT_MS;
const V1 = { ...TAGS, 'gen_ai.prompt.version': 'v1' };
const starting = (seconds: number) => ({ start_ns: BigInt(STARTED_MS + seconds * 1000) * 1_000_000n, end_ns: BigInt(STARTED_MS + seconds * 1000 + 900) * 1_000_000n });
const below = (parent: number, seconds = 0) => ({ parent_span_id: id(parent), ...starting(seconds) });
const ofSession = (value: number) => judgement(null, value, { trace_id: null }, { 'session.id': 'session-1' });

describe('a score of a trace', () => {
  it.each(['before', 'after', 'before, across a restart'])('that comes %s its calls is credited to the first of them, when they have one version', async (when) => {
    let ingest = await on.fresh();
    const calls = () => traces([inference(2, TAGS, starting(1)), inference(1, TAGS, starting(0.5)), inference(3, { 'gen_ai.operation.name': 'embeddings' }, starting(0))]);
    const score = () => logs([judgement(null, 0.25)]);
    await ingest.write(when === 'after' ? [calls()] : [score()]);
    if (when.endsWith('restart')) ingest = await on.start();
    await ingest.write(when === 'after' ? [score()] : [calls()]);
    expect(await on.scores()).toMatchObject([{ join_state: 'pending', slot: 0 }]);
    expect(ingest.waiting().scores).toBe(1);
    await ingest.advance(WAITED - 1);
    expect(await on.scores()).toMatchObject([{ join_state: 'pending' }]);
    await ingest.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(1), prompt_version: 'v2', slot: ARRIVED_SLOT + 1, bet_value: 0.25 }]);
    expect(ingest.waiting().scores).toBe(0);
    expect(await expectExactLedger(on)).toMatchObject({ received: 4, stored: 4 });
  });

  it('that is named as a run of LangSmith, whose span has another id, is of the whole trace; another span that is not there is not', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)]), logs([judgement(null, 0.25, { span_id: TRACE_ID.slice(0, 16) }), judgement(99, 0.5, {}, { 'gen_ai.evaluation.name': 'tone' })])]);
    await ingest.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ name: 'quality', join_state: 'joined', call_span_id: id(1), prompt_version: 'v2' }, { name: 'tone', join_state: 'pending' }]);
    await expectExactLedger(on);
  });

  it('that names a run of LangSmith alone is of its trace, where the run is its root', async () => {
    const ingest = await on.fresh();
    const ofRun = (name: string, run: string) => judgement(null, 0.25, { trace_id: null, span_id: run.replaceAll('-', '').slice(0, 16) }, { 'gen_ai.evaluation.name': name, 'culprit.score.run_id': run });
    const uuid = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    await ingest.write([traces([inference(1, TAGS)]), logs([ofRun('quality', uuid(TRACE_ID)), ofRun('tone', uuid(`${TRACE_ID.slice(0, 31)}0`))])]);
    await ingest.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ name: 'quality', join_state: 'joined', call_span_id: id(1), prompt_version: 'v2' }, { name: 'tone', join_state: 'pending' }]);
    await expectExactLedger(on);
  });

  it('whose calls have two versions is ambiguous, for good', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, V1), inference(2, TAGS)]), logs([judgement(null, 0.25)])]);
    await ingest.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ join_state: 'ambiguous', prompt_version: null, call_span_id: '', bet_value: null, slot: ARRIVED_SLOT + 1 }]);
    const restarted = await on.start({}, WAITED);
    expect(restarted.waiting().scores).toBe(0);
    await expectExactLedger(on);
  });

  it('does not see calls that became complete after it was credited, though it is credited late', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, V1)]), logs([judgement(null, 0.25)])]);
    await ingest.write([traces([inference(2, TAGS)], WAITED + 60_000)]);
    await ingest.advance(WAITED + 60_000);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(1), prompt_version: 'v1', slot: ARRIVED_SLOT + 1 }]);
  });

  it('that never comes to a call is tried for an hour, and stays pending', async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judgement(null, 0.25)])]);
    for (let tries = 0; tries < 7; tries += 1) {
      expect(ingest.waiting().scores).toBe(1);
      await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS * (2 ** (tries + 1) - 1));
    }
    expect(ingest.waiting().scores).toBe(0);
    expect(await on.scores()).toMatchObject([{ join_state: 'pending', slot: 0 }]);
    await expectExactLedger(on);
  });

  it('is credited when its calls come after the first look', async () => {
    const ingest = await on.fresh();
    await ingest.write([logs([judgement(null, 0.25)])]);
    await ingest.advance(WAITED);
    await ingest.write([traces([inference(1, TAGS)], WAITED + 1)]);
    await ingest.advance(WAITED + 2 * RESOLVE_WAIT_MS);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(1), slot: ARRIVED_SLOT + 3 }]);
  });
});

describe('a score of a span that is no call', () => {
  it.each([
    ['another version: it is ambiguous', V1, { join_state: 'ambiguous', prompt_version: null, call_span_id: '' }],
    ['the same one: it stands on the first', TAGS, { join_state: 'joined', prompt_version: 'v2', call_span_id: id(1) }],
  ])('waits where there is one call below it, for the second may have %s', async (_case, tags, expected) => {
    for (const order of ['score last', 'score first']) {
      const ingest = await on.fresh();
      const spans = traces([inference(1, TAGS, below(9, 0)), wrapper(9)]);
      const score = logs([judgement(9, 0.25)]);
      for (const message of order === 'score last' ? [spans, score] : [score, spans]) await ingest.write([message]);
      expect(await on.scores()).toMatchObject([{ join_state: 'pending', slot: 0 }]);
      await ingest.write([traces([inference(2, tags, below(9, 5))], ARRIVED_MS + 20_000)]);
      expect(await on.scores()).toMatchObject([{ join_state: 'pending', slot: 0 }]);
      await ingest.advance(WAITED);
      expect(await on.scores()).toMatchObject([{ ...expected, slot: ARRIVED_SLOT + 1 }]);
      await expectExactLedger(on);
    }
  });

  it.each(['with its trace', 'by its id alone', 'by its id alone, after a restart'])('named %s goes to the calls below it', async (how) => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS, below(9, 1)), inference(2, TAGS, below(8, 0)), inference(3, V1, starting(0)), wrapper(8, {}, { parent_span_id: id(9) }), wrapper(9)])]);
    const named = how === 'with its trace' ? {} : { trace_id: null };
    const scoring = how.endsWith('restart') ? await on.start() : ingest;
    await scoring.write([logs([judgement(9, 0.25, named)])]);
    await scoring.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(2), prompt_version: 'v2' }]);
    await expectExactLedger(on);
  });

  it('with calls of two versions below it is ambiguous; with none it stays pending', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS, below(9)), inference(2, V1, below(9)), wrapper(9), wrapper(7, {}, { parent_span_id: id(9) })])]);
    await ingest.write([logs([judgement(9, 0.25), judgement(7, 0.5, {}, { 'gen_ai.evaluation.name': 'tool_quality' })])]);
    await ingest.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ join_state: 'ambiguous' }, { name: 'tool_quality', join_state: 'pending' }]);
  });
});

describe('a score of a session', () => {
  it.each(['before', 'after', 'after a restart'])('is credited to its first call, %s', async (when) => {
    const ingest = await on.fresh();
    const other = { trace_id: '1'.repeat(32) };
    const calls = traces([inference(2, TAGS, { ...other, ...starting(0) }), inference(1, TAGS, starting(1)), inference(3, { ...V1, 'session.id': 'session-2' })]);
    await ingest.write(when === 'before' ? [logs([ofSession(0.25)])] : [calls]);
    const scoring = when === 'after a restart' ? await on.start() : ingest;
    await scoring.write(when === 'before' ? [calls] : [logs([ofSession(0.25)])]);
    await scoring.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(2), prompt_version: 'v2' }]);
    await expectExactLedger(on);
  });

  it('that met two versions is ambiguous', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, V1), inference(2, TAGS)]), logs([ofSession(0.25)])]);
    await ingest.advance(WAITED);
    expect(await on.scores()).toMatchObject([{ join_state: 'ambiguous' }]);
  });
});

it.each(['in memory', 'in the store'])('a score that names a span by its id alone, which two calls have, is nobody’s, %s', async (where) => {
  const ingest = await on.fresh();
  await ingest.write([traces([inference(1, TAGS), inference(1, V1, { trace_id: '1'.repeat(32) })])]);
  const scoring = where === 'in memory' ? ingest : await on.start();
  await scoring.write([logs([judgement(1, 0.25, { trace_id: null })])]);
  await scoring.advance(WAITED);
  expect(await on.scores()).toMatchObject([{ join_state: 'pending' }]);
});

it.each(['in memory', 'in the store'])('a score of a response that two libraries have seen goes to the call that knows its prompt, %s', async (where) => {
  const ingest = await on.fresh();
  const seen = { 'gen_ai.response.id': 'chatcmpl-1', 'session.id': 'session-1' };
  await ingest.write([traces([inference(1, seen), inference(2, { ...TAGS, ...seen }), inference(3, seen)])]);
  const scoring = where === 'in memory' ? ingest : await on.start();
  await scoring.write([logs([judgement(null, 0.25, { trace_id: null }, { 'gen_ai.response.id': 'chatcmpl-1' })])]);
  expect(await on.scores()).toMatchObject([{ join_state: 'joined', call_span_id: id(2), prompt_version: 'v2' }]);
});

it('a score that names a call by its span alone is joined at once, from memory and from the store', async () => {
  const ingest = await on.fresh();
  await ingest.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.25, { trace_id: null })])]);
  const restarted = await on.start();
  await restarted.write([logs([judgement(1, 0.5, { trace_id: null }, { 'gen_ai.evaluation.name': 'tone' })])]);
  for (const score of await on.scores()) expect(score).toMatchObject({ join_state: 'joined', call_span_id: id(1), slot: ARRIVED_SLOT });
  expect(await on.scores()).toHaveLength(2);
});

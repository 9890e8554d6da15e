import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, jsonOf, judgement, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import { STARTED_MS } from '../spans.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const END_NS = BigInt(STARTED_MS) * 1_000_000n + 1_000_000_000n;
/** The user "mira", hashed. */
const MIRA = '3c38aafb0579dafe';
const MINUTE_MS = 60_000;

describe('a span that is sent again', () => {
  it('in the same request is one row', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS), inference(1, TAGS)])]);
    expect(await on.calls()).toHaveLength(1);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, duplicate: 1 });
  });

  it('in a later request is one row', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)])]);
    await ingest.write([traces([inference(1, TAGS)], ARRIVED_MS + MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT, revision: 1 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, duplicate: 1 });
  });

  it('after a restart is one row, and so is one that memory has forgotten', async () => {
    await (await on.fresh()).write([traces([inference(1, TAGS), inference(2, TAGS)])]);
    const restarted = await on.start({ rememberedSpans: 2 }, ARRIVED_MS + MINUTE_MS);
    await restarted.write([traces([inference(1, TAGS)], ARRIVED_MS + MINUTE_MS)]);
    // Ten more spans turn over both generations of the memory.
    for (let number = 10; number < 20; number += 1) await restarted.write([traces([inference(number, TAGS)], ARRIVED_MS + MINUTE_MS + number)]);
    await restarted.write([traces([inference(2, TAGS), inference(10, TAGS)], ARRIVED_MS + 2 * MINUTE_MS)]);
    expect(await on.calls()).toHaveLength(12);
    expect(await expectExactLedger(on)).toMatchObject({ received: 15, stored: 12, duplicate: 3 });
  });

  it('of two projects is two calls', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)]), traces([inference(1, TAGS)], ARRIVED_MS, 'other')]);
    expect(await on.calls()).toHaveLength(2);
    expect(await on.ledger()).toMatchObject({ received: 1, stored: 1, balanced: true });
  });

  it('with a later end corrects its row, which stays in its slot', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)])]);
    await ingest.write([traces([inference(1, TAGS, { end_ns: END_NS + 5n })], ARRIVED_MS + MINUTE_MS)]);
    await ingest.write([traces([inference(1, TAGS, { end_ns: END_NS + 1n })], ARRIVED_MS + MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT, revision: 3, end_ns: String(END_NS + 5n) }]);
    const ledger = await expectExactLedger(on);
    expect(ledger.by_outcome['duplicate']).toEqual([{ signal: 'traces', reason: 'later_end', count: 1 }, { signal: 'traces', reason: 'sent_again', count: 1 }]);
  });

  it('with a later end after a restart, and within one request, too', async () => {
    await (await on.fresh()).write([traces([inference(1, TAGS), inference(1, TAGS, { end_ns: END_NS + 5n })])]);
    const restarted = await on.start({}, ARRIVED_MS + MINUTE_MS);
    await restarted.write([traces([inference(1, TAGS, { end_ns: END_NS + 7n })], ARRIVED_MS + MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT, revision: 3, end_ns: String(END_NS + 7n) }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 1, duplicate: 2 });
  });

  // Rows are sorted and replaced by their second; a correction that moved to another second stood beside the row that it corrects.
  it.each([
    ['starts at another second', { start_ns: END_NS - 3_000_000_000n, end_ns: END_NS + 5n }, {}],
    ['has a clock that is two years ahead, so that it is filed by its arrival', { start_ns: END_NS * 2n, end_ns: END_NS * 2n + 5n }, { start_ns: END_NS * 2n, end_ns: END_NS * 2n + 1n }],
  ])('with a later end stays one row when it %s', async (_name, again, first) => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS, first)])]);
    await ingest.write([traces([inference(1, TAGS, again)], ARRIVED_MS + MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ end_ns: String(again.end_ns) }]);
    const restarted = await on.start({}, ARRIVED_MS + MINUTE_MS);
    await restarted.write([traces([inference(1, TAGS, { ...again, end_ns: again.end_ns + 9n })], ARRIVED_MS + 2 * MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ end_ns: String(again.end_ns + 9n), slot: ARRIVED_SLOT }]);
    await expectExactLedger(on);
  });
});

describe('a call whose tags are on a span above it', () => {
  const under = (parent: number) => ({ parent_span_id: id(parent) });

  it('in the same request, in any order, is complete at once', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, {}, under(2)), wrapper(2, TAGS)])]);
    expect(await on.calls()).toMatchObject([{ prompt_name: 'refund-agent', prompt_version: 'v2', prompt_attribution: 'inherited', session_id: 'session-1', slot: ARRIVED_SLOT, revision: 1 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, ignored: 1, waiting: 0 });
  });

  it('waits for it, visibly, and enters the slot in which it arrives', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, {}, under(2))])]);
    expect(await on.calls()).toMatchObject([{ prompt_name: null, slot: 0, revision: 0 }]);
    const shown = await jsonOf<{ calls: unknown[] }>(await on.request('/v1/calls?trace_id=0af7651916cd43dd8448eb211c80319c'));
    expect(shown.calls).toHaveLength(1);
    expect(await expectExactLedger(on)).toMatchObject({ received: 1, stored: 0, waiting: 1 });
    expect(ingest.waiting()).toEqual({ calls: 1, scores: 0 });
    await ingest.write([traces([wrapper(2, TAGS)], ARRIVED_MS + 25_000)]);
    expect(await on.calls()).toMatchObject([{ prompt_version: 'v2', prompt_attribution: 'inherited', slot: Math.floor((ARRIVED_MS + 25_000) / 30_000) }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, ignored: 1, waiting: 0 });
    expect(ingest.waiting()).toEqual({ calls: 0, scores: 0 });
  });

  it('that never comes is complete as it is when its time is up, and not before', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, { 'gen_ai.prompt.name': 'refund-agent', 'gen_ai.prompt.version': 'v2' }, under(2))])]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS - 1);
    expect(await on.calls()).toMatchObject([{ slot: 0 }]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT + 1, prompt_version: 'v2', prompt_attribution: 'direct', session_id: null }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 1, stored: 1, waiting: 0 });
  });

  it('never enters a slot that may be closed', async () => {
    const ingest = await on.fresh();
    await ingest.advance(ARRIVED_MS + 10 * MINUTE_MS);
    await ingest.write([traces([inference(1, TAGS)])]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT + 20 }]);
  });

  it('takes prompt, session and user each from the nearest that has one', async () => {
    const ingest = await on.fresh();
    await ingest.write([
      traces([
        inference(1, {}, under(2)),
        wrapper(2, { 'session.id': 'near' }, under(3)),
        wrapper(3, { 'gen_ai.prompt.name': 'near-agent', 'gen_ai.prompt.version': 'v9', 'session.id': 'far' }, under(4)),
        wrapper(4, { ...TAGS, 'user.id': 'mira' }),
        inference(5, { 'gen_ai.prompt.name': 'own', 'session.id': 'own' }, under(4)),
      ]),
    ]);
    const [inherited, own] = await on.calls();
    expect(inherited).toMatchObject({ prompt_name: 'near-agent', prompt_version: 'v9', session_id: 'near', user_id: MIRA });
    expect(own).toMatchObject({ prompt_name: 'own', prompt_version: null, prompt_attribution: 'direct', session_id: 'own', user_id: MIRA });
  });

  it('waits for the version of the name that it has, and takes none of another prompt', async () => {
    const ingest = await on.fresh();
    const named = { 'gen_ai.prompt.name': 'refund-agent', 'session.id': 'session-1' };
    await ingest.write([traces([inference(1, named, under(2)), inference(3, named, under(4))])]);
    expect(await on.calls()).toMatchObject([{ slot: 0, prompt_version: null }, { slot: 0, prompt_version: null }]);
    await ingest.write([traces([wrapper(2, {}, under(5)), wrapper(4, { 'gen_ai.prompt.name': 'other', 'gen_ai.prompt.version': 'v9' }, under(5)), wrapper(5, TAGS)])]);
    expect(await on.calls()).toMatchObject([
      { slot: ARRIVED_SLOT, prompt_name: 'refund-agent', prompt_version: 'v2', prompt_attribution: 'direct', flags: ['prompt_version_inherited'] },
      { slot: ARRIVED_SLOT, prompt_name: 'refund-agent', prompt_version: null, prompt_attribution: 'direct', flags: [] },
    ]);
  });

  it('does not wait for a user alone, and takes it from a parent that comes later, also after a restart, and keeps it', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS, under(2)), inference(3, TAGS, under(4))])]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT, user_id: null }, { slot: ARRIVED_SLOT, user_id: null }]);
    await ingest.write([traces([wrapper(2, { 'user.id': 'mira' })])]);
    expect(await on.calls()).toMatchObject([{ slot: ARRIVED_SLOT, user_id: MIRA, flags: ['attributed_late'] }, { user_id: null }]);
    const restarted = await on.start({}, ARRIVED_MS + MINUTE_MS);
    await restarted.write([traces([wrapper(4, { 'user.id': 'mira' })], ARRIVED_MS + MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ user_id: MIRA }, { slot: ARRIVED_SLOT, user_id: MIRA }]);
    const again = await on.start({}, ARRIVED_MS + 2 * MINUTE_MS);
    await again.write([traces([inference(3, TAGS, { ...under(4), end_ns: END_NS + 5n })], ARRIVED_MS + 2 * MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ user_id: MIRA }, { user_id: MIRA, end_ns: String(END_NS + 5n) }]);
    await expectExactLedger(on);
  });

  it('climbs as far as 64 spans, one request each, from the call upwards', async () => {
    const ingest = await on.fresh();
    const chain = Array.from({ length: 65 }, (_, index) => 1 + index);
    await ingest.write([traces([inference(200, {}, under(2)), wrapper(1, {}, under(2)), inference(300, {}, under(1))])]);
    for (const number of chain.slice(1, 64)) await ingest.write([traces([wrapper(number, {}, under(number + 1))], ARRIVED_MS + number)]);
    expect(await on.calls()).toMatchObject([{ slot: 0 }, {}]);
    await ingest.write([traces([wrapper(65, TAGS)], ARRIVED_MS + 100)]);
    // Span 65 is the 64th above the call 200, and the 65th above the call 300 that stands one lower, which is one too many.
    expect(await on.calls()).toMatchObject([{ prompt_version: 'v2', slot: ARRIVED_SLOT }, { prompt_version: null, slot: ARRIVED_SLOT }]);
    await expectExactLedger(on);
  });

  it.each([
    ['itself', [inference(1, {}, under(1))]],
    ['a circle', [inference(1, {}, under(2)), wrapper(2, {}, under(3)), wrapper(3, {}, under(2))]],
  ])('ends where its parents are %s', async (_name, spans) => {
    const ingest = await on.fresh();
    await ingest.write([traces(spans)]);
    expect(await on.calls()).toMatchObject([{ prompt_name: null, slot: ARRIVED_SLOT }]);
    await expectExactLedger(on);
  });

  it('is taken up by the next process, which waits anew', async () => {
    await (await on.fresh()).write([traces([inference(1, {}, under(2)), inference(3, {}, under(4)), wrapper(4, {}, under(5))])]);
    const restarted = await on.start({}, ARRIVED_MS + 10 * MINUTE_MS);
    expect(restarted.waiting()).toEqual({ calls: 2, scores: 0 });
    await restarted.write([traces([wrapper(2, TAGS), wrapper(5, TAGS)], ARRIVED_MS + 10 * MINUTE_MS + 5_000)]);
    expect(await on.calls()).toMatchObject([{ prompt_version: 'v2', slot: ARRIVED_SLOT + 20 }, { prompt_version: 'v2', slot: ARRIVED_SLOT + 20 }]);
    expect(restarted.waiting().calls).toBe(0);
    expect(await expectExactLedger(on)).toMatchObject({ stored: 2, ignored: 3 });
  });

  it('whose parent was stored before the restart is complete with it', async () => {
    const first = await on.fresh();
    await first.write([traces([inference(1, {}, under(2)), inference(6, {}, under(7))])]);
    // As when the process dies between the rows of the parent and those of the call.
    await on.store.insert('relatives', [{ project: 'default', trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: id(2), parent_span_id: '', prompt_name: 'refund-agent', prompt_version: 'v2', prompt_version_source: 'explicit', session_id: 's', user_id: null, received_ms: ARRIVED_MS }]);
    await on.start({}, ARRIVED_MS + MINUTE_MS);
    expect(await on.calls()).toMatchObject([{ prompt_version: 'v2', slot: ARRIVED_SLOT + 2 }, { slot: 0 }]);
    await expectExactLedger(on);
  });

  // The corrected row had a higher revision than the complete one, so the call stayed provisional for ever.
  it('is complete when it is corrected in the very request that brings its parent', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, {}, under(2))])]);
    await ingest.write([traces([inference(1, {}, { ...under(2), end_ns: END_NS + 5n }), wrapper(2, TAGS)], ARRIVED_MS + 1_000)]);
    expect(await on.calls()).toMatchObject([{ end_ns: String(END_NS + 5n), prompt_version: 'v2', slot: ARRIVED_SLOT }]);
    expect(ingest.waiting().calls).toBe(0);
    await expectExactLedger(on);
  });

  it('keeps its deadline when it is corrected while it waits', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, {}, under(2))])]);
    await ingest.write([traces([inference(1, {}, { ...under(2), end_ns: END_NS + 5n }), inference(3, {}, under(4))], ARRIVED_MS + 20_000)]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    expect(await on.calls()).toMatchObject([{ end_ns: String(END_NS + 5n), slot: ARRIVED_SLOT + 1 }, { slot: 0 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 3, stored: 1, duplicate: 1, waiting: 1 });
  });

  it('is corrected by a parent that comes too late, with its scores: in their slots, flagged', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, {}, under(2))]), logs([judgement(1, 0.5)])]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    // The nearest comes without tags, the root with them, minutes later: an agent's span is sent when it ends.
    await ingest.write([traces([wrapper(2, {}, under(3))], ARRIVED_MS + 2 * MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ prompt_name: null, slot: ARRIVED_SLOT + 1 }]);
    await ingest.write([traces([wrapper(3, TAGS)], ARRIVED_MS + 10 * MINUTE_MS), logs([judgement(1, 1, {}, { 'gen_ai.evaluation.name': 'tone' })], ARRIVED_MS + 10 * MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ prompt_version: 'v2', prompt_attribution: 'inherited', session_id: 'session-1', slot: ARRIVED_SLOT + 1, flags: ['attributed_late'] }]);
    expect(await on.scores()).toMatchObject([{ name: 'quality', prompt_version: 'v2', value: 0.5, slot: ARRIVED_SLOT + 1 }, { name: 'tone', prompt_version: 'v2', slot: ARRIVED_SLOT + 20 }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 5, stored: 3, ignored: 2 });
  });

  // A sender that took longer than calls are waited for had all but the first thousand without their version.
  it('corrects thousands of calls below a root that comes when they have all been filed', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces(Array.from({ length: 1_500 }, (_, index) => inference(index + 10, {}, under(2))))]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    await ingest.write([traces([wrapper(2, TAGS)], ARRIVED_MS + 10 * MINUTE_MS)]);
    expect(await on.store.select("SELECT count() AS calls FROM calls FINAL WHERE prompt_version = 'v2' AND has(flags, 'attributed_late')")).toEqual([{ calls: 1_500 }]);
    await expectExactLedger(on);
  });

  // Memory was empty, so the corrected row lost what the first one had inherited.
  it('keeps what it inherited when it is corrected after a restart', async () => {
    await (await on.fresh()).write([traces([inference(1, {}, under(2)), wrapper(2, TAGS)])]);
    const restarted = await on.start({}, ARRIVED_MS + MINUTE_MS);
    await restarted.write([traces([inference(1, {}, { ...under(2), end_ns: END_NS + 5n })], ARRIVED_MS + MINUTE_MS)]);
    expect(await on.calls()).toMatchObject([{ end_ns: String(END_NS + 5n), prompt_version: 'v2', prompt_attribution: 'inherited', slot: ARRIVED_SLOT }]);
  });

  it('does not wait when too many do already, and says so', async () => {
    const ingest = await on.fresh({ maxWaiting: 2 });
    await ingest.write([traces([1, 2, 3].map((number) => inference(number, {}, under(10))))]);
    expect((await on.calls()).map(({ slot, flags }) => ({ isWaiting: slot === 0, flags }))).toEqual([
      { isWaiting: true, flags: [] },
      { isWaiting: true, flags: [] },
      { isWaiting: false, flags: ['not_awaited'] },
    ]);
    expect(await expectExactLedger(on)).toMatchObject({ stored: 1, waiting: 2 });
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OtlpSpan } from '../../../schemas/otlp.ts';
import { record } from '../spans.ts';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, id, inference, judgement, logs, openIngesting, RESOLVE_WAIT_MS, traces, wrapper, type Ingesting } from './ingesting.ts';

/** Feature flags that are logged, and whose records come after the spans that they name. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const SETTINGS = { featureFlags: { 'refund-prompt': 'refund-agent', 'greeting-prompt': 'greeting' } };
const SESSION = { 'session.id': 'session-1' };
const LATER_MS = ARRIVED_MS + 5 * 60_000;
const under = (parent: number): Partial<OtlpSpan> => ({ parent_span_id: id(parent) });
const flag = (spanNumber: number, variant = 'v2', key = 'refund-prompt') =>
  record({ 'feature_flag.key': key, 'feature_flag.result.variant': variant }, { event_name: 'feature_flag.evaluation', span_id: id(spanNumber) });
const V2 = { prompt_name: 'refund-agent', prompt_version: 'v2' };
const calls = async () => (await on.calls()).filter(({ role }) => role === 'call');

describe('a flag that was logged and comes late', () => {
  it('gives a stored call its version; it keeps its slot, and is flagged', async () => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([inference(1, SESSION)])]);
    const [before] = await on.calls();
    expect(before).toMatchObject({ prompt_version: null, slot: ARRIVED_SLOT });
    await ingest.write([logs([flag(1)], LATER_MS)]);
    expect(await on.calls()).toMatchObject([{ ...V2, prompt_attribution: 'direct', slot: ARRIVED_SLOT, flags: ['attributed_late'] }]);
    expect(await expectExactLedger(on)).toMatchObject({ received: 2, stored: 1, ignored: 1, duplicate: 0 });
    // Told again, it changes nothing more.
    const [{ revision } = { revision: -1 }] = await on.calls();
    await ingest.write([logs([flag(1)], LATER_MS + 1_000)]);
    expect(await on.calls()).toMatchObject([{ revision }]);
  });

  it('takes the scores of the call along', async () => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([inference(1, SESSION)]), logs([judgement(1, 0.5)])]);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', prompt_version: null, bet_value: 0.5 }]);
    await ingest.write([logs([flag(1)], LATER_MS)]);
    expect(await on.scores()).toMatchObject([{ join_state: 'joined', prompt_version: 'v2', call_span_id: id(1), slot: ARRIVED_SLOT, bet_value: 0.5 }]);
  });

  it.each([
    ['a root that was not worth a row', {}, {}],
    ['a span that was kept', SESSION, under(9)],
  ])('on a span above: %s: gives their version to the calls below it', async (_case, attributes, changed) => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([wrapper(1, attributes, changed), wrapper(2, {}, under(1)), inference(3, {}, under(2)), inference(4, {}, under(1)), inference(5, SESSION, { trace_id: 'f'.repeat(32) })])]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    await ingest.write([logs([flag(1)], LATER_MS)]);
    const inherited = { ...V2, prompt_attribution: 'inherited' };
    expect(await calls()).toMatchObject([{ span_id: id(3), ...inherited }, { span_id: id(4), ...inherited }, { span_id: id(5), prompt_version: null }]);
    await expectExactLedger(on);
  });

  it('and after a restart as well', async () => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([wrapper(1, SESSION), inference(3, {}, under(1))])]);
    const next = await on.start(SETTINGS, LATER_MS);
    await next.write([logs([flag(1)], LATER_MS)]);
    expect(await calls()).toMatchObject([{ ...V2, session_id: 'session-1' }]);
    // A call that comes below it later still finds it, in the next process too.
    const third = await on.start(SETTINGS, LATER_MS + 60_000);
    await third.write([traces([inference(4, {}, under(1))], LATER_MS + 60_000)]);
    expect(await calls()).toMatchObject([{ span_id: id(3), ...V2 }, { span_id: id(4), ...V2 }]);
  });

  it('in one batch, after its span, is as good as one before it', async () => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([wrapper(1, SESSION), inference(2, {}, under(1)), inference(3, SESSION)]), logs([flag(1), flag(3, 'v3')])]);
    expect(await calls()).toMatchObject([{ span_id: id(2), ...V2, flags: [] }, { span_id: id(3), prompt_version: 'v3', flags: [] }]);
  });

  it('reaches a call that still waits, and one that is nearer than what it inherited', async () => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([wrapper(1, { ...SESSION, 'gen_ai.prompt.name': 'triage', 'gen_ai.prompt.version': '7' }), wrapper(2, {}, under(1)), inference(3, {}, under(2)), inference(4, {}, under(9))])]);
    expect(await calls()).toMatchObject([{ span_id: id(3), prompt_name: 'triage', prompt_version: '7' }, { span_id: id(4), slot: 0 }]);
    await ingest.write([logs([flag(2), flag(4, 'v4')], ARRIVED_MS + 1_000)]);
    await ingest.advance(ARRIVED_MS + RESOLVE_WAIT_MS);
    expect(await calls()).toMatchObject([{ span_id: id(3), ...V2, session_id: 'session-1' }, { span_id: id(4), prompt_name: 'refund-agent', prompt_version: 'v4' }]);
    await expectExactLedger(on);
  });

  it('gives way to tags, and changes nothing of a trace that it does not name', async () => {
    const ingest = await on.fresh(SETTINGS);
    await ingest.write([traces([inference(1, { ...SESSION, 'gen_ai.prompt.name': 'refund-agent', 'gen_ai.prompt.version': '7' }), inference(2, { ...SESSION, 'gen_ai.prompt.name': 'refund-agent' })])]);
    await ingest.write([logs([flag(1), flag(2), flag(77)], LATER_MS)]);
    expect(await calls()).toMatchObject([{ prompt_version: '7', flags: [] }, { prompt_version: 'v2', flags: ['attributed_late'] }]);
    // A span that comes after its flag was always right.
    await ingest.write([traces([inference(77, SESSION)], LATER_MS + 1_000)]);
    expect((await calls())[2]).toMatchObject({ ...V2, flags: [] });
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCounting } from '../../../analyzer/inspection/counting.ts';
import { createNormaliser } from '../../../analyzer/normalise.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { AttributeValue, OtlpSpan } from '../../../schemas/otlp.ts';
import { ARRIVED_MS, ARRIVED_SLOT, expectExactLedger, from, id, inference, openIngesting, TAGS, traces, wrapper, type Ingesting } from './ingesting.ts';
import type { Store } from '../../../schemas/store.ts';
import { STARTED_MS } from '../spans.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const normaliser = createNormaliser({ stratumAttributes: [] });
const START_NS = BigInt(STARTED_MS) * 1_000_000n;
const OTHER_TRACE = 'ffffffffffffffffffffffffffffffff';
const at = (fromMs: number, toMs: number): Partial<OtlpSpan> => ({ start_ns: START_NS + BigInt(fromMs) * 1_000_000n, end_ns: START_NS + BigInt(toMs) * 1_000_000n });
const under = (parent: number): Partial<OtlpSpan> => ({ parent_span_id: id(parent) });
const elsewhere = { trace_id: OTHER_TRACE };

type Sent = { readonly library: string; readonly span: OtlpSpan; readonly service?: string };
type Wire = Readonly<Record<string, AttributeValue>>;
const TOKENS: Wire = { 'gen_ai.usage.input_tokens': 1588, 'gen_ai.usage.output_tokens': 86 };

/** A chain in a trace of its own, whose streamed answer has no response id; and the client below it, which lost its context and so began a trace. */
const root = (): Sent => ({ library: 'langchain', span: wrapper(1, {}, at(0, 1_010)) });
const chain = (attributes: Wire = {}, changed: Partial<OtlpSpan> = {}): Sent => ({ library: 'langchain', span: inference(2, { ...TAGS, ...TOKENS, ...attributes }, { ...under(1), ...at(0, 1_000), ...changed }) });
const client = (attributes: Wire = {}, changed: Partial<OtlpSpan> = {}): Sent => ({ library: 'client', span: inference(3, { 'gen_ai.response.id': 'msg_ab616224bbfa5482e93eb88a', ...TOKENS, ...attributes }, { ...elsewhere, ...at(12, 999), ...changed }) });

const request = (sent: readonly Sent[], received_ms = ARRIVED_MS): LogMessage[] => sent.map(({ library, span, service = 'shop' }) => from(service, traces([span], received_ms, 'default', library)));
const roles = async (): Promise<Record<number, string>> => Object.fromEntries((await on.calls()).map(({ span_id, role }) => [parseInt(span_id, 16), role]));
const counted = () =>
  on.store.select<Record<string, unknown>>("SELECT prompt_name, prompt_version, session_id, response_id, input_tokens, output_tokens, is_error FROM calls FINAL WHERE role = 'call' ORDER BY span_id");

/** All in one request; each in a request of its own, backwards; and forwards, with a restart before each. */
async function inAllWays(sent: readonly Sent[], check: () => Promise<void>, ways: readonly string[] = ['together', 'backwards', 'restarted']): Promise<void> {
  for (const way of ways) {
    let ingest = await on.fresh();
    const order = way === 'backwards' ? sent.toReversed() : sent;
    for (const [index, messages] of (way === 'together' ? [request(order)] : order.map((one, step) => request([one], ARRIVED_MS + step * 1_000))).entries()) {
      if (way === 'restarted') ingest = await on.start({}, ARRIVED_MS + index * 1_000);
      await ingest.write(messages);
    }
    await ingest.advance(ARRIVED_MS + 60_000);
    await check();
    await expectExactLedger(on);
  }
}

/** How many calls `inspect` counts, which asks no store. */
function countedIn(sent: readonly Sent[]): number {
  const read = sent.map(({ library, span, service = 'shop' }) => normaliser.span({ project: 'default', received_ms: ARRIVED_MS }, new Map([['service.name', service]]), { name: library, version: '', attributes: new Map() }, span));
  const counting = createCounting(read);
  return read.filter((one) => one.kind === 'call' && counting.roleOf(one.call, '') === 'call').length;
}

const WHOLE = { prompt_name: 'refund-agent', prompt_version: 'v2', session_id: 'session-1', input_tokens: 1588, output_tokens: 86 };

describe('a call whose client lost its context', () => {
  it('counts once, with the prompt of the one and the response of the other', () =>
    inAllWays([root(), chain(), client()], async () => expect(await counted()).toEqual([{ ...WHOLE, response_id: 'msg_ab616224bbfa5482e93eb88a', is_error: false }])));

  it('counts once where the client is told of twice in its own trace', () =>
    inAllWays([root(), chain(), { library: 'instrumentation', span: inference(4, {}, { ...elsewhere, ...at(11, 14) }) }, client({}, under(4))], async () => expect(await counted()).toMatchObject([WHOLE])));

  it.each<[string, Wire]>([
    ['failed', { 'error.type': 'RateLimitError' }],
    ['streamed, without usage', { 'gen_ai.request.stream': true }],
  ])('%s: counts once where both say whose session it was', (_name, told) => {
    const bare = { ...told, 'gen_ai.usage.input_tokens': '', 'gen_ai.usage.output_tokens': '', 'gen_ai.response.id': '' };
    return inAllWays([root(), chain(bare), client({ ...bare, 'session.id': 'session-1' })], async () => expect(await counted()).toMatchObject([{ prompt_version: 'v2', session_id: 'session-1', input_tokens: null }]));
  });

  it('counts once where the client hangs from the request that both are part of, tokens or none', () => {
    const bare = { 'gen_ai.usage.input_tokens': '', 'gen_ai.usage.output_tokens': '', 'error.type': 'RateLimitError' };
    const handler: Sent = { library: 'web', span: wrapper(9, {}, at(0, 1_020)) };
    return inAllWays([handler, { ...root(), span: { ...root().span, ...under(9) } }, chain(bare), client({ ...bare, 'gen_ai.response.id': '' }, { ...under(9), trace_id: root().span.trace_id })], async () =>
      expect(await counted()).toMatchObject([{ prompt_version: 'v2', is_error: true }]),
    );
  });
});

describe('two calls at the same time', () => {
  const handler: Sent = { library: 'web', span: wrapper(9, {}, { ...elsewhere, ...at(0, 1_020) }) };
  const handled: Sent = { library: 'web', span: wrapper(8, {}, at(0, 1_020)) };
  it.each<[string, readonly Sent[]]>([
    ['of two services', [root(), chain(), { ...client(), service: 'billing' }]],
    ['of no service', [root(), { ...chain(), service: '' }, { ...client(), service: '' }]],
    ['of one library', [root(), chain(), { ...client(), library: 'langchain' }]],
    ['with other tokens in', [root(), chain(), client({ 'gen_ai.usage.input_tokens': 1589 })]],
    ['with other tokens out', [root(), chain(), client({ 'gen_ai.usage.output_tokens': 87 })]],
    ['with tokens that nobody knows', [root(), chain({ 'gen_ai.usage.output_tokens': '' }), client()]],
    ['with an answer of one token', [root(), chain({ 'gen_ai.usage.output_tokens': 1 }), client({ 'gen_ai.usage.output_tokens': 1 })]],
    ['of two models', [root(), chain(), client({ 'gen_ai.request.model': 'gpt-4o-mini' })]],
    ['of no model', [root(), chain({ 'gen_ai.request.model': '' }), client({ 'gen_ai.request.model': '' })]],
    ['with two answers', [root(), chain({ 'gen_ai.response.id': 'msg_0155bc24fae1c8653f7ae5d9' }), client()]],
    ['of two versions', [root(), chain(), client({ 'gen_ai.prompt.name': 'refund-agent', 'gen_ai.prompt.version': 'v1' })]],
    ['of two sessions', [root(), chain(), client({ 'session.id': 'session-2' })]],
    ['of two users', [root(), chain({ 'user.id': 'mira' }), client({ 'user.id': 'noor' })]],
    ['one streamed', [root(), chain({ 'gen_ai.request.stream': true }), client({ 'gen_ai.request.stream': false })]],
    ['one failed', [root(), chain({ 'error.type': 'TimeoutError' }), client()]],
    ['with other tokens from a cache', [root(), chain({ 'gen_ai.usage.cache_read.input_tokens': 5 }), client({ 'gen_ai.usage.cache_read.input_tokens': 6 })]],
    ['of which neither encloses the other', [root(), chain(), client({}, at(30, 1_050))]],
    ['that end apart', [root(), chain(), client({}, at(12, 880))]],
    ['that end far apart, in one session', [root(), chain({}, at(0, 1_200)), client({ 'session.id': 'session-1' }, at(12, 180))]],
    ['that begin apart', [root(), chain({}, at(-1_100, 1_000)), client()]],
    ['that know no tokens, and only one its session', [root(), chain({ 'gen_ai.usage.input_tokens': '', 'gen_ai.usage.output_tokens': '' }), client({ 'gen_ai.usage.input_tokens': '', 'gen_ai.usage.output_tokens': '' })]],
    ['of two requests', [handled, { ...root(), span: { ...root().span, ...under(8) } }, chain(), handler, client({}, under(9))]],
  ])('%s are two', (_name, sent) => {
    expect(countedIn(sent)).toBe(2);
    expect(countedIn(sent.toReversed())).toBe(2);
  });

  it('that differ in nothing are one, and end a little apart, or more in one session', () => {
    expect(countedIn([root(), chain(), client({}, at(12, 920))])).toBe(1);
    expect(countedIn([root(), chain(), client({ 'session.id': 'session-1' }, at(12, 180))])).toBe(1);
  });

  it('of which one could be either of two others are three, and say so where it is seen', async () => {
    const another: Sent = { library: 'client', span: inference(4, { ...TOKENS }, { trace_id: 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', ...at(500, 700) }) };
    await inAllWays([root(), chain(), client(), another], async () => expect(await roles()).toEqual({ 2: 'call', 3: 'call', 4: 'call' }), ['together', 'backwards']);
    await (await on.fresh()).write(request([root(), chain(), client(), another]));
    expect(Object.fromEntries((await on.calls()).map(({ span_id, flags }) => [parseInt(span_id, 16), flags]))).toEqual({ 2: ['twin_unclear'], 3: ['twin_unclear'], 4: [] });
  });

  it('count both again, where they were taken for one, and their slots were fixed', async () => {
    const ingest = await on.fresh();
    const trace_id = root().span.trace_id;
    await ingest.write(request([chain(), client(TAGS, { ...under(9), trace_id })]));
    await ingest.write(request([{ ...root(), span: { ...root().span, ...under(9) } }, { library: 'web', span: wrapper(9, {}, at(0, 1_020)) }], ARRIVED_MS + 30_000));
    expect(Object.values(await roles()).toSorted()).toEqual(['call', 'duplicate']);
    await ingest.write(request([{ library: 'client', span: inference(4, { ...TAGS, ...TOKENS }, { ...under(9), trace_id, ...at(20, 990) }) }], ARRIVED_MS + 60_000));
    expect((await on.calls()).map(({ role, slot }) => ({ role, slot }))).toEqual([ARRIVED_SLOT, ARRIVED_SLOT, ARRIVED_SLOT + 2].map((slot) => ({ role: 'call', slot })));
    await expectExactLedger(on);
  });

  it('are two where one turns out to have a client of its own', async () => {
    const own: Sent = { library: 'client', span: inference(5, { ...TOKENS, 'gen_ai.response.id': 'msg_0155bc24fae1c8653f7ae5d9' }, { ...under(2), ...at(15, 998) }) };
    await inAllWays([root(), chain(), client(), own], async () => expect(await roles()).toEqual({ 2: 'wrapper', 3: 'call', 5: 'call' }), ['together', 'backwards']);
  });
});

describe('a loop that was started after they were stored', () => {
  const trace = (number: number): Partial<OtlpSpan> => ({ trace_id: number.toString(16).padStart(32, '7') });
  const alike = (library: string, from: number, count: number): Sent[] => Array.from({ length: count }, (_, index) => ({ library, span: inference(from + index, TOKENS, { ...trace(from + index), ...at(index, 900 + index) }) }));

  /** How many rows it reads to write them. */
  const readFor = async (sent: readonly Sent[]): Promise<number> => {
    let rows = 0;
    const through: Store = {
      ...on.store,
      async select<Row>(...asked: Parameters<Store['select']>) {
        const found = await on.store.select<Row>(...asked);
        rows += found.length;
        return found;
      },
    };
    const ingest = await on.start({}, ARRIVED_MS, through);
    rows = 0;
    await ingest.write(request(sent));
    return rows;
  };

  it('reads none that are alike where one library alone tells of them, however many there are', async () => {
    await (await on.fresh()).write(request(alike('client', 1_000, 400)));
    expect(await readFor(alike('client', 5_000, 20))).toBeLessThan(20);
  });

  it('reads as many as could be told apart where two do', async () => {
    await (await on.fresh()).write(request([...alike('client', 1_000, 400), ...alike('langchain', 2_000, 400)]));
    const read = await readFor(alike('client', 5_000, 20));
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(200);
  });

  it('leaves alone what is in the shard of another', async () => {
    await on.fresh();
    await (await on.start({ shard: 1 })).write(request([root(), chain()]));
    await (await on.start({ shard: 2 }, ARRIVED_MS + 1_000)).write(request([client()], ARRIVED_MS + 1_000));
    expect(await roles()).toEqual({ 2: 'call', 3: 'call' });
  });
});

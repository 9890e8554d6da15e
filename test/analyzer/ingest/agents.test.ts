import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RetryableError } from '../../../schemas/errors.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { OtlpLogRecord, OtlpScope, OtlpSpan, Attributes } from '../../../schemas/otlp.ts';
import type { Store } from '../../../schemas/store.ts';
import { AGENTS, readAgent, type AgentCall } from '../../golden/agents.ts';
import { expectExactLedger, openIngesting, RESOLVE_WAIT_MS, type Ingesting } from './ingesting.ts';

/** Coding agents that tell of a call by a span and by a log event, in any order and any requests: each call once, with what either knows. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

type Place = { readonly resource: Attributes; readonly scope: OtlpScope };
type Item = Place & ({ readonly span: OtlpSpan } | { readonly record: OtlpLogRecord });

const recordings = AGENTS.map((name) => ({ name, ...readAgent(name) }));
const itemsOf = ({ spans, records }: (typeof recordings)[number]): Item[] => [
  ...spans.flatMap(({ resource, scope, spans: group }) => group.map((span) => ({ resource, scope, span }))),
  ...records.flatMap(({ resource, scope, records: group }) => group.map((record) => ({ resource, scope, record }))),
];
const LAST_MS = Math.max(...recordings.flatMap(itemsOf).map((item) => Number(('span' in item ? item.span.end_ns : item.record.observed_time_ns) / 1_000_000n)));

function messagesOf(items: readonly Item[], received_ms: number): LogMessage[] {
  const groups = items.flatMap((item) => ('span' in item ? [{ resource: item.resource, scope: item.scope, spans: [item.span] }] : []));
  const logged = items.flatMap((item) => ('record' in item ? [{ resource: item.resource, scope: item.scope, records: [item.record] }] : []));
  const message = { project: 'default', received_ms, encoding: 'protobuf', body: new Uint8Array() } as const;
  return [
    ...(groups.length === 0 ? [] : [{ ...message, signal: 'traces' as const, decoded: () => ({ signal: 'traces' as const, groups, received: groups.length, rejected: new Map() }) }]),
    ...(logged.length === 0 ? [] : [{ ...message, signal: 'logs' as const, decoded: () => ({ signal: 'logs' as const, groups: logged, received: logged.length, rejected: new Map() }) }]),
  ];
}

type Counted = AgentCall & { readonly prompt_name: string | null; readonly prompt_version: string | null };
const lineOf = ({ request_model, response_model, input_tokens, output_tokens, cache_read_tokens, reasoning_tokens, is_error, prompt_name, prompt_version }: Counted): string =>
  `${prompt_name} ${prompt_version}: ${request_model} ${response_model} ${input_tokens} ${cache_read_tokens} ${output_tokens} ${reasoning_tokens}${is_error ? ' failed' : ''}`;

async function counted(requests: readonly (readonly Item[])[], restartsAfter: (index: number) => boolean = () => false): Promise<string[]> {
  let ingest = await on.fresh();
  let nowMs = LAST_MS + 1_000;
  for (const [index, request] of requests.entries()) {
    await ingest.write(messagesOf(request, nowMs));
    nowMs += 500;
    await ingest.advance(nowMs);
    if (restartsAfter(index)) ingest = await on.start({}, nowMs);
  }
  await ingest.advance(nowMs + RESOLVE_WAIT_MS);
  await expectExactLedger(on);
  const calls = await on.store.select<Counted>("SELECT request_model, response_model, input_tokens, output_tokens, cache_read_tokens, reasoning_tokens, is_error, prompt_name, prompt_version FROM calls FINAL WHERE role = 'call'");
  return calls.map(lineOf).sort();
}

it.each(recordings)('$versions: each call once, spans first or events first', async (recording) => {
  const { prompt, calls } = recording;
  const expected = calls.map((call) => lineOf({ ...call, prompt_name: prompt?.prompt_name ?? null, prompt_version: prompt?.prompt_version ?? null })).sort();
  const items = itemsOf(recording);
  const [spans, records] = [items.filter((item) => 'span' in item), items.filter((item) => 'record' in item)];
  expect(await counted([items])).toEqual(expected);
  expect(await counted([spans, records])).toEqual(expected);
  expect(await counted([records, spans])).toEqual(expected);
});

it('the same in any order and any requests (seed by fast-check)', { timeout: 120_000 }, async () => {
  const withSpans = recordings.filter(({ spans }) => spans.length > 0).flatMap(itemsOf);
  const expected = await counted([withSpans]);
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(withSpans, { minLength: withSpans.length }), fc.integer({ min: 10, max: 80 }), fc.infiniteStream(fc.nat(2)), async (shuffled, size, drawn) => {
      const requests = Array.from({ length: Math.ceil(shuffled.length / size) }, (_, index) => shuffled.slice(index * size, (index + 1) * size));
      expect(await counted(requests, () => drawn.next().value === 0)).toEqual(expected);
    }),
    { numRuns: 2 },
  );
});

const isNamed = (...names: readonly string[]) => (item: Item): boolean => 'span' in item && names.includes(item.span.name);
const isRefusal = ({ attributes }: { readonly attributes: Attributes }): boolean => attributes.get('error.message') === 'http 429';

/** The turn of Codex in which a request is refused and made again. */
function refusedTurn() {
  const items = recordings.filter(({ name }) => name === 'codex').flatMap(itemsOf);
  const refusal = items.flatMap((item) => ('record' in item && isRefusal(item.record) ? [item] : []))[0];
  if (refusal === undefined) throw new Error('the recording has a refusal');
  const { trace_id, attributes } = refusal.record;
  const spans = items.flatMap((item) => ('span' in item && item.span.trace_id === trace_id ? [item] : []));
  const records = items.filter((item) => 'record' in item && item.record.attributes.get('conversation.id') === attributes.get('conversation.id'));
  return { spans, records, refusal };
}

// Read back from its row it has the session of its turn, as the event has: it took the tokens over, and handed them on to its refusal.
it('who asked for what was refused is not told of by the event of the next answer, read back or not', async () => {
  const { spans, records } = refusedTurn();
  const asked = spans.filter(isNamed('try_run_sampling_request'))[0];
  const first = spans.filter((item) => item === asked || isNamed('turn/start', 'op.dispatch.turn_input', 'codex.turn_input', 'session_task.turn', 'session_task.run', 'run_turn', 'run_sampling_request')(item));
  const calls = await counted([first, records, spans.filter((item) => !first.includes(item))], (index) => index === 0);
  expect(calls).toEqual(['refund-agent v2: gpt-5 null 1370 110 80 20', 'refund-agent v2: gpt-5 null null null null null failed']);
});

it('who asked completes its answer where both are stored, and a span between them comes last', async () => {
  const spans = recordings.filter(({ name }) => name === 'codex').flatMap(itemsOf).filter((item) => 'span' in item);
  const isBetween = isNamed('receiving_stream');
  const calls = await counted([spans.filter((item) => !isBetween(item)), spans.filter(isBetween)]);
  expect(calls.map((call) => call.split(' ')[2])).toEqual(calls.map(() => 'gpt-5'));
  expect(calls).toHaveLength(5);
});

it.each([
  ['when more of its trace comes', 'complete'],
  ['at once, where both wait', 'waiting'],
])('a span and its event that show to be one call only when they are read back are one record: %s', async (_when, state) => {
  const { spans, refusal } = refusedTurn();
  const [root, turn] = [spans.find(isNamed('turn/start')), spans.find(isNamed('codex.turn_input'))];
  const refused = spans.find(({ span }) => span.events.some(isRefusal));
  if (root === undefined || turn === undefined || refused === undefined) throw new Error('the recording has them');
  // The session is on the turn, from which the span inherits it, and on the event, which here has no trace. The model is on the event only.
  const without = (attributes: Attributes, isOmitted: (key: string) => boolean): Attributes => new Map([...attributes].filter(([key]) => !isOmitted(key)));
  const isOmitted = (key: string): boolean => state === 'waiting' && key.startsWith('gen_ai.prompt.');
  const above = { ...turn, span: { ...turn.span, parent_span_id: root.span.span_id, attributes: without(turn.span.attributes, isOmitted) } };
  const events = refused.span.events.map((event) => ({ ...event, attributes: without(event.attributes, (key) => key === 'model') }));
  const span = { ...refused, span: { ...refused.span, parent_span_id: turn.span.span_id, attributes: without(refused.span.attributes, isOmitted), events } };
  const event = { ...refusal, record: { ...refusal.record, trace_id: null } };
  const calls = await counted([[above, span, event], state === 'complete' ? [root] : []], (index) => index === 0);
  expect(calls).toEqual([`${state === 'complete' ? 'refund-agent v2' : 'null null'}: gpt-5 null null null null null failed`]);
});

it('a span that comes after its event has counted stands for it from then on', async () => {
  const recording = readAgent('claude-code');
  const items = itemsOf({ name: 'claude-code', ...recording });
  const ingest = await on.fresh();
  await ingest.write(messagesOf(items.filter((item) => 'record' in item), LAST_MS));
  await ingest.advance(LAST_MS + RESOLVE_WAIT_MS);
  const roles = () => on.store.select<{ role: string; dialect: string; count: number }>("SELECT role, dialect, count() AS count FROM calls FINAL WHERE role IN ('call', 'duplicate') GROUP BY role, dialect ORDER BY role, dialect");
  expect(await roles()).toMatchObject([{ role: 'call', dialect: 'claude_code_events', count: recording.calls.length }]);
  await ingest.write(messagesOf(items.filter((item) => 'span' in item), LAST_MS + RESOLVE_WAIT_MS));
  expect(await roles()).toMatchObject([{ role: 'call', dialect: 'claude_code', count: recording.calls.length }, { role: 'duplicate', dialect: 'claude_code_events', count: recording.calls.length }]);
  await expectExactLedger(on);
});

it('a batch of events whose ledger was never written is counted by the next process, among the logs, and what is sent again is the same', async () => {
  const recording = recordings.find(({ name }) => name === 'claude-code-without-spans');
  if (recording === undefined) throw new Error('the recording is there');
  await on.fresh();
  const events = itemsOf(recording).filter((item) => 'record' in item && item.record.event_name.startsWith('api_'));
  let isDying = false;
  const withoutLedger: Store = { ...on.store, insert: (table, rows) => (table === 'ledger' && isDying ? Promise.reject(new RetryableError('the process is gone')) : on.store.insert(table, rows)) };
  const mortal = await on.start({}, LAST_MS, withoutLedger);
  isDying = true;
  await expect(mortal.write(messagesOf(events, LAST_MS))).rejects.toThrow('gone');
  const next = await on.start({}, LAST_MS);
  await next.write(messagesOf(events, LAST_MS + 1_000));
  await next.advance(LAST_MS + 1_000 + RESOLVE_WAIT_MS);
  const { by_outcome } = await expectExactLedger(on);
  const { length: count } = recording.calls;
  expect([by_outcome['received'], by_outcome['stored'], by_outcome['duplicate']]).toEqual([[{ signal: 'logs', reason: '', count: 2 * count }], [{ signal: 'logs', reason: 'call', count }], [{ signal: 'logs', reason: 'sent_again', count }]]);
});

it('two events of one moment and one span of them are two calls', async () => {
  const { spans, records } = readAgent('claude-code');
  const [request] = records.flatMap(({ resource, scope, records: group }) => group.flatMap((record) => (record.event_name === 'api_request' ? [{ resource, scope, record }] : [])));
  if (request === undefined) throw new Error('the recording has a request');
  const twin = { ...request, record: { ...request.record, attributes: new Map(request.record.attributes).set('event.sequence', 99) } };
  const [first] = spans.flatMap(({ resource, scope, spans: group }) => group.flatMap((span) => (span.attributes.get('input_tokens') === request.record.attributes.get('input_tokens') ? [{ resource, scope, span }] : [])));
  if (first === undefined) throw new Error('the recording has its span');
  expect(await counted([[request, twin, first]])).toHaveLength(2);
});

import { describe, expect, it } from 'vitest';
import { createCallMemory, responseKey, untracedKey, type CallMemory } from '../../../analyzer/ingest/call-memory.ts';
import { spanKey } from '../../../analyzer/ingest/identity.ts';
import { factsOf, type CallFacts } from '../../../analyzer/ingest/rows.ts';
import { callOf } from '../spans.ts';

/** Every other way to a call is tried twice: asked for before there is anything, and made later of what is remembered. */
const memories: readonly (readonly [when: string, create: (capacity?: number) => CallMemory])[] = [
  ['an index made of what is remembered', (capacity = 100) => createCallMemory(capacity)],
  [
    'an index that was there before',
    (capacity = 100) => {
      const memory = createCallMemory(capacity);
      memory.named('nothing');
      memory.ofTrace({ project: 'default', trace_id: 'none' });
      return memory;
    },
  ],
];

const plain = factsOf(callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' }));

function facts(trace_id: string, span_id: string, changed: Partial<CallFacts> = {}): CallFacts {
  return { ...plain, project: 'default', trace_id, span_id, response_id: null, ...changed };
}

function remember(memory: CallMemory, ...calls: readonly CallFacts[]): void {
  for (const remembered of calls) memory.remember(spanKey(remembered), { call: remembered, slot: 1 });
}

describe.each(memories)('calls that are remembered, by %s', (_when, create) => {
  it('are found by span, by span without trace, by response and by trace', () => {
    const memory = create();
    const one = facts('t1', 's1', { response_id: 'r1' });
    const two = facts('t1', 's2');
    remember(memory, one, two);
    expect(memory.ofSpan(spanKey(one))?.call).toBe(one);
    expect(memory.named(untracedKey(two))?.call).toBe(two);
    expect(memory.named(responseKey('default', 'r1'))?.call).toBe(one);
    expect(memory.ofTrace({ project: 'default', trace_id: 't1' }).map(({ call: found }) => found.span_id)).toEqual(['s1', 's2']);
    expect(memory.named(responseKey('other', 'r1'))).toBeUndefined();
  });

  it('share a span id: it names neither, but a call that comes again is one', () => {
    const memory = create();
    remember(memory, facts('t1', 's1'), facts('t2', 's1'), facts('t3', 's3'), facts('t3', 's3'));
    expect(memory.named('default//s1')).toBeUndefined();
    expect(memory.named('default//s3')?.call.trace_id).toBe('t3');
    expect(memory.ofTrace({ project: 'default', trace_id: 't3' })).toHaveLength(1);
  });

  it('share a response id: it names the one that knows its prompt', () => {
    const memory = create();
    remember(memory, facts('t1', 's1', { response_id: 'r', prompt_version: null }), facts('t2', 's2', { response_id: 'r', prompt_version: 'v2' }), facts('t3', 's3', { response_id: 'r', prompt_version: 'v3' }));
    expect(memory.named(responseKey('default', 'r'))?.call.prompt_version).toBe('v2');
  });

  it('are found by no name once they are forgotten', () => {
    const memory = create();
    const one = facts('t1', 's1', { response_id: 'r1' });
    remember(memory, one, facts('t1', 's2'));
    memory.forget(spanKey(one), one);
    expect([memory.ofSpan(spanKey(one)), memory.named(untracedKey(one)), memory.named(responseKey('default', 'r1'))]).toEqual([undefined, undefined, undefined]);
    expect(memory.ofTrace({ project: 'default', trace_id: 't1' }).map(({ call: found }) => found.span_id)).toEqual(['s2']);
  });

  it('are forgotten when there are too many, and at most 64 of a trace are kept', () => {
    const memory = create(100);
    const calls = Array.from({ length: 250 }, (_, index) => facts('t', `s${index}`));
    remember(memory, ...calls);
    expect(memory.ofSpan('default/t/s0')).toBeUndefined();
    expect(memory.ofSpan('default/t/s249')?.call.span_id).toBe('s249');
    expect(memory.ofTrace({ project: 'default', trace_id: 't' })).toHaveLength(64);
  });
});

import { describe, expect, it } from 'vitest';
import { createWaiting, type WaitingCall } from '../../../analyzer/ingest/waiting.ts';
import { callOf } from '../spans.ts';

const ANY_CALL = callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' });

function waiter(span_id: string, deadlineMs: number, missing = 'parent'): WaitingCall {
  return { call: { ...ANY_CALL, span_id }, missing, stored: { revision: 0, slot: 0, event_s: 0, end_ns: '0', role: 'call', reason: '' }, deadlineMs };
}

const names = (found: readonly WaitingCall[]) => found.map(({ call }) => call.span_id);

describe('waiting calls', () => {
  it('expire in order, and stay until they are removed', () => {
    const waiting = createWaiting();
    for (const [name, deadlineMs] of [['a', 10], ['b', 20], ['c', 30]] as const) waiting.put(waiter(name, deadlineMs));
    expect(names(waiting.expired(9))).toEqual([]);
    expect(names(waiting.expired(20))).toEqual(['a', 'b']);
    expect(names(waiting.expired(20))).toEqual(['a', 'b']);
    waiting.remove(waiter('a', 10).call);
    waiting.remove(waiter('a', 10).call);
    expect(names(waiting.expired(30))).toEqual(['b', 'c']);
    expect(waiting.size()).toBe(2);
  });

  it('keep their deadline and their place when they are put again, for another ancestor', () => {
    const waiting = createWaiting();
    waiting.put(waiter('a', 10));
    waiting.put(waiter('b', 20));
    waiting.put(waiter('a', 90, 'grandparent'));
    expect(names(waiting.expired(10))).toEqual(['a']);
    expect(names(waiting.forAncestor('parent'))).toEqual(['b']);
    expect(names(waiting.forAncestor('grandparent'))).toEqual(['a']);
    expect(waiting.size()).toBe(2);
    waiting.remove(waiter('a', 10).call);
    expect(names(waiting.forAncestor('grandparent'))).toEqual([]);
  });
});

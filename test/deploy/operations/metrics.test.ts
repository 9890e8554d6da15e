import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMetrics } from '../../../deploy/operations/metrics.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { JsonStore } from '../../../deploy/json-rows.ts';
import { configuredKey, startGuarded, type Guarded } from '../guarded.ts';
import { tracesBody } from '../server-process.ts';
import { valueOf } from './exposition.ts';

const reader = configuredKey('default', ['read']);
const stranger = configuredKey('bank', ['admin']);
const sender = configuredKey('default', ['ingest']);
let server: Guarded;

beforeAll(async () => {
  server = await startGuarded({ access: { keys: [reader, stranger, sender].map(({ entry }) => entry) } });
}, 60_000);
afterAll(() => server.close());

const metricsFor = async (key: string): Promise<string> => (await server.ask('/metrics', { key })).text();
const send = (body: string, key = sender.secret): Promise<Response> => server.ask('/v1/traces', { method: 'POST', key, headers: { 'content-type': 'application/json' }, body: JSON.parse(body) as unknown });

describe('what a server tells Prometheus of itself', () => {
  it('counts requests by their answer, and what became of the records in them', async () => {
    const spans = ['1', '2', '3'].map((digit) => ({ trace_id: digit.repeat(32), span_id: digit.repeat(16) }));
    expect((await send(tracesBody(spans, Date.now()))).status).toBe(200);
    expect((await send('{"resourceSpans": 7}')).status).toBe(400);
    expect((await send('{}', `clp_${'x'.repeat(43)}`)).status).toBe(401);
    const text = await metricsFor(reader.secret);
    expect(valueOf(text, 'culprit_requests_total', { status: '200', reason: 'accepted' })).toBe(1);
    expect(valueOf(text, 'culprit_requests_total', { status: '400', reason: 'malformed' })).toBe(1);
    expect(text).toMatch(/culprit_requests_total\{status="401",reason="[a-z_]+",role="culprit"\} 1/);
    expect(valueOf(text, 'culprit_ledger_records', { signal: 'traces', outcome: 'received', reason: '' })).toBe(3);
    expect(valueOf(text, 'culprit_ledger_difference', {})).toBe(0);
    expect(valueOf(text, 'culprit_parked_messages', {})).toBe(0);
    expect(valueOf(text, 'culprit_set_aside', {})).toBe(0);
    expect(valueOf(text, 'culprit_store_up', {})).toBe(1);
    expect(valueOf(text, 'culprit_store_inserted_rows_total', { table: 'calls' })).toBe(3);
    expect(valueOf(text, 'culprit_store_statement_seconds_count', { statement: 'insert', outcome: 'done' })).toBeGreaterThan(0);
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    expect(text).toContain('process_resident_memory_bytes');
  });

  it('counts what was odd about calls, by flag', async () => {
    const body = JSON.parse(tracesBody([{ trace_id: '7'.repeat(32), span_id: '7'.repeat(16) }], Date.now())) as { resourceSpans: { scopeSpans: { spans: { attributes: object[] }[] }[] }[] };
    body.resourceSpans[0]?.scopeSpans[0]?.spans[0]?.attributes.push({ key: 'gen_ai.output.messages', value: { stringValue: '[{"role":"assist' } });
    for (let sent = 0; sent < 2; sent++) expect((await send(JSON.stringify(body))).status).toBe(200);
    const text = await metricsFor(reader.secret);
    expect(valueOf(text, 'culprit_calls_flagged_total', { flag: 'attribute_unreadable' })).toBe(1);
    expect(valueOf(text, 'culprit_calls_flagged_total', { flag: 'clock_skew' })).toBe(0);
  });

  it('has every name once, so that a parser takes it', async () => {
    const names = [...(await metricsFor(reader.secret)).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(names.length).toBe(new Set(names).size);
  });

  it('shows numbers of the whole process to its own project only', async () => {
    const text = await metricsFor(stranger.secret);
    expect(text).toContain('culprit_comparison_threshold');
    expect(text).not.toContain('culprit_ledger_records');
    expect(text).not.toContain('process_');
    expect((await server.ask('/metrics')).status).toBe(401);
  });
});

describe('metrics of one process', () => {
  it('file a flag that nobody knows under one label', async () => {
    const metrics = createMetrics('analyzer');
    const flagged = metrics.countFlags();
    for (const flag of ['not_awaited', 'constructor', 'user 81', 'user 82']) flagged(flag);
    const text = await metrics.registry.metrics();
    expect(valueOf(text, 'culprit_calls_flagged_total', { flag: 'not_awaited' })).toBe(1);
    expect(valueOf(text, 'culprit_calls_flagged_total', { flag: 'other' })).toBe(3);
    expect(text).not.toContain('user 81');
  });

  it('tell a statement that failed from one that was done, and hand on what it threw', async () => {
    const metrics = createMetrics('api');
    const away: JsonStore = { insert: () => Promise.reject(new RetryableError('away')), select: async () => [], selectJson: async () => new Uint8Array(), command: async () => undefined, close: async () => undefined };
    const store = metrics.measured(away);
    await expect(store.insert('calls', [{}])).rejects.toThrow('away');
    await store.select('SELECT 1');
    const text = await metrics.registry.metrics();
    expect(valueOf(text, 'culprit_store_statement_seconds_count', { statement: 'insert', outcome: 'failed' })).toBe(1);
    expect(valueOf(text, 'culprit_store_statement_seconds_count', { statement: 'select', outcome: 'done' })).toBe(1);
    expect(valueOf(text, 'culprit_store_inserted_rows_total', { table: 'calls' })).toBeNull();
  });

  it('leave out what is not known yet', async () => {
    const metrics = createMetrics('api');
    let behindMs: number | null = null;
    metrics.watchLook(() => behindMs);
    expect(valueOf(await metrics.registry.metrics(), 'culprit_look_lag_seconds', {})).toBeNull();
    behindMs = 1_500;
    expect(valueOf(await metrics.registry.metrics(), 'culprit_look_lag_seconds', {})).toBe(1.5);
  });
});

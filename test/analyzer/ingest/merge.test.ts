import { describe, expect, it } from 'vitest';
import { merge } from '../../../analyzer/ingest/merge.ts';
import type { LlmCall } from '../../../schemas/call.ts';
import { callOf } from '../spans.ts';

const bare = callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' });
const call = (changed: Partial<LlmCall>): LlmCall => ({ ...bare, ...changed });
const tagged = { prompt_name: 'checkout', prompt_version: 'v2', prompt_version_source: 'explicit', prompt_label: 'production', prompt_attribution: 'direct' } as const;
const UNTAGGED = { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none' } as const;

describe('one record out of two spans', () => {
  it('takes what the call lacks, and leaves what it has', () => {
    const known = { ...tagged, session_id: 's', user_id: 'u', response_model: 'm', response_id: 'r', ttft_ms: 5, finish_reason: 'stop', output_tokens: 7, is_stream: true, cost_usd: 0.5, cost_source: 'reported', environment: 'production', service_name: 'shop' } as const;
    expect(merge(bare, call(known))).toEqual(call(known));
    const full = call({ ...known, stratum_attributes: { 'app.route': '/a' } });
    expect(merge(full, call({ ...tagged, prompt_name: 'another', session_id: 'other', response_model: 'x', ttft_ms: 1, output_tokens: 9, stratum_attributes: { 'app.route': '/b', 'http.route': '/c' } }))).toEqual({ ...full, stratum_attributes: { 'app.route': '/a', 'http.route': '/c' } });
  });

  it('is the call itself where the other has nothing to add, and the same when it is done again', () => {
    const other = call({ ...tagged, stratum_attributes: { 'app.route': '/a' }, is_cache_hit: true });
    expect(merge(bare, call({ span_id: 'another', start_time_ns: '1', flags: ['odd'] }))).toBe(bare);
    const merged = merge(bare, other);
    expect(merge(merged, other)).toBe(merged);
  });

  it.each<[string, Partial<LlmCall>, Partial<LlmCall>, Partial<LlmCall>]>([
    ['none', UNTAGGED, tagged, tagged],
    ['one that it inherited', { ...tagged, prompt_version: 'v1', prompt_attribution: 'inherited' }, tagged, tagged],
    ['one that the other inherited', tagged, { ...tagged, prompt_version: 'v1', prompt_attribution: 'inherited' }, tagged],
    ['a name without a version', { ...UNTAGGED, prompt_name: 'checkout', prompt_attribution: 'direct' }, tagged, tagged],
    ['another name without a version', { ...UNTAGGED, prompt_name: 'refund', prompt_attribution: 'direct' }, tagged, { prompt_name: 'refund', prompt_version: null, prompt_label: null }],
    ['a version without a name', { ...UNTAGGED, prompt_version: 'v2', prompt_attribution: 'direct' }, tagged, tagged],
    ['another version without a name', { ...UNTAGGED, prompt_version: 'v3', prompt_attribution: 'direct' }, tagged, { prompt_name: null, prompt_version: 'v3' }],
    ['the same without its label', { ...tagged, prompt_label: null }, tagged, tagged],
  ])('takes name and version of a prompt from one span: where it has %s', (_name, own, other, expected) => {
    expect(merge(call(own), call(other))).toMatchObject(expected);
  });

  it('believes a reported cost before a computed one, and 0 from nobody', () => {
    const computed = call({ cost_usd: 0.1, cost_source: 'computed' });
    expect(merge(computed, call({ cost_usd: 0.2, cost_source: 'reported' }))).toMatchObject({ cost_usd: 0.2, cost_source: 'reported' });
    expect(merge(computed, call({ cost_usd: 0, cost_source: 'reported' }))).toBe(computed);
    expect(merge(call({ cost_usd: 0.2, cost_source: 'reported' }), computed)).toMatchObject({ cost_usd: 0.2 });
  });

  it('has the session of the one that began first, whichever of them counts', () => {
    const [chain, client] = [call({ start_time_ns: '1000', session_id: 'thread-1' }), call({ start_time_ns: '2000', session_id: 's-1' })];
    expect(merge(client, chain)).toMatchObject({ session_id: 'thread-1' });
    expect(merge(chain, client)).toBe(chain);
  });

  it('takes why a call failed, but not that it did', () => {
    const failed = call({ is_error: true, error_type: 'RateLimitError', status_message: 'too many' });
    expect(merge(call({ is_error: true }), failed)).toMatchObject({ error_type: 'RateLimitError', status_message: 'too many' });
    expect(merge(bare, failed)).toBe(bare);
  });
});

import { describe, expect, it } from 'vitest';
import { presentedKey } from '../../../api/access/presented.ts';

const KEY = 'clp_0123456789abcdefghijklmnopqrstuvwxyz0123456';
const read = (headers: Record<string, string>) => presentedKey((name) => headers[name]);
const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;

describe('the key of a request', () => {
  it.each([
    ['Bearer (OpenTelemetry, Traceloop, Phoenix)', { authorization: `Bearer ${KEY}` }],
    ['bearer, whatever its case', { authorization: `bEARER   ${KEY}` }],
    ['Basic: the secret key of the pair (Langfuse)', { authorization: basic(`pk-lf-1:${KEY}`) }],
    ['Basic with the key as the name (curl -u KEY:)', { authorization: basic(`${KEY}:`) }],
    ['x-api-key (LangSmith, PromptLayer, Humanloop)', { 'x-api-key': KEY }],
    ['api_key (Phoenix)', { api_key: KEY }],
    ['api-key', { 'api-key': KEY }],
    ['the same in two headers (Phoenix sends both)', { authorization: `Bearer ${KEY}`, api_key: KEY }],
  ])('%s', (_name, headers) => {
    expect(read(headers)).toEqual({ kind: 'key', key: KEY });
  });

  it.each([
    ['no header', {}],
    ['an empty one', { 'x-api-key': ' ' }],
  ])('is none: %s', (_name, headers) => {
    expect(read(headers)).toEqual({ kind: 'none' });
  });

  it.each([
    ['two different keys', { authorization: `Bearer ${KEY}`, 'x-api-key': `${KEY}x` }],
    ['two different plain ones', { api_key: KEY, 'x-api-key': 'other' }],
    ['a header sent twice, which the server joins', { 'x-api-key': 'a'.repeat(500) + ', ' + KEY }],
    ['another scheme', { authorization: `Digest username="${KEY}"` }],
    ['no scheme', { authorization: KEY }],
    ['Basic that is not base64', { authorization: 'Basic \u0000\u0001' }],
    ['Basic without a colon', { authorization: basic(KEY) }],
    ['a megabyte', { authorization: `Bearer ${'x'.repeat(1_000_000)}` }],
    ['a megabyte of Basic', { authorization: `Basic ${'A'.repeat(1_000_000)}` }],
  ])('is unreadable: %s', (_name, headers) => {
    expect(read(headers).kind).toBe('unreadable');
  });
});

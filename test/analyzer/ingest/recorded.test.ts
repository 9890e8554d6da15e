import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LogMessage } from '../../../schemas/log.ts';
import type { OtlpSpan } from '../../../schemas/otlp.ts';
import { readRecording, RECORDED } from '../../golden/recorded.ts';
import { expectExactLedger, openIngesting, RESOLVE_WAIT_MS, type Ingesting } from './ingesting.ts';

/** What real SDKs sent, in any order and any requests: every inference once, under the version that its user gave it. */

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const recordings = RECORDED.map((name) => ({ name, ...readRecording(name) }));
const sent = recordings.flatMap(({ groups }) => groups.flatMap(({ resource, scope, spans }) => spans.map((span) => ({ resource, scope, span }))));
const lastMs = Math.max(...sent.map(({ span }) => Number(span.end_ns / 1_000_000n)));
const recordingOf = new Map(recordings.flatMap(({ name, groups }) => groups.flatMap(({ spans }) => spans.map((span): [string, string] => [span.trace_id, name]))));

type Sent = { readonly resource: (typeof sent)[number]['resource']; readonly scope: (typeof sent)[number]['scope']; readonly span: OtlpSpan };

function requestOf(spans: readonly Sent[], received_ms: number): LogMessage {
  const groups = spans.map(({ resource, scope, span }) => ({ resource, scope, spans: [span] }));
  return { signal: 'traces', project: 'default', received_ms, encoding: 'protobuf', body: new Uint8Array(), decoded: () => ({ signal: 'traces', groups, received: spans.length, rejected: new Map() }) };
}

/** The calls that count, a list for each recording. Twins may stand for one another, so spans are not told. */
async function counted(requests: readonly (readonly Sent[])[]): Promise<Map<string, string[]>> {
  const ingest = await on.fresh({ rememberedSpans: 10_000, rememberedCalls: 10_000 });
  let nowMs = lastMs + 1_000;
  for (const request of requests) {
    await ingest.write([requestOf(request, nowMs)]);
    nowMs += 1_000;
    await ingest.advance(nowMs);
  }
  await ingest.advance(nowMs + RESOLVE_WAIT_MS);
  await expectExactLedger(on);
  const calls = await on.store.select<{ trace_id: string; prompt_name: string | null; prompt_version: string | null; session_id: string | null; is_error: boolean }>(
    `SELECT trace_id, if(prompt_attribution = 'none', NULL, prompt_name) AS prompt_name, if(prompt_attribution = 'none', NULL, prompt_version) AS prompt_version, session_id, is_error FROM calls FINAL WHERE role = 'call'`,
  );
  const found = new Map<string, string[]>(RECORDED.map((name) => [name, []]));
  for (const call of calls) found.get(recordingOf.get(call.trace_id) ?? '')?.push(lineOf(call));
  return new Map([...found].map(([name, lines]) => [name, lines.sort()]));
}

type Told = { readonly prompt_name: string | null; readonly prompt_version: string | null; readonly session_id: string | null; readonly is_error: boolean };
const lineOf = ({ prompt_name, prompt_version, session_id, is_error }: Told): string => `${prompt_name} ${prompt_version} in ${session_id}${is_error ? ', failed' : ''}`;
const expected = new Map(recordings.map(({ name, calls }) => [name, calls.map(lineOf).sort()]));

it('counts each inference once when each recording is one request', { timeout: 240_000 }, async () => {
  const whole = recordings.map(({ groups }) => groups.flatMap(({ resource, scope, spans }) => spans.map((span) => ({ resource, scope, span }))));
  expect(Object.fromEntries(await counted(whole))).toEqual(Object.fromEntries(expected));
});

it('counts the same in any order and any requests (seed by fast-check)', { timeout: 240_000 }, async () => {
  const order = fc.shuffledSubarray(sent, { minLength: sent.length, maxLength: sent.length });
  await fc.assert(
    fc.asyncProperty(order, fc.integer({ min: 40, max: 400 }), async (shuffled, size) => {
      const requests = Array.from({ length: Math.ceil(shuffled.length / size) }, (_, index) => shuffled.slice(index * size, (index + 1) * size));
      expect(Object.fromEntries(await counted(requests))).toEqual(Object.fromEntries(expected));
    }),
    { numRuns: 2 },
  );
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNormaliser, type NormalisedSpan } from '../../analyzer/normalise.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { OtlpSpan } from '../../schemas/otlp.ts';
import { readRecording, RECORDED } from '../golden/recorded.ts';

/** SDKs as they were run, against what the model server had answered. Which span counts is seen where spans meet: `ingest/recorded.test.ts`. */
const normaliser = createNormaliser({ stratumAttributes: [] });
const recordings = RECORDED.map((name) => ({ name, ...readRecording(name) }));

type Place = Pick<(typeof recordings)[number]['groups'][number], 'resource' | 'scope'>;
const read = (span: OtlpSpan, { resource, scope }: Place): NormalisedSpan => normaliser.span({ project: 'p', received_ms: Number(span.end_ns / 1_000_000n) + 1000 }, resource, scope, span);
const callIn = (result: NormalisedSpan): LlmCall | null => (result.kind === 'call' ? result.call : result.candidate);

describe.each(recordings)('$name ($versions)', ({ groups, calls }) => {
  const found = new Map(groups.flatMap((group) => group.spans.map((span) => [span.span_id, callIn(read(span, group))] as const)));

  it.each(calls)('reads $operation $span_id', ({ span_id, prompt_name: _name, prompt_version: _version, session_id: _session, has_ttft, ...said }) => {
    const call = found.get(span_id);
    expect(call).toMatchObject(said);
    expect(call?.ttft_ms !== null).toBe(has_ttft);
    expect(call?.flags.filter((flag) => flag !== 'tokens_adjusted')).toEqual([]);
  });
});

describe('what is left of a span that loses attributes and events', () => {
  const places = recordings.flatMap(({ groups, calls }) => {
    const versions = new Set(calls.map(({ prompt_version }) => prompt_version));
    return groups.flatMap((group) => group.spans.map((span) => ({ span, group, versions })));
  });

  it('is read without a throw, as one call or none, and under no version that nobody gave', () => {
    const seen = { calls: 0, versions: 0 };
    fc.assert(
      fc.property(fc.constantFrom(...places), fc.infiniteStream(fc.boolean()), ({ span, group, versions }, keeps) => {
        const kept = <Member>(all: Iterable<Member>): Member[] => [...all].filter(() => keeps.next().value === true);
        const attributes = new Map(kept(span.attributes));
        const result = read({ ...span, attributes, events: kept(span.events), name: keeps.next().value === true ? span.name : '' }, group);
        const call = callIn(result);
        if (call !== null) seen.calls += 1;
        const { prompt_version } = result.kind === 'call' ? result.call : result.relative;
        if (prompt_version === null) return;
        seen.versions += 1;
        expect([...versions, ...attributes.values()].map(String).join('\n')).toContain(prompt_version.replace(/^label:/, ''));
      }),
      { numRuns: 4_000 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(300);
  });
});

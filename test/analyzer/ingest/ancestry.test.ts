import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inheritsTheSame, inheritsThrough, resolve, withOwnPrompt } from '../../../analyzer/ingest/ancestry.ts';
import { spanKey } from '../../../analyzer/ingest/identity.ts';
import { createNesting, seenInference, type Nesting, type Tags } from '../../../analyzer/ingest/nesting.ts';
import type { LlmCall } from '../../../schemas/call.ts';
import { callOf } from '../spans.ts';
import { id } from './ingesting.ts';

/** A chain of spans: the call is the first, and each stands under the next. */
const NONE: Tags = { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none', session_id: null, user_id: null };
const bare = callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' });

type Said = { readonly name?: string | null; readonly version?: string | null; readonly label?: string | null; readonly session?: string | null; readonly user?: string | null; readonly isAmbiguous?: boolean };

function tagsOf({ name = null, version = null, label = null, session = null, user = null, isAmbiguous = false }: Said): Tags {
  const prompt_version = version ?? (label === null ? null : `label:${label}`);
  const source = prompt_version === null ? 'none' : version === null ? 'label' : 'explicit';
  const isTagged = name !== null || prompt_version !== null;
  return { prompt_name: name, prompt_version, prompt_version_source: source, prompt_label: label, prompt_attribution: isTagged ? (isAmbiguous ? 'ambiguous' : 'direct') : 'none', session_id: session, user_id: user };
}

function spanAt(chain: readonly Said[], index: number): LlmCall {
  return { ...bare, ...NONE, span_id: id(index + 1), parent_span_id: index + 1 < chain.length ? id(index + 2) : null, ...tagsOf(chain[index] ?? {}) };
}

function open(): Nesting {
  return createNesting(1_000, { onBelow: () => {}, onLinked: () => {}, onRotate: () => {} });
}

function place(nesting: Nesting, span: LlmCall, isInference = false): void {
  nesting.place(spanKey(span), span, { isBarrier: false, inference: isInference ? seenInference(span, 'own') : null });
}

/** What the call has when all of them are there. */
function together(chain: readonly Said[]): LlmCall {
  const nesting = open();
  for (const index of chain.keys()) place(nesting, spanAt(chain, index));
  const { call, unseen, missing } = resolve(spanAt(chain, 0), nesting.get);
  expect([unseen, missing]).toEqual([null, null]);
  return call;
}

describe('a call takes from above', () => {
  const A: Said = { name: 'a' };
  it.each<[string, Said[], Partial<LlmCall>]>([
    ['the prompt of the nearest, whole', [{}, { name: 'a', version: '1' }, { name: 'b', version: '2' }], { prompt_name: 'a', prompt_version: '1', prompt_attribution: 'inherited' }],
    ['a version for its name', [A, {}, { name: 'a', version: '2', label: 'production' }], { prompt_name: 'a', prompt_version: '2', prompt_label: 'production', prompt_attribution: 'direct', flags: ['prompt_version_inherited'] }],
    ['a version for a name that it inherits', [{}, A, { name: 'a', version: '2' }], { prompt_name: 'a', prompt_version: '2', prompt_attribution: 'inherited', flags: [] }],
    ['a version that stands alone', [A, { version: '2' }], { prompt_name: 'a', prompt_version: '2' }],
    ['a version that stands alone under the same name', [A, { version: '2' }, A], { prompt_name: 'a', prompt_version: '2' }],
    ['a name for its version', [{ version: '2' }, A, { name: 'b' }], { prompt_name: 'a', prompt_version: '2', prompt_attribution: 'direct', flags: ['prompt_name_inherited'] }],
    // LangChain's own metadata takes the place of what OpenInference 0.1.29 was told: the version stays on the call, and the name on the span above.
    ['a name for its version from a span that has the same', [{ version: '2' }, { name: 'a', version: '2' }, { name: 'b' }], { prompt_name: 'a', prompt_version: '2', prompt_attribution: 'direct', flags: ['prompt_name_inherited'] }],
    ['a label where nothing better is said', [A, { name: 'a', label: 'canary' }], { prompt_version: 'label:canary', prompt_version_source: 'label', prompt_label: 'canary' }],
    ['no version of another name', [A, { name: 'b', version: '2' }], { prompt_name: 'a', prompt_version: null, flags: [] }],
    ['nothing from past another name', [A, { name: 'b' }, { name: 'a', version: '2' }], { prompt_version: null }],
    ['no version that is another name\'s', [A, { version: '2' }, { name: 'b' }], { prompt_version: null }],
    ['none of two versions', [A, { version: '2' }, { name: 'a', version: '3' }], { prompt_version: null }],
    ['no name that has another version', [{ version: '2' }, { name: 'a', version: '3' }], { prompt_name: null, prompt_version: '2' }],
    ['no version where it says which label was meant', [{ name: 'a', label: 'canary' }, { name: 'a', version: '2' }], { prompt_version: 'label:canary' }],
    ['no label for a version', [{ name: 'a', version: '2' }, { name: 'a', version: '2', label: 'production' }], { prompt_version: '2', prompt_label: null }],
    ['nothing where it names several prompts', [{ name: 'a', isAmbiguous: true }, { name: 'a', version: '2' }], { prompt_attribution: 'ambiguous', prompt_version: null }],
    ['no version from where several prompts are named', [A, { name: 'a', version: '2', isAmbiguous: true }], { prompt_version: null, prompt_attribution: 'direct' }],
    ['session and user each from the nearest', [{}, { session: 'near' }, { name: 'a', version: '1', session: 'far' }, { user: 'mira' }], { prompt_version: '1', session_id: 'near', user_id: 'mira' }],
  ])('%s', (_name, chain, expected) => {
    expect(together(chain)).toMatchObject(expected);
  });

  it('the version in the place of what it is called after its text, which is handed to nobody', () => {
    const nesting = open();
    const ofText = { prompt_version: 's:0123456789abcdef', prompt_version_source: 'system_fp' } as const;
    const chain: Said[] = [{}, A, {}];
    for (const index of chain.keys()) place(nesting, spanAt(chain, index));
    place(nesting, { ...spanAt(chain, 1), ...ofText }, true);
    expect(resolve(spanAt(chain, 0), nesting.get).call).toMatchObject({ prompt_name: 'a', prompt_version: null, prompt_version_source: 'none' });
    place(nesting, spanAt([{}, {}, { name: 'a', version: '2' }], 2));
    expect(resolve({ ...spanAt([A, A], 0), ...ofText }, nesting.get).call).toMatchObject({ prompt_name: 'a', prompt_version: '2', prompt_version_source: 'explicit' });
  });
});

/** Few names and versions, so that they meet. */
const said: fc.Arbitrary<Said> = fc.record({
  name: fc.constantFrom(null, null, 'a', 'b'),
  version: fc.constantFrom(null, null, '1', '2'),
  label: fc.constantFrom(null, null, null, 'canary'),
  session: fc.constantFrom(null, null, 's1', 's2'),
  user: fc.constantFrom(null, null, 'u1', 'u2'),
  isAmbiguous: fc.nat(9).map((drawn) => drawn === 0),
});
const chains = fc.array(said, { minLength: 1, maxLength: 6 });
const NUM_RUNS = 3_000;

describe('whatever stands above', () => {
  it('no version meets a name that it does not belong to, and session and user are the nearest', () => {
    fc.assert(
      fc.property(chains, (chain) => {
        const { prompt_name: name, prompt_version: version, session_id, user_id } = together(chain);
        const tags = chain.map(tagsOf);
        expect(session_id).toBe(tags.find((span) => span.session_id !== null)?.session_id ?? null);
        expect(user_id).toBe(tags.find((span) => span.user_id !== null)?.user_id ?? null);
        if (name === null || version === null) return;
        // Whose version it is where it stands: the name on that span, else the next one above it, else nobody's.
        const owners = tags.flatMap((span, index) => (span.prompt_version === version ? [tags.slice(index).find((above) => above.prompt_name !== null)?.prompt_name ?? null] : []));
        expect(owners.some((owner) => owner === name || owner === null)).toBe(true);
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it('comes out the same in any order, and who is corrected late is told by what has come', () => {
    fc.assert(
      fc.property(
        chains.chain((chain) => fc.tuple(fc.constant(chain), fc.shuffledSubarray([...chain.keys()].slice(1), { minLength: chain.length - 1 }), fc.infiniteStream(fc.boolean()))),
        ([chain, order, cuts]) => {
          const nesting = open();
          const first = spanAt(chain, 0);
          place(nesting, first, true);
          let { call: stored } = resolve(first, nesting.get);
          let arrived = new Set<string>();
          for (const [position, index] of order.entries()) {
            const span = spanAt(chain, index);
            place(nesting, span);
            arrived.add(spanKey(span));
            // More of them in the same request.
            if (position < order.length - 1 && cuts.next().value === true) continue;
            const node = nesting.get(spanKey(first));
            const { call } = resolve(stored, nesting.get);
            if (node !== undefined && !inheritsThrough(arrived, node, nesting.get)) expect(inheritsTheSame(call, stored)).toBe(true);
            stored = call;
            arrived = new Set();
          }
          expect(stored).toEqual(together(chain));
          // What is its own can be told from what it has inherited; but for a label, which comes with a version, and two prompts at once.
          const { prompt_name, prompt_version, prompt_attribution } = withOwnPrompt(stored);
          if (prompt_attribution !== 'ambiguous') expect({ prompt_name, prompt_version, prompt_attribution }).toEqual({ prompt_name: first.prompt_name, prompt_version: first.prompt_version, prompt_attribution: first.prompt_attribution });
        },
      ),
      { numRuns: NUM_RUNS },
    );
  });
});

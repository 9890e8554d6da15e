import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selectBoth } from '../../../analyzer/look/call-rows.ts';
import type { PromptKey } from '../../../analyzer/look/observations.ts';
import { createRangeRows } from '../../../analyzer/look/range-rows.ts';
import type { Store } from '../../../schemas/store.ts';
import { ARRIVED_MS, ARRIVED_SLOT, id, inference, judgement, logs, openIngesting, TAGS, traces, type Ingesting } from '../ingest/ingesting.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const RANGE = { from: ARRIVED_SLOT, to: ARRIVED_SLOT + 2 };
const promptNamed = (prompt_name: string, project = 'default'): PromptKey => ({ project, environment: 'default', prompt_name });
const PROMPTS = [promptNamed('refund-agent'), promptNamed('triage'), promptNamed('refund-agent', 'other'), promptNamed('nobody')];

/** Counts what is asked. */
function counting() {
  const asked: string[] = [];
  const store: Store = { ...on.store, select: async (sql, parameters) => (asked.push(sql.includes('FROM scores') ? 'scores' : 'calls'), on.store.select(sql, parameters)) };
  return { store, asked };
}

describe('the rows of a range', () => {
  beforeAll(async () => {
    const ingest = await on.fresh();
    const triage = { ...TAGS, 'gen_ai.prompt.name': 'triage' };
    await ingest.write([traces([inference(1, TAGS), inference(2, triage), inference(3, TAGS)]), logs([judgement(2, 0.5), judgement(3, 0.25)])]);
    await ingest.write([traces([inference(4, TAGS)], ARRIVED_MS, 'other'), traces([inference(5, triage)], ARRIVED_MS + 30_000), logs([judgement(4, 0.75)], ARRIVED_MS, 'other')]);
  });

  it('are those of each prompt, read together where that is expected', async () => {
    const { store, asked } = counting();
    const rows = createRangeRows(store, RANGE, PROMPTS.slice(0, 3).map((prompt) => ({ prompt, calls: 2 })));
    for (const prompt of PROMPTS) {
      const [calls, scores] = await selectBoth(on.store, prompt, RANGE);
      for (const slot of [ARRIVED_SLOT, ARRIVED_SLOT + 1]) {
        const without = (found: readonly { readonly slot: number }[]) => found.map((row) => ({ ...row, place: 0 }));
        const read = await rows.both(prompt, slot);
        expect(read[0]).toEqual(await rows.calls(prompt, slot));
        expect(without(read[0])).toEqual(without(calls.filter((call) => call.slot === slot)));
        expect(without(read[1])).toEqual(without(scores.filter((score) => score.slot === slot)));
      }
    }
    expect((await rows.calls(promptNamed('triage'), ARRIVED_SLOT + 1)).map(({ span_id }) => span_id)).toEqual([id(5)]);
    expect((await rows.both(promptNamed('refund-agent', 'other'), ARRIVED_SLOT))[1].map(({ value }) => value)).toEqual([0.75]);
    // One question of each kind for three prompts, one for the other.
    expect(asked.toSorted()).toEqual(['calls', 'calls', 'scores', 'scores']);
  });

  it('are read for fewer prompts at a time where these are busy, and not at all of those that nobody asks for', async () => {
    const { store, asked } = counting();
    const rows = createRangeRows(store, RANGE, PROMPTS.map((prompt) => ({ prompt, calls: 9_000 })));
    await rows.calls(promptNamed('refund-agent'), ARRIVED_SLOT);
    await rows.calls(promptNamed('triage'), ARRIVED_SLOT);
    expect(asked.length).toBe(1);
    await rows.calls(promptNamed('nobody'), ARRIVED_SLOT);
    expect(asked.length).toBe(2);
  });

  it('of one prompt that cannot be read keep those of others from nobody', async () => {
    const broken: Store = {
      ...on.store,
      select: async (sql, parameters = {}) => {
        if (Array.isArray(parameters['projects']) && parameters['projects'].includes('other')) throw new Error('memory limit exceeded');
        return on.store.select(sql, parameters);
      },
    };
    const rows = createRangeRows(broken, RANGE, PROMPTS.map((prompt) => ({ prompt, calls: 1 })));
    expect(await rows.calls(promptNamed('triage'), ARRIVED_SLOT)).toHaveLength(1);
    await expect(rows.calls(promptNamed('refund-agent', 'other'), ARRIVED_SLOT)).rejects.toThrow('memory limit exceeded');
    expect(await rows.calls(promptNamed('nobody'), ARRIVED_SLOT)).toEqual([]);
  });

  it('are not asked for one by one where the store is away', async () => {
    let asked = 0;
    const broken: Store = { ...on.store, select: async () => (asked += 1, Promise.reject(new Error('the store is away'))) };
    const many = Array.from({ length: 50 }, (_, index) => promptNamed(`prompt-${index}`));
    await expect(createRangeRows(broken, RANGE, many.map((prompt) => ({ prompt, calls: 1 }))).calls(promptNamed('prompt-49'), ARRIVED_SLOT)).rejects.toThrow('the store is away');
    expect(asked).toBe(4);
  });

  it('that cannot be read are the fault of whoever asks', async () => {
    const broken: Store = { ...on.store, select: async () => Promise.reject(new Error('the store is away')) };
    await expect(createRangeRows(broken, RANGE, PROMPTS.map((prompt) => ({ prompt, calls: 1 }))).calls(promptNamed('triage'), ARRIVED_SLOT)).rejects.toThrow('the store is away');
  });
});

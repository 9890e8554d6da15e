import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inPieces, recentFrom } from '../../../analyzer/look/busy.ts';
import { samplesOf, selectPulse } from '../../../analyzer/look/drift/pulse.ts';
import { factorNamed } from '../../../analyzer/look/factors.ts';
import { selectUnits, type UnitsRange } from '../../../analyzer/look/observations.ts';
import { SLOT_MS } from '../../../analyzer/slots.ts';
import type { Store } from '../../../schemas/store.ts';
import { openStore } from '../../simulation/store.ts';

const PROMPT = { project: 'default', environment: 'production', prompt_name: 'busy' };
/** The beginning of an hour. */
const HOUR = 57_600_000;

let on: Awaited<ReturnType<typeof openStore>>;
beforeAll(async () => {
  on = await openStore();
});
afterAll(() => on.close());

type Row = { readonly slot: number; readonly unit: number; readonly prompt?: string; readonly version?: string; readonly isError?: boolean };

/** Calls in the given order, a millisecond apart. */
async function fill(rows: readonly Row[]): Promise<Store> {
  await on.store.command('TRUNCATE TABLE calls');
  await on.store.insert(
    'calls',
    rows.map(({ slot, unit, prompt = PROMPT.prompt_name, version = 'v1', isError = false }, index) => {
      const startMs = slot * SLOT_MS + index;
      return {
        project: PROMPT.project, environment: PROMPT.environment, prompt_name: prompt, prompt_version: version, prompt_attribution: 'direct', event_time: String(Math.floor(startMs / 1_000)), slot, role: 'call', revision: 1,
        trace_id: index.toString(16).padStart(32, '0'), span_id: (index + 1).toString(16).padStart(16, '0'), start_ns: `${startMs}000000`, end_ns: `${startMs + 500}000000`, session_id: `session-${unit}`, request_model: 'gpt-4o', is_error: isError,
      };
    }),
  );
  return on.store;
}

const slots = (...counts: readonly number[]): Row[] => counts.flatMap((calls, index) => Array.from({ length: calls }, (_, unit) => ({ slot: HOUR + index, unit })));

describe('of a busy prompt', () => {
  it.each([
    { counts: [5, 5, 5], most: 100, from: 0 },
    { counts: [5, 5, 5], most: 12, from: 1 },
    { counts: [5, 5, 5], most: 10, from: 1 },
    { counts: [5, 5, 5], most: 9, from: 2 },
    { counts: [5, 5, 50], most: 9, from: 2 },
    { counts: [5, 50, 0], most: 9, from: 1 },
    { counts: [0, 0, 0], most: 9, from: 0 },
  ])('the last $most calls of $counts a slot begin with slot $from', async ({ counts, most, from }) => {
    const store = await fill(slots(...counts));
    expect(await recentFrom(store, PROMPT, { from: HOUR, to: HOUR + counts.length }, most)).toBe(HOUR + from);
  });

  it('a range is read in pieces that hold all of it once', async () => {
    const store = await fill(slots(4, 4, 0, 9, 1, 1, 30, 2));
    const pieces = await inPieces(store, PROMPT, { from: HOUR - 1, to: HOUR + 10 }, 9);
    expect(pieces.map(({ from, to }) => [from - HOUR, to - HOUR])).toEqual([[-1, 3], [3, 4], [4, 6], [6, 7], [7, 10]]);
  });

  it('units are those that were met lately, as they were met first', async () => {
    const all: Row[] = [
      { slot: HOUR, unit: 1, isError: true },
      { slot: HOUR, unit: 2 },
      { slot: HOUR + 1, unit: 1, version: 'v2' },
      { slot: HOUR + 2, unit: 3, version: 'v2' },
    ];
    const store = await fill(all);
    const read = (range: Omit<UnitsRange, 'crowd'>) => selectUnits(store, PROMPT, factorNamed('prompt_version'), { ...range, group: '', crowd: [] });
    const whole = await read({ from: HOUR, to: HOUR + 3, since: HOUR });
    expect(whole.map(({ id }) => id)).toEqual(['s:session-2', 's:session-1', 's:session-3']);
    expect(whole[1]).toEqual({ id: 's:session-1', value: null, first_slot: HOUR, last_slot: HOUR + 1, first_span: '0000000000000001', first_value: 'v1', first_answered: false, answered: true, start_ms: HOUR * SLOT_MS });
    expect(await read({ from: HOUR, to: HOUR + 3, since: HOUR + 1 })).toEqual(whole.slice(1));
  });
});

describe('the pulse of more than there is room for', () => {
  const units = (calls: number, prompt: string, slot: number, first = 0): Row[] => Array.from({ length: calls }, (_, unit) => ({ slot, unit: first + unit, prompt }));
  const countOf = async (store: Store, slot: number, mostCalls?: number): Promise<Map<string, number>> => {
    const pulses = (await selectPulse(store, { from: slot, to: slot + 1 }, null, mostCalls)).filter(({ metric }) => metric === 'error_rate');
    return new Map(pulses.map(({ prompt_name, counts }) => [prompt_name, counts.reduce((sum, count) => sum + count, 0)]));
  };

  it('counts a part of the units of who has most, each once, and all of the others', async () => {
    const store = await fill([...units(2_000, 'busy', HOUR), ...units(50, 'quiet', HOUR), ...units(2_000, 'busy', HOUR + 1, 1_000), ...units(50, 'quiet', HOUR + 1, 25)]);
    expect([await countOf(store, HOUR), await countOf(store, HOUR + 1)]).toEqual([new Map([['busy', 2_000], ['quiet', 50]]), new Map([['busy', 1_000], ['quiet', 25]])]);
    const [first, second] = [await countOf(store, HOUR, 600), await countOf(store, HOUR + 1, 600)];
    // One in four, then one in eight.
    expect(first.get('busy')).toBeGreaterThan(400);
    expect(first.get('busy')).toBeLessThan(600);
    expect(second.get('busy')).toBeGreaterThan(80);
    expect(second.get('busy')).toBeLessThan(180);
    expect([first.get('quiet'), second.get('quiet')]).toEqual([50, 25]);
  });

  it('has room for those that ask for little, and divides the rest evenly, by powers of two', () => {
    const busy = (...calls: readonly number[]) => calls.map((each, index) => ({ prompt: BigInt(index), calls: each }));
    expect(samplesOf(busy(60, 30, 10), 100)).toEqual([]);
    expect(samplesOf([], 100)).toEqual([]);
    expect(samplesOf(busy(200, 30, 10), 100)).toEqual([{ prompt: 0n, every: 4 }]);
    expect(samplesOf(busy(400, 100, 10), 100)).toEqual([{ prompt: 0n, every: 16 }, { prompt: 1n, every: 4 }]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1_000_000 }), { maxLength: 50 }), fc.integer({ min: 1, max: 1_000_000 }), (calls, room) => {
        const busiest = busy(...calls.toSorted((one, other) => other - one));
        const every = new Map(samplesOf(busiest, room).map((sample) => [sample.prompt, sample.every]));
        const left = busiest.reduce((sum, each) => sum + each.calls / (every.get(each.prompt) ?? 1), 0);
        expect(left).toBeLessThanOrEqual(room * (1 + 1e-9));
        // And what grows is never sampled less.
        const grown = new Map(samplesOf(busiest.map((each, index) => (index === 0 ? { ...each, calls: each.calls * 3 } : each)), room).map((sample) => [sample.prompt, sample.every]));
        for (const { prompt } of busiest) expect(grown.get(prompt) ?? 1).toBeGreaterThanOrEqual(every.get(prompt) ?? 1);
      }),
    );
  });
});

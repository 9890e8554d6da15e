import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../analyzer/look/entries.ts';
import { Windows, type Asked, type Family } from '../../../analyzer/look/windows.ts';
import { seeded } from '../../statistics/traffic.ts';

const family: Family = { group: 'errors', model: 'm', operation: 'chat', route: '' };
const unit = (arm: 'a' | 'b', bin = 0, startMs = 0): Entry => ({ arm, unit: null, startMs, bins: [['error_rate', bin]] });
const together: Asked = { startWindowOf: () => 0, isMixed: () => false };
/** An hour of slots with so many units in each. */
const history = (a: number, b: number) => ({ a: { units: a * 120, slots: 120 }, b: { units: b * 120, slots: 120 } });

/** Units of each arm by slot; returns the border slots of every window. */
function bordersOf(counts: readonly { readonly a: number; readonly b: number }[], shuffleSeed: number | null = null): string[] {
  const windows = new Windows(0);
  windows.seed(family, history(12, 1));
  const random = seeded(shuffleSeed ?? 1);
  const borders: string[] = [];
  counts.forEach(({ a, b }, index) => {
    const slot = index + 1;
    const units = [...Array.from({ length: a }, () => unit('a')), ...Array.from({ length: b }, () => unit('b'))];
    if (shuffleSeed !== null) units.sort(() => random() - 0.5);
    for (const entry of units) windows.add(family, slot, shuffleSeed === null ? entry : { ...entry, bins: [['error_rate', Math.floor(random() * 51)]], startMs: random() * 1e6 });
    const [before] = windows.schedule();
    windows.close(slot, together);
    if (before !== undefined && windows.schedule()[0]?.begin !== before.begin) borders.push(`${before.begin}–${slot}`);
  });
  return borders;
}

describe('the length of a window', () => {
  it('is the shortest power of two of slots that expects 20 units and 2 of the rarer arm, at most 16', () => {
    const lengthOf = (a: number, b: number): number | undefined => {
      const windows = new Windows(0);
      windows.seed(family, history(a, b));
      return windows.schedule()[0]?.length;
    };
    expect([lengthOf(20, 4), lengthOf(12, 3), lengthOf(6, 6), lengthOf(20, 0.6), lengthOf(20, 0.3), lengthOf(20, 0.2), lengthOf(1, 1), lengthOf(0, 0)]).toEqual([1, 2, 2, 4, 8, 16, 16, 16]);
  });

  it('does not hang on how much of a slot was left when the candidate was met in it (the demo once took four minutes)', () => {
    const firstOf = (units: number): number | undefined => {
      const windows = new Windows(0);
      windows.seed(family, { a: { units: 20 * 120, slots: 120 }, b: { units, slots: 1 } });
      return windows.schedule()[0]?.length;
    };
    expect([0, 1, 2, 3, 20].map(firstOf)).toEqual([1, 1, 1, 1, 1]);
    // From the next window on it is known.
    const windows = new Windows(0);
    windows.seed(family, { a: { units: 20 * 120, slots: 120 }, b: { units: 1, slots: 1 } });
    for (let n = 0; n < 20; n += 1) windows.add(family, 1, unit('a'));
    windows.close(1, together);
    expect(windows.schedule()).toMatchObject([{ begin: 2, length: 8 }]);
  });

  it('is fixed before it begins: what arrives in it moves its own end by nothing (seeds by fast-check)', () => {
    const counts = fc.array(fc.record({ a: fc.nat({ max: 30 }), b: fc.nat({ max: 6 }) }), { minLength: 40, maxLength: 60 });
    fc.assert(
      fc.property(counts, fc.nat({ max: 30 }), fc.nat({ max: 30 }), fc.nat(), (given, a, b, at) => {
        const before = bordersOf(given);
        const changed = at % given.length;
        const after = bordersOf(given.with(changed, { a, b }));
        // Every window that had begun by the changed slot ends where it would have.
        const begunBy = (border: string): boolean => Number(border.split('–')[0]) <= changed + 1;
        expect(after.filter(begunBy)).toEqual(before.filter(begunBy));
      }),
      { numRuns: 100 },
    );
  });

  it('depends on how many came, in which arm and slot, and not on order, value or start', () => {
    const counts = fc.array(fc.record({ a: fc.nat({ max: 30 }), b: fc.nat({ max: 6 }) }), { minLength: 40, maxLength: 60 });
    fc.assert(
      fc.property(counts, fc.nat({ max: 1e6 }), (given, seed) => {
        expect(bordersOf(given, seed)).toEqual(bordersOf(given));
      }),
      { numRuns: 50 },
    );
  });

  it('follows traffic: windows tile the slots, each a power of two', () => {
    const counts = Array.from({ length: 200 }, (_, slot) => (slot < 100 ? { a: 18, b: 2 } : { a: 2, b: 1 }));
    const borders = bordersOf(counts).map((border) => border.split('–').map(Number));
    let next = 1;
    for (const [begin = 0, end = 0] of borders) {
      expect(begin).toBe(next);
      expect([1, 2, 4, 8, 16]).toContain(end - begin + 1);
      next = end + 1;
    }
    const lengths = borders.map(([begin = 0, end = 0]) => end - begin + 1);
    expect(lengths.slice(5, 20).every((length) => length <= 2)).toBe(true);
    expect(lengths.at(-1)).toBeGreaterThanOrEqual(4);
  });

  it('of a family that nobody expected is that of a grid laid at the opening', () => {
    const windows = new Windows(0);
    const [strata, other] = [[] as number[], { ...family, model: 'new' }];
    for (let slot = 1; slot <= 40; slot += 1) {
      for (const arm of slot === 23 ? (['a', 'b'] as const) : []) windows.add(other, slot, unit(arm));
      strata.push(...windows.close(slot, together).map((stratum) => stratum.begin_slot * 1000 + stratum.slot));
    }
    expect(strata).toEqual([17_032]);
  });
});

describe('a stratum', () => {
  const closed = (entries: readonly Entry[], asked = together) => {
    const windows = new Windows(0);
    windows.seed(family, history(30, 5));
    for (const entry of entries) windows.add(family, 1, entry);
    return windows.close(1, asked);
  };

  it('counts units by bin in each arm', () => {
    const entries = [unit('a', 0), unit('a', 0), unit('a', 50), unit('b', 50), unit('b', 0)];
    expect(closed(entries)).toEqual([{ metric: 'error_rate', slot: 1, begin_slot: 1, start_window_ms: 0, model: 'm', operation: 'chat', route: '', control: '', bins: [0, 50], a: [2, 1], b: [1, 1] }]);
  });

  it('tells all bins apart that there are, and which metric each is of', () => {
    const bins = [-32_768, -1_000, -1, 0, 1, 8_192, 32_767];
    const rich = (arm: 'a' | 'b', unit: number | null): Entry => ({ arm, unit, startMs: 1_770_000_000_123, bins: bins.map((bin) => [`metric ${bin}`, bin]) });
    expect(closed([rich('a', null), rich('b', 300_000)]).map((stratum) => [stratum.metric, stratum.bins, stratum.a, stratum.b])).toEqual(bins.map((bin) => [`metric ${bin}`, [bin], [1], [1]]));
  });

  it('of one arm says nothing', () => {
    expect(closed([unit('a'), unit('a')])).toEqual([]);
    expect(closed([unit('b')])).toEqual([]);
  });

  it('keeps apart calls of different start windows: those of one arm say nothing', () => {
    const entries = [unit('a', 0, 1), unit('b', 0, 1), unit('b', 50, -500), unit('a', 0, 700)];
    expect(closed(entries, { ...together, startWindowOf: (startMs) => Math.floor(startMs / 100) * 100 }).map(({ start_window_ms, a, b }) => ({ start_window_ms, a, b }))).toEqual([{ start_window_ms: 0, a: [1], b: [1] }]);
  });

  it('leaves out units that met both arms before it closed', () => {
    const of = (number: number, entry: Entry): Entry => ({ ...entry, unit: number });
    expect(closed([unit('a'), of(1, unit('b')), of(2, unit('b', 50))], { ...together, isMixed: (number) => number === 2 })).toMatchObject([{ bins: [0], a: [1], b: [1] }]);
  });

  it('of a metric that only some units have counts those', () => {
    const rich: Entry = { arm: 'b', unit: null, startMs: 0, bins: [['error_rate', 0], ['format', 50]] };
    expect(closed([unit('a'), rich]).map(({ metric }) => metric)).toEqual(['error_rate']);
  });
});

describe('a restart', () => {
  it('goes on with the same windows, from the schedule and the units of the open ones (seeds 1–20)', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = seeded(seed);
      const slots = Array.from({ length: 300 }, () => Array.from({ length: Math.floor(random() * 12) }, () => unit(random() < 0.2 ? 'b' : 'a', Math.floor(random() * 51))));
      const cut = 1 + Math.floor(random() * 299);
      const undisturbed = new Windows(0);
      undisturbed.seed(family, history(9, 2));
      let restarted = new Windows(0);
      restarted.seed(family, history(9, 2));
      slots.forEach((entries, index) => {
        const slot = index + 1;
        if (slot === cut) {
          // As it is kept: through JSON.
          restarted = new Windows(0, JSON.parse(JSON.stringify(restarted.schedule())));
          const open = restarted.oldestOpenSlot();
          for (let past = open; past < slot; past += 1) for (const entry of slots[past - 1] ?? []) restarted.refill(family, past, entry);
        }
        for (const windows of [undisturbed, restarted]) for (const entry of entries) windows.add(family, slot, entry);
        expect(restarted.close(slot, together), `seed ${seed}, restart at slot ${cut}, slot ${slot}`).toEqual(undisturbed.close(slot, together));
      });
    }
  });
});

describe('bounds', () => {
  it('takes no more than a thousand families, and counts what it leaves out', () => {
    const windows = new Windows(0);
    for (let route = 0; route < 1_005; route += 1) {
      for (const arm of ['a', 'b'] as const) windows.add({ group: 'errors', model: 'm', operation: 'chat', route: `/order/${route}` }, 1, { arm, unit: null, startMs: 0, bins: [['error_rate', 0]] });
    }
    expect(windows.leftOut()).toBe(10);
    expect(windows.schedule()).toHaveLength(1_000);
    const strata = Array.from({ length: 16 }, (_, slot) => windows.close(slot + 1, together)).flat();
    expect(strata).toHaveLength(1_000);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_COUNTS, SlotCounts, type SlotCountsState } from '../../../analyzer/look/slot-counts.ts';

type Arm = 'a' | 'b';
type Step = { readonly kind: 'add' | 'since' | 'count' | 'restart'; readonly place: number; readonly arm: Arm; readonly times: number; readonly later: number };

/** The same by a map for each family: what was counted, by slot. */
class Plain {
  readonly families: Map<number, { a: number; b: number }>[] = [];

  count(place: number, slot: number, arm: Arm): void {
    const cell = this.families[place]?.get(slot) ?? { a: 0, b: 0 };
    cell[arm] += 1;
    this.families[place]?.set(slot, cell);
  }

  since(place: number, slot: number): { readonly a: number; readonly b: number } {
    const family = this.families[place] ?? new Map<number, { a: number; b: number }>();
    for (const counted of family.keys()) if (counted < slot) family.delete(counted);
    return [...family.values()].reduce((sum, cell) => ({ a: sum.a + cell.a, b: sum.b + cell.b }), { a: 0, b: 0 });
  }

  state(place: number): SlotCountsState {
    const slots = [...(this.families[place]?.keys() ?? [])];
    if (slots.length === 0) return NO_COUNTS;
    const first = Math.min(...slots);
    return { first, units: Array.from({ length: Math.max(...slots) - first + 1 }, (_, at) => this.families[place]?.get(first + at) ?? { a: 0, b: 0 }).flatMap(({ a, b }) => [a, b]) };
  }
}

const step = fc.record<Step>({
  kind: fc.constantFrom('add', 'since', 'since', 'count', 'count', 'count', 'count', 'restart'),
  place: fc.nat({ max: 5 }),
  arm: fc.constantFrom('a', 'b'),
  times: fc.oneof({ weight: 8, arbitrary: fc.nat({ max: 20 }) }, { weight: 1, arbitrary: fc.nat({ max: 600 }) }),
  later: fc.oneof({ weight: 8, arbitrary: fc.nat({ max: 3 }) }, { weight: 1, arbitrary: fc.nat({ max: 300 }) }),
});

describe('counts of all families of a comparison', () => {
  it('are those of each family by itself, whatever becomes of the others (seeds by fast-check)', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        let counts = new SlotCounts([]);
        const plain = new Plain();
        const states = (): SlotCountsState[] => plain.families.map((_, place) => counts.state(place));
        let slot = 59_000_000;
        for (const { kind, place: any, arm, times, later } of steps) {
          slot += later;
          if (kind === 'add' || plain.families.length === 0) expect(counts.add()).toBe(plain.families.push(new Map()) - 1);
          const place = any % plain.families.length;
          if (kind === 'count') {
            for (let time = 0; time < times; time += 1) for (const each of [counts, plain]) each.count(place, slot, arm);
          }
          if (kind === 'since') expect(counts.since(place, slot - times)).toEqual(plain.since(place, slot - times));
          if (kind === 'restart') counts = new SlotCounts(JSON.parse(JSON.stringify(states())));
          expect(states()).toEqual(plain.families.map((_, each) => plain.state(each)));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('go past what 8 and 16 bits hold', () => {
    const counts = new SlotCounts([NO_COUNTS, { first: 7, units: [255, 65_535] }, { first: 8, units: [0, 1] }]);
    counts.count(1, 9, 'a');
    expect(counts.since(1, 0)).toEqual({ a: 256, b: 65_535 });
    for (const { place, times } of [{ place: 0, times: 256 }, { place: 2, times: 65_536 }]) for (let time = 0; time < times; time += 1) counts.count(place, 9, 'b');
    expect([0, 1, 2].map((place) => counts.state(place))).toEqual([{ first: 9, units: [0, 256] }, { first: 7, units: [255, 65_535, 0, 0, 1, 0] }, { first: 8, units: [0, 1, 0, 65_536] }]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SLOTS_PER_DAY } from '../../../analyzer/slots.ts';
import { createUnitMemory } from '../../../analyzer/look/unit-memory.ts';

const firstCall = (slot: number) => ({ slot, span_id: `span ${slot}`, start_ms: slot * 30_000 + 0.5 });

describe('the memory of a day', () => {
  it('knows whom a map would know, with the first call and what was kept last (seeds by fast-check)', () => {
    const steps = fc.array(fc.record({ unit: fc.nat({ max: 150 }), later: fc.oneof({ weight: 20, arbitrary: fc.nat({ max: 2 }) }, { weight: 1, arbitrary: fc.nat({ max: SLOTS_PER_DAY }) }) }), { minLength: 200, maxLength: 800 });
    fc.assert(
      fc.property(steps, (given) => {
        const memory = createUnitMemory<{ readonly since: number }>();
        const known = new Map<string, { first: number; last: number; kept: number }>();
        let slot = 1;
        for (const { unit: name, later } of given) {
          slot += later;
          const id = `s:${name}`;
          const expected = known.get(id);
          const isRemembered = expected !== undefined && slot - expected.last < SLOTS_PER_DAY;
          const unit = memory.find(id, slot);
          expect(unit !== null).toBe(isRemembered);
          if (unit === null) {
            const added = memory.add(id, firstCall(slot), { since: slot });
            expect(memory.find(id, slot)).toBe(added);
            known.set(id, { first: slot, last: slot, kept: slot });
          } else if (expected !== undefined) {
            expect([memory.firstSlot(unit), memory.startMs(unit), memory.kept(unit).since]).toEqual([expected.first, firstCall(expected.first).start_ms, expected.kept]);
            expect([memory.isFirstSpan(unit, `span ${expected.first}`), memory.isFirstSpan(unit, 'another')]).toEqual([true, false]);
            memory.touch(unit, slot);
            memory.keep(unit, { since: slot });
            known.set(id, { first: expected.first, last: slot, kept: slot });
          }
        }
        expect(memory.forgottenEarly()).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it('lets a unit keep its number as long as it is remembered, while others come and go', () => {
    const memory = createUnitMemory<object>();
    const stays = memory.add('s:stays', firstCall(1), {});
    for (let slot = 2; slot < 4 * SLOTS_PER_DAY; slot += 10) {
      if (slot % 1_000 === 2) memory.touch(stays, slot);
      memory.add(`t:${slot}`, firstCall(slot), {});
      expect(memory.find('s:stays', slot)).toBe(stays);
    }
    expect([memory.firstSlot(stays), memory.find('t:2', 4 * SLOTS_PER_DAY)]).toEqual([1, null]);
  });

  it('forgets whom it met longest ago when it is full, and says so', () => {
    const memory = createUnitMemory<object>({ maximum: 3 });
    for (const [slot, id] of ['s:1', 's:2', 's:3'].entries()) memory.add(id, firstCall(slot), {});
    memory.touch(memory.find('s:1', 3) ?? -1, 3);
    for (const [more, id] of ['s:4', 's:5'].entries()) memory.add(id, firstCall(4 + more), {});
    expect(memory.forgottenEarly()).toBe(2);
    expect(['s:1', 's:2', 's:3', 's:4', 's:5'].map((id) => memory.find(id, 6) !== null)).toEqual([true, false, false, true, true]);
  });

  it('grows where it is full of units that are held', () => {
    const held = new Set<number>();
    const memory = createUnitMemory<object>({ maximum: 3, isHeld: (unit) => held.has(unit) });
    for (let slot = 0; slot < 100; slot += 1) held.add(memory.add(`s:${slot}`, firstCall(slot), {}));
    expect(memory.forgottenEarly()).toBe(0);
    expect(Array.from({ length: 100 }, (_, slot) => memory.find(`s:${slot}`, 100)).every((unit) => unit !== null && held.has(unit))).toBe(true);
    held.clear();
    for (let slot = 100; slot < 300; slot += 1) memory.add(`s:${slot}`, firstCall(slot), {});
    expect(memory.forgottenEarly()).toBeGreaterThan(100);
    expect(memory.find('s:299', 300)).not.toBeNull();
  });
});

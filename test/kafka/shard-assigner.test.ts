import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { roundsOf } from '../../deploy/kafka/sender.ts';
import { dealShards } from '../../deploy/kafka/shard-assigner.ts';
import type { OutgoingRecord } from '../../deploy/kafka/records.ts';

describe('shards among members of the group', () => {
  const groups = fc.record({ shards: fc.integer({ min: 0, max: 200 }), owned: fc.array(fc.array(fc.integer({ min: -1, max: 220 }), { maxLength: 60 }), { minLength: 1, maxLength: 20 }) });

  it('are dealt once each, and evenly', () => {
    fc.assert(
      fc.property(groups, ({ shards, owned }) => {
        const dealt = dealShards(shards, new Map(owned.map((had, index) => [`member-${index}`, had])));
        expect([...dealt.values()].flat().sort((one, other) => one - other)).toEqual(Array.from({ length: shards }, (_, shard) => shard));
        const sizes = [...dealt.values()].map((hand) => hand.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('stay where they are when a member comes or goes, but for those that have to move', () => {
    let owned = new Map<string, readonly number[]>([['a', []]]);
    const deal = (members: readonly string[]): number => {
      const before = owned;
      owned = dealShards(1000, new Map(members.map((member) => [member, before.get(member) ?? []])));
      return [...owned].reduce((moved, [member, hand]) => moved + hand.filter((shard) => before.get(member)?.includes(shard) !== true).length, 0);
    };
    expect(deal(['a'])).toBe(1000);
    expect(deal(['a', 'b'])).toBe(500);
    expect(deal(['a', 'b', 'c'])).toBeLessThanOrEqual(334);
    expect(deal(['a', 'b', 'c'])).toBe(0);
    expect(deal(['a', 'c'])).toBeLessThanOrEqual(334);
  });
});

describe('records of one request', () => {
  it('go in rounds in which no partition has more than a batch may hold, in their order', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ partition: fc.integer({ min: 0, max: 4 }), bytes: fc.integer({ min: 1, max: 120 }) }), { maxLength: 60 }), (sizes) => {
        const records: OutgoingRecord[] = sizes.map(({ partition, bytes }, index) => ({ partition, value: Buffer.alloc(bytes), headers: {}, timestampMs: index }));
        const rounds = roundsOf(records, 100);
        for (const round of rounds) {
          for (const partition of new Set(round.map((record) => record.partition))) {
            const ofPartition = round.filter((record) => record.partition === partition);
            if (ofPartition.length > 1) expect(ofPartition.reduce((sum, { value }) => sum + value.byteLength, 0)).toBeLessThanOrEqual(100);
          }
        }
        for (let partition = 0; partition < 5; partition += 1) {
          expect(rounds.flat().filter((record) => record.partition === partition)).toEqual(records.filter((record) => record.partition === partition));
        }
      }),
      { seed: 2, numRuns: 300 },
    );
  });
});

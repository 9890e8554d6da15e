import { describe, expect, it } from 'vitest';
import { inLongForm, some } from '../long.ts';
import { brokenBy, simulate } from './simulation/simulation.ts';

/** The first found two members at one shard as long as nobody asked before an insert whether it may. */
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

describe('collectors, analyzers and api processes in virtual time, over the real coordination code', () => {
  it.each(some(SEEDS, 1))('keep every promise while things go wrong at random (seed %i)', { timeout: 300_000 }, async (seed) => {
    const outcome = await simulate({ seed, collectors: 2, analyzers: 5, partitions: 16, faultSeconds: 40, messagesPerSecond: 8 });
    expect(brokenBy(outcome), JSON.stringify(outcome)).toEqual([]);
    expect(outcome.acknowledged).toBeGreaterThan(1_000);
    expect(outcome.looked_slots).toBeGreaterThan(3);
  });

  it('and so do 10 collectors and 50 analyzers over 1,000 partitions', { timeout: 1_800_000 }, async (context) => {
    inLongForm(context);
    const outcome = await simulate({ seed: 1, collectors: 10, analyzers: 50, partitions: 1_000, faultSeconds: 45, messagesPerSecond: 100 });
    expect(brokenBy(outcome), JSON.stringify(outcome)).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { createPulseMemory } from '../../../../analyzer/look/drift/pulse-memory.ts';
import type { Pulse } from '../../../../analyzer/look/drift/pulse.ts';
import { seeded } from '../../../statistics/traffic.ts';

const place = { project: 'p', environment: 'e', by: 'model', of: 'm' } as const;
const served = { project: 'p', environment: 'e', request_model: 'm', version: 'v1', provider: 'q' };

function pulsesOf(slot: number, random: () => number): Pulse[] {
  const pulses: Pulse[] = [];
  for (const request_model of ['m', 'other']) {
    for (const prompt_name of ['refund', 'order']) {
      if (random() < 0.2) continue;
      const bins = [0, 1, 2, 3].filter(() => random() < 0.6);
      pulses.push({ ...served, request_model, prompt_name, slot, route: '', metric: 'latency', bins, counts: bins.map(() => 1 + Math.floor(random() * 5)) });
    }
  }
  return pulses;
}

/** Counts by prompt and bin, zeros left out. */
function sumsOf(pulses: readonly Pulse[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { prompt_name, bins, counts } of pulses) for (const [cell, bin] of bins.entries()) sums[`${prompt_name} ${bin}`] = (sums[`${prompt_name} ${bin}`] ?? 0) + (counts[cell] ?? 0);
  return sums;
}

describe('the pulse of the last hour', () => {
  it('is at every half hour that of slots [−120, −10), of one model, also where it was taken up in between (seeds 1–5)', () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const random = seeded(seed);
      const slots = Array.from({ length: 600 }, (_, slot) => pulsesOf(slot, random));
      const ofModel = (from: number, to: number): Pulse[] => slots.slice(Math.max(0, from), Math.max(0, to)).flat().filter(({ request_model }) => request_model === 'm');
      const whole = createPulseMemory();
      const next = 1 + Math.floor(random() * 590);
      const resumed = createPulseMemory();
      const since = Math.ceil(next / 60) * 60 - 120;
      slots.forEach((pulses, slot) => {
        whole.record(slot, pulses);
        if (slot >= since) resumed.record(slot, pulses);
        if (slot % 60 !== 0) return;
        const expected = sumsOf(ofModel(slot - 120, slot - 10));
        expect(sumsOf(whole.hourBefore(slot, place)), `seed ${seed}, slot ${slot}`).toEqual(expected);
        const ofAll = sumsOf(slots.slice(Math.max(0, slot - 120), Math.max(0, slot - 10)).flat());
        expect(sumsOf(whole.hourBefore(slot, { ...place, by: 'provider', of: 'q' })), `seed ${seed}, slot ${slot}`).toEqual(ofAll);
        expect(sumsOf(whole.hourBefore(slot, null)), `seed ${seed}, slot ${slot}`).toEqual(ofAll);
        if (slot >= next) expect(sumsOf(resumed.hourBefore(slot, place)), `seed ${seed}, taken up at ${next}, slot ${slot}`).toEqual(expected);
      });
    }
  });

  it('holds no more series than a bound, whatever is sent as a route', () => {
    const memory = createPulseMemory();
    memory.record(0, Array.from({ length: 100_001 }, (_, n) => ({ ...served, prompt_name: 'refund', slot: 0, route: `/${n}`, metric: 'error_rate', bins: [0], counts: [1] })));
    expect(memory.hourBefore(60, place)).toHaveLength(100_000);
  });
});

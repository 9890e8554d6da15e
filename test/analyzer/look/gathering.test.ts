import { describe, expect, it } from 'vitest';
import { createGathering, type Judgement, type Reading } from '../../../analyzer/look/gathering.ts';
import { readingsOf, SIGNAL_METRICS } from '../../../analyzer/metrics/index.ts';
import { seeded } from '../../statistics/traffic.ts';
import { call, scoreOf } from './observed.ts';

const reading = (startMs: number, readings: readonly (number | null)[] = SIGNAL_METRICS.map(() => null)): Reading => ({ start_ms: startMs, seen: call(0).seen, arms: 'a', readings });

describe('what is gathered of a unit', () => {
  it('is what was added, in its order, until it is let go (seeds 1–3)', () => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const random = seeded(seed);
      const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(random() * values.length)] as Value;
      const kinds = ['v1', 'v2', 'v3'].map((version) => call(0, { version }).seen);
      const gathering = createGathering();
      const kept = new Map<number, { readonly slot: number; readonly calls: Reading[]; readonly scores: Judgement[] }>();
      for (let slot = 100; slot < 140; slot += 1) {
        gathering.forget(slot - 5);
        for (const [unit, { slot: begun }] of kept) if (begun < slot - 5) kept.delete(unit);
        gathering.open(slot, 30);
        for (let n = 0; n < 30; n += 1) {
          // Numbers of units that were let go are given to others.
          const unit = Math.floor(random() * 200);
          const added: Reading = {
            start_ms: slot * 30_000 + random(),
            seen: pick(kinds),
            arms: 'ab',
            readings: SIGNAL_METRICS.map(({ kind }) => (random() < 0.3 ? null : kind === 'rate' ? pick([0, 1]) : random() * 1e6)),
          };
          const known = kept.get(unit);
          if (known === undefined) {
            gathering.begin(unit, added);
            kept.set(unit, { slot, calls: [added], scores: [] });
          } else {
            gathering.addCall(unit, added);
            known.calls.push(added);
          }
          if (random() < 0.3) {
            const { name, value, data_type, start_ms, seen } = scoreOf(call(slot), slot, random());
            const judgement: Judgement = { slot, name, value, data_type, start_ms, seen, arms: 'b' };
            gathering.addScore(unit, judgement);
            kept.get(unit)?.scores.push(judgement);
          }
        }
        const units = Array.from({ length: 200 }, (_, unit) => unit);
        expect(units.filter(gathering.isGathered), `seed ${seed}, slot ${slot}`).toEqual(units.filter((unit) => kept.has(unit)));
        expect([...kept.keys()].map(gathering.of), `seed ${seed}, slot ${slot}`).toEqual([...kept.values()].map(({ calls, scores }) => ({ calls, scores })));
        for (let begun = slot - 6; begun <= slot; begun += 1) expect(gathering.begunIn(begun)).toEqual([...kept].filter(([, its]) => its.slot === begun).map(([unit]) => unit));
      }
    }
  });

  it('says of a call what the call says', () => {
    const observed = call(0, { is_error: true, duration_ms: 12.5, ttft_ms: null, input_tokens: 0, cost_usd: 1e-9, finish_reason: 'length', is_empty: false, is_format_valid: true });
    const gathering = createGathering();
    gathering.open(1, 1);
    gathering.begin(0, reading(5, readingsOf(observed)));
    expect(Object.fromEntries(SIGNAL_METRICS.map(({ name }, place) => [name, gathering.of(0).calls[0]?.readings[place]]))).toEqual({
      error_rate: 1, latency: 12.5, ttft: null, input_tokens: 0, output_tokens: null, cost: 1e-9, truncated: 1, content_filter: 0, empty: 0, format: 0,
    });
  });

  it('is of the open slot: there must be one', () => {
    expect(() => createGathering().begin(0, reading(0))).toThrow('no slot is open');
  });
});

import { describe, expect, it } from 'vitest';
import { factorNamed, type FactorName } from '../../../analyzer/look/factors.ts';
import { JudgedUnits, stretchOf } from '../../../analyzer/look/judged.ts';
import { bySlot, type CallObservation, type ScoreObservation } from '../../../analyzer/look/observations.ts';
import { createPromptUnits, type PromptUnits } from '../../../analyzer/look/prompt-units.ts';
import { Units } from '../../../analyzer/look/units.ts';
import type { MetricSettings } from '../../../schemas/evidence.ts';
import { seeded } from '../../statistics/traffic.ts';
import { atSlot, call, FIRST_SLOT, scoreOf } from './observed.ts';

const rate: MetricSettings = { kind: 'rate', direction: 'up', weight: 0.5, from_slot: 0, tolerance: 0.005, severity: 'page', reference: null };
const score: MetricSettings = { kind: 'score', direction: 'down', weight: 0.5, from_slot: 0, tolerance: 0.005, severity: 'page', minimum: 0, maximum: 1, reference: null };
const metrics: Readonly<Record<string, MetricSettings>> = { error_rate: rate, quality: score, tone: score };

type Traffic = { readonly calls: readonly CallObservation[]; readonly scores: readonly ScoreObservation[] };
const SLOTS = 90;

/** Sessions that wander between versions and models, come back late, and are judged late, twice, or by calls that nobody knows. */
function wandering(seed: number): Traffic {
  const random = seeded(seed);
  const calls: CallObservation[] = [];
  const scores: ScoreObservation[] = [];
  const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(random() * values.length)] as Value;
  for (let slot = 1; slot <= SLOTS; slot += 1) {
    for (let n = 0; n < 6; n += 1) {
      const session_id = random() < 0.3 ? null : `s${slot - Math.floor(random() ** 3 * 60)}.${Math.floor(random() * 4)}`;
      // Most stay with their version.
      const version = random() < 0.9 && session_id !== null ? `v${1 + (session_id.length + Number(session_id.at(-1))) % 3}` : pick(['v1', 'v2', 'v3']);
      calls.push(call(slot, { session_id, version, response_model: pick(['m-1', 'm-1', 'm-2']), is_error: random() < 0.2, start_ms: atSlot(slot) - Math.floor(random() * 90_000) }));
    }
    for (let n = 0; n < 5; n += 1) scores.push(scoreOf(calls[Math.floor((1 - random() ** 3) * calls.length)] ?? pick(calls), slot, Math.round(random() * 100) / 100, { name: pick(['quality', 'tone', 'error_rate']) }));
    if (slot % 7 === 0) scores.push(scoreOf(call(slot, { session_id: pick([null, `s${slot}.1`]) }), slot, 0.5));
  }
  return { calls, scores };
}

type Compared = { readonly factor: FactorName; readonly group: string; readonly baseline: string; readonly candidate: string; readonly opened: number; readonly sessionWindowS: number };
const compared: readonly Compared[] = [
  { factor: 'prompt_version', group: '', baseline: 'v1', candidate: 'v2', opened: 0, sessionWindowS: 180 },
  { factor: 'model', group: 'm', baseline: 'm-1', candidate: 'm-2', opened: 0, sessionWindowS: 180 },
  { factor: 'prompt_version', group: '', baseline: 'v1', candidate: 'v3', opened: 30, sessionWindowS: 180 },
  { factor: 'model', group: 'm', baseline: 'm-1', candidate: 'm-2', opened: 45, sessionWindowS: 0 },
];

const unitsOf = (prompt: PromptUnits, { factor, opened, ...rest }: Compared) =>
  new Units(prompt, { factor: factorNamed(factor), ...rest, openedSlot: FIRST_SLOT + opened, openedMs: atSlot(opened), metric: (name) => metrics[name] ?? null, judged: new JudgedUnits({ first: stretchOf(FIRST_SLOT), windowSlots: 0, isMetric: () => true }) });

/** What became complete, slot by slot, in words; and how routing was seen. */
function told(units: ReturnType<typeof unitsOf>, slots: Iterable<number>, { calls, scores }: Traffic): string[] {
  const [callsIn, scoresIn] = [bySlot(calls), bySlot(scores)];
  const words: string[] = [];
  for (const slot of slots) {
    for (const { family, entry } of units.feed(FIRST_SLOT + slot, callsIn.get(FIRST_SLOT + slot) ?? [], scoresIn.get(FIRST_SLOT + slot) ?? [])) words.push(JSON.stringify([slot, family.group, entry.arm, entry.unit !== null && units.isMixed(entry.unit), entry.startMs, entry.bins]));
  }
  return [...words, JSON.stringify([units.routing(), units.counts()])];
}

function* range(from: number, to: number): Iterable<number> {
  for (let slot = from; slot <= to; slot += 1) yield slot;
}

/** One of them by itself: what was before it is recalled, as from the store. */
function alone(each: Compared, traffic: Traffic): string[] {
  const prompt = createPromptUnits();
  prompt.recall({
    units: traffic.calls.filter(({ slot }) => slot <= FIRST_SLOT + each.opened).map((before) => ({ id: before.session_id === null ? `t:${before.trace_id}` : `s:${before.session_id}`, first: before, slot: before.slot, answered: 'at_first', scored: [] })),
    sessions: [],
  });
  return told(unitsOf(prompt, each), range(each.opened + 1, SLOTS), traffic);
}

describe('the units of a prompt', () => {
  it('are to each of its comparisons what they are to one that is alone (seeds 1–3)', () => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const traffic = wandering(seed);
      const prompt = createPromptUnits();
      const open: { readonly each: Compared; readonly units: ReturnType<typeof unitsOf>; readonly words: string[] }[] = [];
      const gone = unitsOf(prompt, { factor: 'prompt_version', group: '', baseline: 'v2', candidate: 'v1', opened: 0, sessionWindowS: 180 });
      for (const slot of range(0, SLOTS)) {
        for (const { units, words } of open) words.push(...told(units, [slot], traffic).slice(0, -1));
        // One that is over leaves its place to the next.
        if (slot < 40) gone.feed(FIRST_SLOT + slot, traffic.calls.filter((row) => row.slot === FIRST_SLOT + slot), traffic.scores.filter((row) => row.slot === FIRST_SLOT + slot));
        if (slot === 40) gone.leave();
        for (const each of compared.filter(({ opened }) => opened === slot)) open.push({ each, units: unitsOf(prompt, each), words: [] });
      }
      for (const { each, units, words } of open) expect([...words, ...told(units, [], traffic)], `seed ${seed}, ${JSON.stringify(each)}`).toEqual(alone(each, traffic));
    }
  });

  it('become complete also where more are met within their session window than are remembered', () => {
    const each: Compared = { factor: 'prompt_version', group: '', baseline: 'v1', candidate: 'v2', opened: 0, sessionWindowS: 180 };
    const random = seeded(4);
    const calls = [...range(1, 40)].flatMap((slot) => Array.from({ length: 20 }, (_, n) => ({ slot, n }))).flatMap(({ slot, n }) => {
      const session = { session_id: `s${slot}.${n}`, version: n % 4 === 0 ? 'v2' : 'v1' };
      return [call(slot, session), call(slot + Math.floor(random() * 5), { ...session, is_error: random() < 0.5 })];
    });
    const traffic: Traffic = { calls: calls.sort((left, right) => left.slot - right.slot), scores: calls.map((judged) => scoreOf(judged, judged.slot - FIRST_SLOT, random())) };
    const words = (maximum?: number) => told(unitsOf(createPromptUnits(maximum), each), range(1, 60), traffic).slice(0, -1);
    expect(words(50)).toEqual(words());
    expect(words().length).toBeGreaterThan(1_000);
  });

  it('come in the order of slots', () => {
    const prompt = createPromptUnits();
    prompt.feed(7, [], []);
    expect(() => prompt.feed(6, [], [])).toThrow('slot 6 comes after slot 7: units are fed in the order of slots');
  });
});

describe('what a unit was scored under', () => {
  it('is told apart where each unit has a name of its own, more than are shared', () => {
    const units = unitsOf(createPromptUnits(), { factor: 'prompt_version', group: '', baseline: 'v1', candidate: 'v2', opened: -1, sessionWindowS: 0 });
    const judged = Array.from({ length: 1_200 }, () => call(1));
    const once = judged.map((each, index) => scoreOf(each, 1, 1, { name: index % 2 === 0 ? `judge ${index}` : 'tone' }));
    units.feed(FIRST_SLOT + 1, judged, once);
    const twice = [...once, ...judged.map((each) => scoreOf(each, 1, 1))];
    const again = units.feed(FIRST_SLOT + 2, [], twice);
    expect(again.map(({ family }) => family.group)).toEqual(judged.map(() => 'score:quality'));
  });
});

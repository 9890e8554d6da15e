import { describe, expect, it } from 'vitest';
import { factorNamed } from '../../../analyzer/look/factors.ts';
import { JudgedUnits, stretchOf } from '../../../analyzer/look/judged.ts';
import type { CallObservation, ScoreObservation } from '../../../analyzer/look/observations.ts';
import { SLOTS_PER_DAY } from '../../../analyzer/slots.ts';
import { createPromptUnits } from '../../../analyzer/look/prompt-units.ts';
import { Units, type Routing } from '../../../analyzer/look/units.ts';
import type { MetricSettings } from '../../../schemas/evidence.ts';
import { atSlot, call, FIRST_SLOT, scoreOf } from './observed.ts';

const rate: MetricSettings = { kind: 'rate', direction: 'up', weight: 0.5, from_slot: 0, tolerance: 0.005, severity: 'page', reference: null };
const score: MetricSettings = { kind: 'score', direction: 'down', weight: 0.5, from_slot: 0, tolerance: 0.005, severity: 'page', minimum: 0, maximum: 1, reference: null };
const metrics: Readonly<Record<string, MetricSettings>> = { error_rate: rate, quality: score, tone: score };

/** Feeds slots in order and says what became complete: `slot group arm bin`. */
function watch(sessionWindowS: number, restored: Routing | null = null) {
  const prompt = createPromptUnits();
  const units = new Units(prompt, { factor: factorNamed('prompt_version'), group: '', baseline: 'v1', candidate: 'v2', openedSlot: FIRST_SLOT - 1, openedMs: atSlot(0), sessionWindowS, metric: (name) => metrics[name] ?? null, judged: new JudgedUnits({ first: stretchOf(FIRST_SLOT), windowSlots: 0, isMetric: () => true }) }, restored);
  let slot = -1;
  const feedTo = (last: number, calls: readonly CallObservation[] = [], scores: readonly ScoreObservation[] = []): string[] => {
    const seen: string[] = [];
    while (slot < last) {
      slot += 1;
      const ofSlot = <Row extends { readonly slot: number }>(rows: readonly Row[]): Row[] => rows.filter((row) => row.slot === FIRST_SLOT + slot);
      for (const { family, entry } of units.feed(FIRST_SLOT + slot, ofSlot(calls), ofSlot(scores))) {
        seen.push(`${slot} ${family.group} ${entry.arm}${entry.unit !== null && units.isMixed(entry.unit) ? ' mixed' : ''} ${entry.bins.map(([name, bin]) => `${name}=${bin}`).join(' ')}`);
      }
    }
    return seen;
  };
  return { prompt, units, feedTo };
}

describe('a unit', () => {
  it('is the trace where no session is known, and its first call', () => {
    const { feedTo, units } = watch(0);
    const trace_id = 'a'.repeat(32);
    const first = call(1, { trace_id, is_error: true });
    expect(feedTo(9, [first, call(1, { trace_id }), call(3, { trace_id }), call(3, { version: 'v2' })])).toEqual(['1 errors a error_rate=50', '3 errors b error_rate=0']);
    expect(units.counts()).toEqual({ counted: 2, mixed: 0, repeated_calls: 2, forgotten_early: 0 });
  });

  it('is the session where one is known: the mean of what started within 180 s of its first call, complete six slots later', () => {
    const { feedTo } = watch(180);
    const session_id = 's';
    const calls = [call(1, { session_id, is_error: true }), call(3, { session_id }), call(7, { session_id }), call(8, { session_id, is_error: true })];
    // Slots 1, 3 and 7 are 0, 60 and 180 s after its first; the last is too late.
    expect(feedTo(12, calls)).toEqual(['7 errors a error_rate=17']);
  });

  it('that started before the opening never counts', () => {
    const { feedTo } = watch(0);
    const session_id = 'before';
    expect(feedTo(9, [call(1, { session_id, start_ms: atSlot(0) - 1 }), call(2, { session_id }), call(4, { session_id })])).toEqual([]);
  });

  it('that began with a third version never counts', () => {
    const { feedTo } = watch(0);
    expect(feedTo(9, [call(1, { session_id: 's', version: 'v0' }), call(2, { session_id: 's' })])).toEqual([]);
  });

  it('is remembered for a day after its last call', () => {
    const { feedTo, units } = watch(0);
    const session_id = 's';
    expect(feedTo(1, [call(1, { session_id })])).toHaveLength(1);
    expect(feedTo(SLOTS_PER_DAY, [call(SLOTS_PER_DAY, { session_id })])).toEqual([]);
    expect(feedTo(2 * SLOTS_PER_DAY - 1, [call(2 * SLOTS_PER_DAY - 1, { session_id })])).toEqual([]);
    expect(units.counts().counted).toBe(1);
    expect(feedTo(3 * SLOTS_PER_DAY - 1, [call(3 * SLOTS_PER_DAY - 1, { session_id })])).toHaveLength(1);
  });

  it('of before is not counted again', () => {
    const { feedTo, prompt } = watch(0);
    prompt.recall({ units: [{ id: 's:old', first: { slot: FIRST_SLOT - 9, span_id: 'x', start_ms: atSlot(-9) }, slot: FIRST_SLOT - 5, answered: 'at_first', scored: [] }], sessions: [] });
    expect(feedTo(3, [call(1, { session_id: 'old' }), call(2, { session_id: 'new' })])).toEqual(['2 errors a error_rate=0']);
  });
});

describe('a unit that met both arms', () => {
  const twice = (second: number): CallObservation[] => [call(1, { session_id: 's' }), call(second, { session_id: 's', version: 'v2', is_error: true })];

  it('counts for neither while units are gathered', () => {
    const { feedTo, units } = watch(180);
    expect(feedTo(12, twice(3))).toEqual(['7 errors a mixed error_rate=0']);
    expect(units.counts().mixed).toBe(1);
  });

  it('counts for neither when it meets the other while its window may still be open', () => {
    const { units } = watch(180);
    let entry: { readonly unit: number | null } | undefined;
    const [first, second] = twice(20);
    for (let slot = 0; slot <= 23; slot += 1) {
      const [completed] = units.feed(FIRST_SLOT + slot, [first, second].filter((row) => row?.slot === FIRST_SLOT + slot).filter((row) => row !== undefined), []);
      entry = completed?.entry ?? entry;
    }
    expect(units.isMixed(entry?.unit ?? -1)).toBe(true);
  });

  it('counts for the arm of its first call where a unit is its first call', () => {
    const { feedTo, units } = watch(0);
    expect(feedTo(12, twice(3))).toEqual(['1 errors a error_rate=0']);
    expect(units.counts().mixed, 'shown all the same').toBe(1);
  });

  it('turns gathering off once enough calls were routed away from their session', () => {
    const { feedTo, units } = watch(180);
    const wandering = Array.from({ length: 5 }, (_, n) => [call(2, { session_id: `w${n}` }), call(3, { session_id: `w${n}`, version: 'v2' })]).flat();
    const last = [call(3, { session_id: 'last gathered' }), call(4, { session_id: 'first call', is_error: true }), call(5, { session_id: 'first call' })];
    feedTo(3, [...wandering, ...last]);
    expect(units.routing()).toEqual({ again: { a: 5, b: 0 }, elsewhere: { a: 5, b: 0 }, firstCallFrom: FIRST_SLOT + 4 });
    expect(feedTo(20, last)).toEqual(['4 errors a error_rate=50', ...Array.from({ length: 5 }, () => '8 errors a mixed error_rate=0'), '9 errors a error_rate=0']);
  });

  it('does not, where few of many wander', () => {
    const { feedTo, units } = watch(180);
    const sessions = Array.from({ length: 40 }, (_, n) => [call(2, { session_id: `w${n}` }), call(3, { session_id: `w${n}`, version: n < 6 ? 'v2' : 'v1' })]).flat();
    feedTo(9, sessions);
    expect(units.routing().firstCallFrom).toBeNull();
  });
});

describe('a score', () => {
  it('counts once a unit and name; those that came in time are averaged', () => {
    const { feedTo } = watch(180);
    const session_id = 's';
    const [one, two] = [call(1, { session_id }), call(3, { session_id })];
    const scores = [scoreOf(one, 2, 1), scoreOf(two, 4, 0.5), scoreOf(one, 9, 0), scoreOf(one, 9, 0.8, { name: 'tone' })];
    expect(feedTo(12, [one, two], scores)).toEqual(['7 errors a error_rate=0', '7 score:quality a quality=13', '9 score:tone a tone=10']);
  });

  it('that comes after the unit is complete enters the slot in which it came, and stays with the start of its unit', () => {
    const { units } = watch(0);
    const judged = call(1);
    units.feed(FIRST_SLOT + 1, [judged], []);
    const [completed] = units.feed(FIRST_SLOT + 9, [], [scoreOf(judged, 9, 0.5)]);
    expect(completed?.entry).toMatchObject({ startMs: atSlot(1), bins: [['quality', 25]] });
  });

  it('that comes hours later counts once, for the arm of its call', () => {
    const { feedTo } = watch(0);
    const judged = call(1, { version: 'v2' });
    expect(feedTo(500, [judged], [scoreOf(judged, 400, 0), scoreOf(judged, 401, 0), scoreOf(call(1), 402, 0)])).toEqual(['1 errors b error_rate=0', '400 score:quality b quality=50']);
  });

  it('counts again under no name that a restart knows of', () => {
    const { feedTo, prompt, units } = watch(0);
    const judged = call(1, { session_id: 's' });
    prompt.recall({ units: [{ id: 's:s', first: { slot: FIRST_SLOT, span_id: judged.span_id, start_ms: atSlot(0) }, slot: FIRST_SLOT, answered: 'at_first', scored: [{ name: 'quality', span_id: judged.span_id }] }], sessions: [] });
    units.recall([{ id: 's:s', slot: FIRST_SLOT, first: 'a', only: 'a' }]);
    expect(feedTo(9, [], [scoreOf(judged, 3, 0), scoreOf(judged, 4, 1, { name: 'tone' })])).toEqual(['4 score:tone a tone=0']);
  });

  it('of a later call says nothing of a unit that is its first call', () => {
    const { feedTo } = watch(0);
    const [one, two] = [call(1, { session_id: 's' }), call(2, { session_id: 's' })];
    expect(feedTo(60, [one, two], [scoreOf(two, 4, 0), scoreOf(two, 50, 0), scoreOf(one, 51, 1)])).toEqual(['1 errors a error_rate=0', '51 score:quality a quality=0']);
  });

  it('of a unit that has met both arms says nothing, though it was met by one only when the score came to be', () => {
    const { feedTo } = watch(180);
    const [one, other, third] = [call(1, { session_id: 's' }), call(4, { session_id: 's', version: 'v2' }), call(1, { session_id: 'late' })];
    const scores = [scoreOf(one, 3, 1), scoreOf(one, 4, 0, { name: 'tone' }), scoreOf(third, 60, 1), scoreOf(third, 91, 0, { name: 'tone' })];
    // The first score came before the other version was met: its unit is mixed, and so is what it says. The second came after it.
    expect(feedTo(100, [one, other, third, call(90, { session_id: 'late', version: 'v2' })], scores)).toEqual(['7 errors a mixed error_rate=0', '7 score:quality a mixed quality=0', '7 errors a error_rate=0', '60 score:quality a quality=0']);
  });

  it('of a call after its session window counts only when the unit is complete', () => {
    const { feedTo } = watch(180);
    const [one, after] = [call(1, { session_id: 's' }), call(6, { session_id: 's', start_ms: atSlot(1) + 181_000 })];
    expect(feedTo(12, [one, after], [scoreOf(after, 6, 0), scoreOf(after, 9, 0.5), scoreOf(after, 10, 1)])).toEqual(['7 errors a error_rate=0', '9 score:quality a quality=25']);
  });

  it('by the name of a signal does not mix with it', () => {
    const { feedTo } = watch(0);
    const judged = call(1);
    expect(feedTo(9, [judged], [scoreOf(judged, 2, 1, { name: 'error_rate' })])).toEqual(['1 errors a error_rate=0']);
  });
});

describe('a session id on more than 5 % of the last 1,000 calls', () => {
  it('is no session: its calls count by trace', () => {
    const { feedTo, units } = watch(0);
    const others = Array.from({ length: 949 }, (_, n) => call(1, { session_id: `s${n}` }));
    const constant = Array.from({ length: 60 }, () => call(2, { session_id: 'constant' }));
    const counted = feedTo(2, [...others, ...constant]).filter((line) => line.startsWith('2 '));
    // The first 50 of them are one session; with the 51st it stands on more than 5 % of a thousand.
    expect(counted).toHaveLength(1 + 10);
    expect(units.counts().repeated_calls).toBe(49);
  });

  it('is known for what it is from the calls of before', () => {
    const { feedTo, prompt } = watch(0);
    prompt.recall({ units: [], sessions: Array.from({ length: 1000 }, (_, n) => (n % 10 === 0 ? 'constant' : n % 10 === 1 ? null : `s${n}`)) });
    expect(feedTo(2, [call(1, { session_id: 'constant' }), call(1, { session_id: 'constant' }), call(1, { session_id: 'own' }), call(1, { session_id: 'own' })])).toHaveLength(3);
  });

  it('is a session while fewer than 1,000 calls were seen', () => {
    const { feedTo } = watch(0);
    expect(feedTo(2, Array.from({ length: 900 }, () => call(1, { session_id: 'only' })))).toHaveLength(1);
  });
});

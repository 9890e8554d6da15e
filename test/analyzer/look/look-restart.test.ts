import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LookEvent } from '../../../analyzer/look/look.ts';
import { SLOT_MS } from '../../../analyzer/slots.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { Store } from '../../../schemas/store.ts';
import { callsOf, linesOf, scenario, type Call } from '../../simulation/traffic.ts';
import { many, some } from '../../long.ts';
import { seeded } from '../../statistics/traffic.ts';
import { alertsOf, conclusionsOf, forgetLooks } from './look-run.ts';
import { ingest, lookOver, openStore } from '../../simulation/store.ts';

/**
 * A look that is torn down at any slot, or dies between two inserts, comes to the same strata, e-values and alerts as one that
 * was never disturbed. The traffic has what a restart could lose: sessions that span it, sessions that met both arms, a constant for
 * a session id, slow judges, a score name that is first seen later, a ramp, an alert, a rollback and a second epoch, a third
 * version, and a prompt whose versions are all new at once.
 */
const SEED = 41;

let store: Store;
let close: () => Promise<void>;
let beginMs = 0;
let endMs = 0;
let undisturbed: { conclusions: Awaited<ReturnType<typeof conclusionsOf>>; alerts: string[] };

const sorted = (events: readonly LookEvent[]): string[] => alertsOf(events).map((alert) => JSON.stringify(alert)).sort();

beforeAll(async () => {
  ({ store, close } = await openStore());
  const main = scenario({
    minutes: 170,
    callsPerMinute: 30,
    sessions: { meanCalls: 3, gapS: 60, deviation: 0.05 },
    models: { 'gpt-4o-2024-08-06': 0.7, 'claude-sonnet-4-5': 0.3 },
    versions: [[0, { v1: 1 }], [15, { v1: 0.8, v2: 0.2 }], [40, { v1: 0.5, v2: 0.5 }], [80, { v1: 1 }], [125, { v1: 0.6, v2: 0.4 }], [135, { v1: 0.5, v2: 0.2, v3: 0.3 }]],
    changes: [{ version: 'v2', error: 0.15, fromMinute: 25 }],
  });
  const oddly = callsOf(main, SEED).map((call, index): Call => {
    // One call in twelve has the same session id; one in forty is of a session and served by the other version.
    if (index % 12 === 0) return { ...call, session: 'anonymous' };
    const minute = (call.startMs - main.beginMs) / 60_000;
    if (index % 40 === 1 && (minute < 80 || minute > 125)) return { ...call, version: call.version === 'v1' ? 'v2' : 'v1' };
    if (call.score === null) return call;
    const name = minute > 45 && index % 2 === 0 ? 'tone' : 'quality';
    return { ...call, score: { ...call.score, name, atMs: call.score.atMs + (index % 3 === 0 ? 15 * 60_000 : 0) } };
  }).filter((call) => call.version === 'v1' || call.startMs > main.beginMs + 15 * 60_000);
  const atOnce = scenario({ prompt: 'triage', minutes: 40, callsPerMinute: 20, versions: [[0, { a: 0.7, b: 0.2, c: 0.1 }]] });
  const lines = [...linesOf(main, oddly), ...linesOf(atOnce, callsOf(atOnce, SEED))];
  const timeOf = (line: string): number => Number(/"(?:endTimeUnixNano|timeUnixNano)":"(\d+)"/.exec(line)?.[1]);
  lines.sort((left, right) => timeOf(left) - timeOf(right));
  beginMs = main.beginMs;
  endMs = (await ingest(store, lines)) + 20 * 60_000;
  const look = lookOver(store);
  await look.start();
  undisturbed = { alerts: sorted(await look.advance(endMs)), conclusions: await conclusionsOf(store) };
}, 120_000);
afterAll(() => close());

const expectSame = async (events: readonly LookEvent[], message: string): Promise<void> => {
  const { strata, looks, transitions, comparisons } = await conclusionsOf(store);
  // In this order: the first that differs says most.
  expect(strata, message).toEqual(undisturbed.conclusions.strata);
  expect(looks, message).toEqual(undisturbed.conclusions.looks);
  expect(transitions, message).toEqual(undisturbed.conclusions.transitions);
  expect(comparisons, message).toEqual(undisturbed.conclusions.comparisons);
  expect(sorted(events), message).toEqual(undisturbed.alerts);
};

describe('the look, undisturbed', { timeout: 120_000 }, () => {
  it('has everything in it that a restart could lose', () => {
    const { strata, transitions, comparisons } = undisturbed.conclusions;
    console.log(`undisturbed: ${strata.length} strata, ${transitions.length} transitions, ${comparisons.length} comparisons; seed ${SEED}`);
    expect(transitions.map((row) => ('state' in row ? row.state : null))).toEqual(expect.arrayContaining(['open', 'resolved']));
    expect(comparisons.length).toBeGreaterThanOrEqual(5);
    expect(new Set(strata.map((row) => ('metric' in row ? row.metric : null)))).toContain('tone');
  });
});

describe('a restart', { timeout: 120_000 }, () => {
  it.each(some([1, 2, 3], 1))('at random slots changes nothing, nor how many slots are read at a time (seed %i)', async (seed) => {
    await forgetLooks(store);
    const random = seeded(seed);
    const slots = Math.floor((endMs - beginMs) / SLOT_MS);
    const cuts = Array.from({ length: many(8, 3) }, () => Math.floor(random() * slots)).sort((left, right) => left - right);
    const events: LookEvent[] = [];
    for (const cut of [...cuts, slots]) {
      const look = lookOver(store, {}, 31);
      await look.start();
      events.push(...(await look.advance(cut === slots ? endMs : beginMs + cut * SLOT_MS)));
    }
    await expectSame(events, `seed ${seed}, restarts after slots ${cuts.join(', ')}`);
  });

  it('at every slot around an opening, an alert and a second epoch changes nothing', async () => {
    await forgetLooks(store);
    const events: LookEvent[] = [];
    const minutes = [0.5, 1, ...Array.from({ length: 16 }, (_, step) => 14 + step / 2), 50, 60, 70, 105, 110, 112, ...Array.from({ length: 10 }, (_, step) => 124 + step / 2), 136, 137, 145, 150];
    for (const minute of some(minutes, 4)) {
      const look = lookOver(store, {}, 70);
      await look.start();
      events.push(...(await look.advance(beginMs + minute * 60_000)));
    }
    const look = lookOver(store, {}, 70);
    await look.start();
    events.push(...(await look.advance(endMs)));
    await expectSame(events, `restarts at minutes ${minutes.join(', ')}`);
  });
});

/** A store in which the nth insert into a table fails, before or after it took the rows, and no other. */
function failingOnce(table: string, nth: number, when: 'before' | 'after'): Store {
  let seen = 0;
  return {
    ...store,
    async insert(into, rows) {
      if (into === table && rows.length > 0) seen += 1;
      const fails = into === table && rows.length > 0 && seen === nth;
      if (fails && when === 'before') throw new RetryableError(`insert ${nth} into ${table} fails`);
      await store.insert(into, rows);
      if (fails) throw new RetryableError(`insert ${nth} into ${table} fails`);
    },
  };
}

describe('a crash between inserts', { timeout: 120_000 }, () => {
  const cases = (['strata', 'looks', 'alert_transitions', 'comparisons', 'look_progress'] as const).flatMap((table) => [
    { table, nth: 1, when: 'before' as const },
    { table, nth: table === 'alert_transitions' ? 2 : 5, when: 'after' as const },
  ]);
  it.each(some(cases, 2))('$when insert $nth into $table changes nothing', async ({ table, nth, when }) => {
    await forgetLooks(store);
    const dying = lookOver(failingOnce(table, nth, when), {}, 70);
    await dying.start();
    await expect(dying.advance(endMs)).rejects.toThrow(`into ${table} fails`);
    if (when === 'before') {
      // The same look goes on, as the server lets it, and loses no event.
      await expectSame(await dying.advance(endMs), `before insert ${nth} into ${table}`);
    } else {
      // Another process takes over.
      const look = lookOver(store, {}, 70);
      await look.start();
      await look.advance(endMs);
      expect(await conclusionsOf(store)).toEqual(undisturbed.conclusions);
    }
  });
});

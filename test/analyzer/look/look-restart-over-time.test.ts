import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LookEvent } from '../../../analyzer/look/look.ts';
import { SLOT_MS } from '../../../analyzer/slots.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { Store } from '../../../schemas/store.ts';
import { callsOf, linesOf, scenario, together, type Scenario } from '../../simulation/traffic.ts';
import { inLongForm, some } from '../../long.ts';
import { seeded } from '../../statistics/traffic.ts';
import { alertsOf, conclusionsOf, forgetLooks } from './look-run.ts';
import { ingest, lookOver, openStore } from '../../simulation/store.ts';

/**
 * What `look-restart.test.ts` holds for arms that run together, for times that are compared: a ramp that ends at 100 % with sessions across it, a
 * model that moved under its name, an outage of everybody with its page and its end, and a rollback that brings the baseline back.
 */
const SEED = 43;

let store: Store;
let close: () => Promise<void>;
let beginMs = 0;
let endMs = 0;
let undisturbed: { conclusions: Awaited<ReturnType<typeof conclusionsOf>>; alerts: string[] };

const sorted = (events: readonly LookEvent[]): string[] => alertsOf(events).map((alert) => JSON.stringify(alert)).sort();

beforeAll(async () => {
  ({ store, close } = await openStore());
  const outage = { error: 0.5, fromMinute: 110, toMinute: 118 };
  const of = (prompt: string, change: Partial<Scenario>): Scenario => scenario({ prompt, minutes: 200, callsPerMinute: 15, ...change, changes: [...(change.changes ?? []), outage] });
  const recordings = [
    of('refund-agent', { versions: [[0, { v1: 1 }], [60, { v1: 0.7, v2: 0.3 }], [72, { v2: 1 }], [135, { v1: 0.5, v2: 0.5 }]], sessions: { meanCalls: 2, gapS: 60, deviation: 0 }, changes: [{ version: 'v2', quality: 0.74, fromMinute: 70 }] }),
    of('triage', { versions: [[0, { t1: 1 }]], models: [[0, { 'gpt-4o-2024-08-06': 1 }], [65, { 'gpt-4o-2024-11-20': 1 }]], changes: [{ model: 'gpt-4o-2024-11-20', quality: 0.72 }] }),
    of('search', { callsPerMinute: 20 }),
    of('summary', {}),
  ];
  const lines = together(...recordings.map((traffic, index) => linesOf(traffic, callsOf(traffic, SEED + index))));
  beginMs = recordings[0]?.beginMs ?? 0;
  endMs = (await ingest(store, lines)) + 20 * 60_000;
  const look = lookOver(store, {}, 60);
  await look.start();
  undisturbed = { alerts: sorted(await look.advance(endMs)), conclusions: await conclusionsOf(store) };
}, 180_000);
afterAll(() => close());

const expectSame = async (events: readonly LookEvent[] | null, message: string): Promise<void> => {
  const { strata, looks, transitions, comparisons } = await conclusionsOf(store);
  expect(strata, message).toEqual(undisturbed.conclusions.strata);
  expect(looks, message).toEqual(undisturbed.conclusions.looks);
  expect(transitions, message).toEqual(undisturbed.conclusions.transitions);
  expect(comparisons, message).toEqual(undisturbed.conclusions.comparisons);
  if (events !== null) expect(sorted(events), message).toEqual(undisturbed.alerts);
};

/** Torn down at each of these minutes. */
async function interruptedAt(minutes: readonly number[]): Promise<LookEvent[]> {
  await forgetLooks(store);
  const events: LookEvent[] = [];
  for (const untilMs of [...minutes.map((minute) => beginMs + minute * 60_000), endMs]) {
    const look = lookOver(store, {}, 40);
    await look.start();
    events.push(...(await look.advance(untilMs)));
  }
  return events;
}

describe('the look over time, undisturbed', { timeout: 120_000 }, () => {
  it('has everything in it that a restart could lose', () => {
    const { strata, transitions } = undisturbed.conclusions;
    const uses = new Set(strata.map((row) => ('use' in row ? row.use : null)));
    expect(uses).toEqual(new Set(['bet', 'pair', 'control', 'drift']));
    const culprits = new Set(undisturbed.alerts.map((text) => /"culprit":\{"factor":"(\w+)","value":"([^"]+)"/.exec(text)?.slice(1).join(' ')));
    console.log(`over time: ${strata.length} strata, ${transitions.length} transitions: ${[...culprits].join(', ')}; seed ${SEED}`);
    expect(culprits).toEqual(new Set(['prompt_version v2', 'model gpt-4o-2024-11-20', 'model gpt-4o']));
  });
});

describe('a restart', { timeout: 240_000 }, () => {
  it('around takeovers, openings, pages and the end of one changes nothing', async () => {
    const minutes = some([30, 60, 61, 65.5, 66.5, 68, 70, 73, 74.5, 75.5, 90, 110.5, 111.5, 112.5, 120, 136, 138, 150, 178, 181], 3);
    await expectSame(await interruptedAt(minutes), `restarts at minutes ${minutes.join(', ')}`);
  });

  it.for([1, 2])('at random slots changes nothing (seed %i)', async (seed, context) => {
    inLongForm(context);
    const random = seeded(seed);
    const minutes = Array.from({ length: 6 }, () => (Math.floor(random() * (endMs - beginMs)) / SLOT_MS) * (SLOT_MS / 60_000)).sort((left, right) => left - right);
    await expectSame(await interruptedAt(minutes), `seed ${seed}`);
  });

  const crashes = [
    { table: 'strata', nth: 3 },
    { table: 'comparisons', nth: 4 },
    { table: 'alert_transitions', nth: 2 },
    { table: 'look_progress', nth: 3 },
  ];
  it.each(some(crashes, 1))('after a crash behind insert $nth into $table changes nothing', async ({ table, nth }) => {
    await forgetLooks(store);
    let seen = 0;
    const dying = lookOver(
      {
        ...store,
        async insert(into, rows) {
          await store.insert(into, rows);
          if (into === table && rows.length > 0 && (seen += 1) === nth) throw new RetryableError(`insert ${nth} into ${table} fails`);
        },
      },
      {},
      40,
    );
    await dying.start();
    await expect(dying.advance(endMs)).rejects.toThrow(`into ${table} fails`);
    const look = lookOver(store, {}, 40);
    await look.start();
    await look.advance(endMs);
    await expectSame(null, `after insert ${nth} into ${table}`);
  });
});

import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { Comparison, type ComparisonIdentity } from '../../../analyzer/look/comparison.ts';
import { loadEvidence } from '../../../analyzer/look/look-store.ts';
import type { LookEvent } from '../../../analyzer/look/look.ts';
import { verify } from '../../../analyzer/statistics/verify.ts';
import type { Alert } from '../../../schemas/alert.ts';
import type { Store } from '../../../schemas/store.ts';
import { openStore } from '../../simulation/store.ts';

/** What tests of the look share: a store that each finds empty, and what the look has concluded in it. */

/** A store for the tests of one file, each of which finds it empty. */
export function lookStore(): { readonly store: Store } {
  let opened: Awaited<ReturnType<typeof openStore>> | null = null;
  const here = {
    get store(): Store {
      if (opened === null) throw new Error('the store is there within tests only');
      return opened.store;
    },
  };
  beforeAll(async () => {
    opened = await openStore();
  });
  afterEach(async () => {
    await forgetLooks(here.store);
    for (const table of INGEST_TABLES) await here.store.command(`TRUNCATE TABLE ${table}`);
  });
  afterAll(() => opened?.close());
  return here;
}

/** Each alert that opened is what its stored strata come to. */
export async function expectVerified(store: Store, events: readonly LookEvent[]): Promise<void> {
  for (const event of events) {
    if (event.kind !== 'alert' || event.alert.state !== 'open') continue;
    const recomputed = verify(await loadEvidence(store, event.comparison_id, event.slot));
    expect(recomputed.agrees, `${event.alert.summary}: recomputed ${recomputed.e_value} of ${event.alert.evidence.e_value}`).toBe(true);
    expect(recomputed.e_value).toBeCloseTo(event.alert.evidence.e_value, 6);
  }
}

/** Forgets what was looked at, not what was ingested. */
export async function forgetLooks(store: Store): Promise<void> {
  for (const table of LOOK_TABLES) await store.command(`TRUNCATE TABLE ${table}`);
}

const LOOK_TABLES = ['strata', 'looks', 'comparisons', 'alert_transitions', 'set_aside', 'look_progress'] as const;
const INGEST_TABLES = ['calls', 'relatives', 'scores', 'ledger', 'recounts', 'versions'] as const;

export function alertsOf(events: readonly LookEvent[]): Alert[] {
  return events.flatMap((event) => (event.kind === 'alert' ? [event.alert] : []));
}

/** All that the look has concluded, in one order, and open comparisons as they are after the last slot. JSON is parsed: a restart may write its keys in another order. */
export async function conclusionsOf(store: Store): Promise<Record<'strata' | 'looks' | 'transitions' | 'comparisons', object[]>> {
  const [{ reached } = { reached: 0 }] = await store.select<{ reached: number }>('SELECT max(slot) AS reached FROM look_progress');
  const rows = await store.select<ComparisonIdentity & { state: string; reason: string; settings: string; snapshot: string }>(
    'SELECT comparison_id, project, environment, prompt_name, factor, baseline, candidate, epoch, state, reason, settings, snapshot FROM comparisons FINAL ORDER BY comparison_id',
  );
  return {
    strata: await store.select('SELECT * FROM strata FINAL ORDER BY comparison_id, slot, metric, begin_slot, start_window_ms, model, operation, route'),
    looks: await store.select('SELECT * FROM looks FINAL ORDER BY comparison_id, slot'),
    transitions: await store.select('SELECT * FROM alert_transitions FINAL ORDER BY alert_id, sequence'),
    comparisons: rows.map(({ settings: frozen, snapshot, state, reason, ...identity }) => {
      const settings = JSON.parse(frozen);
      const kept = JSON.parse(snapshot);
      // One that is idle is not filed in every slot.
      if (identity.prompt_name === '' || state !== 'open') return { ...identity, state, reason, settings, snapshot: kept };
      const comparison = new Comparison(identity, { settings, schedule: [], policy: () => expect.unreachable('nothing is learnt while nothing comes') }, kept);
      comparison.rest(reached);
      return { ...identity, state, reason, settings: comparison.settings(), snapshot: JSON.parse(JSON.stringify(comparison.snapshot())) };
    }),
  };
}

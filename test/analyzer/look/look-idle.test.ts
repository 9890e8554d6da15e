import { expect, it } from 'vitest';
import { SLOT_MS } from '../../../analyzer/slots.ts';
import type { Store } from '../../../schemas/store.ts';
import { ingest, lookOver } from '../../simulation/store.ts';
import { callsOf, linesOf, scenario } from '../../simulation/traffic.ts';
import { conclusionsOf, forgetLooks, lookStore } from './look-run.ts';

/**
 * A comparison is filed where something of it changed. In a silence only time passes: nothing is written of it, and who takes it up within the silence, or after it, comes to the
 * same as who never stopped.
 */
const SEED = 7;
const SILENT_FROM = 24;
const SILENT_TO = 50;
const MINUTES = 58;
/** Slots that are looked at, and filed, together. */
const AT_ONCE = 10;
/** After the last call, units wait for their session, and windows for their end. */
const SETTLED = SILENT_FROM + 14;

const here = lookStore();

it('an idle comparison is not written down, and is taken up from before the silence as it would have been', { timeout: 120_000 }, async () => {
  const traffic = scenario({ minutes: MINUTES, callsPerMinute: 8, versions: [[0, { v1: 1 }], [12, { v1: 0.6, v2: 0.4 }]], sessions: { meanCalls: 2, gapS: 40, deviation: 0.05 }, models: { 'gpt-4o-2024-08-06': 0.7, 'claude-sonnet-4-5': 0.3 } });
  const minuteOf = (ms: number): number => (ms - traffic.beginMs) / 60_000;
  const calls = callsOf(traffic, SEED).filter(({ startMs }) => minuteOf(startMs) < SILENT_FROM || minuteOf(startMs) > SILENT_TO);
  await ingest(here.store, linesOf(traffic, calls));
  const atMinute = (minute: number): number => traffic.beginMs + minute * 60_000;

  const filed: { minute: number; bytes: number }[] = [];
  const counting: Store = {
    ...here.store,
    async insert(table, rows) {
      await here.store.insert(table, rows);
      if (table === 'comparisons') for (const row of rows) if ('prompt_name' in row && row.prompt_name !== '' && 'slot' in row) filed.push({ minute: minuteOf((Number(row.slot) + 1) * SLOT_MS), bytes: JSON.stringify(row).length });
    },
  };
  const undisturbed = lookOver(counting, {}, AT_ONCE);
  await undisturbed.start();
  await undisturbed.advance(atMinute(MINUTES));
  const expected = await conclusionsOf(here.store);
  expect(expected.comparisons.filter((row) => 'prompt_name' in row && row.prompt_name !== '')).toHaveLength(1);
  const within = (from: number, to: number) => filed.filter(({ minute }) => minute > from && minute <= to);
  console.log(`filed in the ten minutes before the silence ${within(SILENT_FROM - 10, SILENT_FROM).length} times, in it ${within(SETTLED, SILENT_TO).length} times; ${filed.at(-1)?.bytes} bytes each; seed ${SEED}`);
  expect(within(SILENT_FROM - 10, SILENT_FROM).length).toBeGreaterThan(1);
  expect(within(SETTLED, SILENT_TO)).toEqual([]);
  expect(within(SILENT_TO, MINUTES).length).toBeGreaterThan(0);

  await forgetLooks(here.store);
  // A new process files once; what is taken up by the next two is of long before.
  const minutes = [SETTLED - 3, SILENT_TO - 1, SILENT_TO + 1];
  for (const minute of [...minutes, MINUTES]) {
    const look = lookOver(here.store, {}, 12);
    await look.start();
    await look.advance(atMinute(minute));
  }
  expect(await conclusionsOf(here.store), `restarts at minutes ${minutes.join(', ')}`).toEqual(expected);
});

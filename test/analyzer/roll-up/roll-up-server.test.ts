import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRollUp, DEFAULT_ROLL_UP } from '../../../analyzer/roll-up/roll-up.ts';
import { readHours } from '../../../api/hours.ts';
import { measureCalls, measureScores, type Selection } from '../../../api/metrics.ts';
import { endlessRetention, migrate, MIGRATIONS } from '../../../deploy/migrate.ts';
import { openServerStore, type ServerStore } from '../../../deploy/store-server.ts';
import { callMetrics } from '../../../schemas/call-metrics.ts';
import { ClickHouseSettings } from '../../../schemas/clickhouse-settings.ts';
import { callRow, scoreRow } from '../../api/rows.ts';
import { startFront, type Front } from '../../clickhouse/front.ts';

/** Hours are rolled up and read over HTTP, too: statements and their parameters are long. */
let front: Front;
let store: ServerStore;
beforeAll(async () => {
  front = await startFront();
  store = openServerStore(ClickHouseSettings.parse({ url: front.url }));
  await migrate(store, { directory: MIGRATIONS, cluster: null, retention: endlessRetention });
}, 60_000);
afterAll(async () => {
  await store.close();
  await front.remove();
});

it('over a server', { timeout: 60_000 }, async () => {
  const HOUR_MS = 3_600_000;
  const fromMs = Date.parse('2026-06-01T00:00:00Z');
  const toMs = fromMs + 720 * HOUR_MS;
  const calls = [0, 5, 719].map((hour) => callRow({ at_ms: fromMs + hour * HOUR_MS, id: `call ${hour}`, duration_ms: 1000 }));
  await store.insert('calls', calls);
  await store.insert('scores', calls.map((call) => scoreRow(call, { name: 'quality', value: 0.5 })));
  const rollUp = createRollUp({ store, clock: () => toMs + HOUR_MS, random: () => 0.5 }, { ...DEFAULT_ROLL_UP, rowsDays: null, cellsDays: null, turnMs: 60_000, hoursPerTurn: 10_000 });
  // Of calls, and of scores; and the hour that is not over is none.
  expect(await rollUp.tick()).toBe(2 * 720);
  const hours = await readHours(store, { from_s: fromMs / 1000, to_s: toMs / 1000 - 1 });
  expect(hours).toMatchObject({ calls: { rows: null }, scores: { rows: null }, told: { hours: 720, from_ms: fromMs, to_ms: toMs } });
  const selection: Selection = { key: "coalesce(prompt_version, '')", where: 'project = {project:String} AND prompt_name = {prompt:String}', parameters: { project: 'default', prompt: 'refund-agent' }, limit: 10, hours };
  const [measured] = await measureCalls(store, callMetrics, selection);
  expect(measured).toMatchObject({ key: 'v1', calls: 3 });
  expect(measured?.metrics.find(({ name }) => name === 'latency')).toMatchObject({ n: 3, value: expect.closeTo(1000, 3) });
  expect((await measureScores(store, selection))[0]).toMatchObject({ key: 'v1', calls: 3 });
});

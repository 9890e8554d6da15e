import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { runParked } from '../../deploy/commands/parked.ts';
import { defaultRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { createStoreParking } from '../../deploy/parking-store.ts';
import { startServer } from '../../deploy/server.ts';
import { openEmbeddedStore, type EmbeddedStore } from '../../deploy/store-embedded.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import { RetryableError } from '../../schemas/errors.ts';
import { jsonOf } from '../analyzer/ingest/ingesting.ts';
import { message } from '../contracts/log.ts';
import { allCalls, ledgerOf, post, tracesBody } from './server-process.ts';

/** Messages that the store refuses for good: a constraint on the real table stands for whatever makes rows not fit. */

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'culprit-parking-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function onStore(name: string, work: (store: EmbeddedStore) => Promise<void>): Promise<void> {
  const store = await openEmbeddedStore({ directory: join(directory, name) });
  await migrate(store, { directory: MIGRATIONS, cluster: null, retention: defaultRetention });
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

const spans = (count: number, version: string) => Array.from({ length: count }, () => ({ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex'), version }));
type Listed = { parked: { id: string; state: string; records: number; is_whole: boolean; reason: string }[] };

it('a request that cannot be stored is refused as OTLP says, counted, shown, told of, and taken again once the fault is mended', { timeout: 90_000 }, async () => {
  await onStore('store', (store) => store.command(`ALTER TABLE calls ADD CONSTRAINT no_poison CHECK ifNull(prompt_version, '') != 'poison'`));
  const config: Config = { ...ConfigFile.parse({ data: directory, port: 0, grpc_port: 0, content: 'stored' }), webhooks: [], sinks: [], registries: [] };
  const warn = (text: string, error?: unknown): void => expect.fail(`${text}: ${String(error)}`);
  const start = () => startServer(config, { clock: Date.now, random: Math.random, warn });
  const said = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const parked = (url: string, flags: Record<string, true> = {}) => runParked({ config, positionals: [], flags: { '--server': url, ...flags }, environment: {} });

  let server = await start();
  const poison = tracesBody(spans(3, 'poison'), Date.now());
  const good = spans(4, 'v1');
  // Together: they may come in one batch.
  const [answer, other] = await Promise.all([post(server.url, poison), post(server.url, tracesBody(good, Date.now()))]);
  expect(other.status).toBe(200);
  expect(await other.json()).toEqual({});
  // Senders must not send again what was refused in a partial success.
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ partialSuccess: { rejectedSpans: '3', errorMessage: expect.stringMatching(/it cannot be stored and was parked as prk_[0-9a-f]{20}/) } });
  expect((await allCalls(server.url)).length).toBe(4);
  expect(await ledgerOf(server.url)).toMatchObject({ balanced: true, stored: 4, parked: { messages: 1, records: 3 }, by_outcome: { rejected: [{ signal: 'traces', reason: 'unstorable', count: 3 }] } });
  const listed = await jsonOf<Listed>(await fetch(`${server.url}/v1/parked`));
  expect(listed.parked).toMatchObject([{ state: 'parked', records: 3, is_whole: true, reason: expect.stringContaining('no_poison') }]);

  // It looks at itself every ten seconds.
  await vi.waitFor(async () => expect(await (await fetch(`${server.url}/v1/alerts?state=open`)).json()).toMatchObject({ alerts: [{ metric: 'parked', culprit: { factor: 'pipeline' } }] }), { timeout: 30_000, interval: 200 });

  // Sent again all the same, it is the same message. As long as it does not fit, a replay says so.
  await post(server.url, poison);
  expect((await jsonOf<Listed>(await fetch(`${server.url}/v1/parked`))).parked).toHaveLength(1);
  expect(await parked(server.url)).toBe(0);
  expect(said.mock.calls.flat().join('\n')).toMatch(/^prk_[0-9a-f]{20} {2}.* traces, 3 records, .*no_poison.*\n1 parked/s);
  expect(await parked(server.url, { '--replay': true })).toBe(1);
  await server.close();

  await onStore('store', (store) => store.command('ALTER TABLE calls DROP CONSTRAINT no_poison'));
  server = await start();
  expect(await parked(server.url, { '--replay': true })).toBe(0);
  expect((await allCalls(server.url)).length).toBe(7);
  expect(await ledgerOf(server.url)).toMatchObject({ balanced: true, stored: 7, parked: { messages: 0 } });
  const id = listed.parked[0]?.id ?? '';
  expect((await fetch(`${server.url}/v1/parked/${id}/replay`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).status).toBe(409);
  await server.close();
  said.mockRestore();
});

it('keeps no body past its limits, and says so; where nothing can be written the message is refused for now', async () => {
  await onStore('lot', async (store) => {
    const parking = createStoreParking({ store, clock: Date.now }, { maxBodyBytes: 100, maxTotalBytes: 150 });
    for (const bytes of [101, 90, 80]) await parking.park(message({ received_ms: Date.now(), body: Buffer.alloc(bytes, bytes) }), { records: 1, reason: 'unlucky' });
    expect(await store.select('SELECT bytes, length(body) > 0 AS is_kept FROM parked FINAL ORDER BY bytes')).toEqual([{ bytes: 80, is_kept: 0 }, { bytes: 90, is_kept: 1 }, { bytes: 101, is_kept: 0 }]);
    await store.command('RENAME TABLE parked TO elsewhere');
    await expect(parking.park(message(), { records: 1, reason: 'unlucky' })).rejects.toBeInstanceOf(RetryableError);
  });
});

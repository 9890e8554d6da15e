/**
 * A server with some data, for a fuzzing run over its OpenAPI document (BENCHMARKS.md has the command):
 * `node --import tsx test/fuzz/serve.ts` prints its address and an admin key as JSON, and serves until it is told to stop (SIGTERM, Ctrl-C).
 * It says at the end what it had to warn of, and fails where it answered anything with 500.
 */
import { slotOf } from '../../analyzer/slots.ts';
import { randomFrom, seedRollout } from '../api/traffic.ts';
import { configuredKey, startGuarded } from '../deploy/guarded.ts';

const admin = configuredKey('default', ['admin']);
const nowMs = Date.now();
const server = await startGuarded({ access: { keys: [admin.entry] } }, async (store) => {
  await store.insert('look_progress', [{ owner: 'embedded', slot: slotOf(nowMs) }]);
  const { calls } = await seedRollout(
    store,
    { prompt: 'refund-agent', baseline: { version: 'v1', share: 0.5, errorRate: 0.01, medianMs: 900, quality: 0.86 }, candidate: { version: 'v2', share: 0.5, errorRate: 0.2, medianMs: 880, quality: 0.85 }, beganMs: nowMs - 50 * 60_000, callsPerMinute: 40, raisesAlert: true },
    { fromMs: nowMs - 60 * 60_000, toMs: nowMs },
    randomFrom(5),
  );
  await store.insert('version_events', [{ project: 'default', prompt_name: 'refund-agent', version: 'v2', event_id: 'ver_1', at_ms: nowMs, kind: 'registered', source: 'git', actor: 'mira', label: '', facts: JSON.stringify({ author: 'mira', commit: '4f2a91c7d05e' }) }]);
  await store.insert('ledger', [{ project: 'default', hour: String(Math.floor(nowMs / 3_600_000) * 3600), signal: 'traces', outcome: 'stored', reason: '', count: calls.length, last_batch: 1 }]);
});
console.log(JSON.stringify({ url: server.url, key: admin.secret }));
await new Promise((resolve) => {
  process.once('SIGTERM', resolve);
  process.once('SIGINT', resolve);
});
await server.close();

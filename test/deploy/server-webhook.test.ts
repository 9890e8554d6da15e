import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, it, vi } from 'vitest';
import { defaultRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { startServer } from '../../deploy/server.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { transitionIdOf } from '../../schemas/alert.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import { alertAt } from '../api/sinks/alert.ts';
import { receiver } from '../api/sinks/receiver.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU';

it('tells a webhook of what a person does to an alert, signed, once for each transition, also when it first refuses', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-webhook-'));
  const hook = await receiver((response, count) => response.writeHead(count === 1 ? 500 : 204).end());
  try {
    // An alert that an earlier process raised and delivered long ago.
    const raisedMs = Date.now() - 3_600_000;
    const alert = alertAt('alr_1', 'open', raisedMs);
    const store = await openEmbeddedStore({ directory: join(directory, 'store') });
    await migrate(store, { directory: MIGRATIONS, cluster: null, retention: defaultRetention });
    await store.insert('alert_transitions', [
      { transition_id: transitionIdOf(alert.id, 1), alert_id: alert.id, sequence: 1, project: 'default', comparison_id: 'cmp_1', state: 'open', at_ms: raisedMs, reason: '', body: JSON.stringify(alert) },
    ]);
    await store.close();

    const config: Config = {
      ...ConfigFile.parse({ data: directory, port: 0, allow_private_addresses: true }),
      webhooks: [{ name: 'on-call', url: hook.url, secret: SECRET, events: ['alert.open', 'alert.acknowledged', 'alert.resolved'], timeout_s: 5 }],
      registries: [],
    };
    const warnings: string[] = [];
    const server = await startServer(config, { clock: Date.now, random: Math.random, warn: (message) => warnings.push(message) });
    try {
      const answer = await fetch(`${server.url}/v1/alerts/${alert.id}/acknowledge`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ reason: 'looking at it', by: 'mira' }) });
      expect(answer.status).toBe(200);
      // The second attempt comes after five to six seconds (Standard Webhooks).
      await vi.waitUntil(() => hook.received.length === 2, { timeout: 20_000, interval: 50 });
      const ids = hook.received.map(({ headers }) => headers['webhook-id']);
      expect(new Set(ids)).toEqual(new Set([transitionIdOf(alert.id, 2)]));
      for (const { body, headers } of hook.received) {
        const message = new Webhook(SECRET).verify(body, headers as Record<string, string>); // single-valued here: the signature covers them
        expect(message).toMatchObject({ type: 'alert.acknowledged', data: { id: alert.id, state: 'acknowledged', culprit: { value: 'v2' } } });
      }
      expect(warnings).toEqual([]);
    } finally {
      await server.close();
    }
  } finally {
    await hook.close();
    await rm(directory, { recursive: true, force: true });
  }
});

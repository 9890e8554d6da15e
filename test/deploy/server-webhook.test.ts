import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, it, vi } from 'vitest';
import { defaultRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { startServer } from '../../deploy/server.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { transitionRow } from '../../schemas/alert.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import { alertAt } from '../api/sinks/alert.ts';
import { receiver } from '../api/sinks/receiver.ts';
import { post, tracesBody } from './server-process.ts';

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
    await store.insert('alert_transitions', [transitionRow(alert, { comparison_id: 'cmp_1', sequence: 1, at_ms: raisedMs, reason: '' })]);
    await store.close();

    const config: Config = {
      ...ConfigFile.parse({ data: directory, port: 0, allow_private_addresses: true }),
      sinks: [],
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
      expect(new Set(ids).size).toBe(1);
      expect(ids[0]).toMatch(/^trn_[0-9a-f]{20}$/);
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

it('tells a webhook of its own faults: a sender whose version is an id of the request', { timeout: 60_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-webhook-'));
  const hook = await receiver((response) => response.writeHead(204).end());
  const config: Config = {
    ...ConfigFile.parse({ data: directory, port: 0, allow_private_addresses: true }),
    webhooks: [{ name: 'on-call', url: hook.url, secret: SECRET, events: ['alert.open'], timeout_s: 5 }],
    registries: [],
    sinks: [],
  };
  const server = await startServer(config, { clock: Date.now, random: Math.random, warn: (message, error) => expect.fail(`${message}: ${String(error)}`) });
  try {
    const spans = Array.from({ length: 1_100 }, (_, index) => ({ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex'), version: `req-${index}` }));
    expect((await post(server.url, tracesBody(spans, Date.now()))).status).toBe(200);
    // It looks at itself every ten seconds.
    await vi.waitUntil(() => hook.received.length === 1, { timeout: 30_000, interval: 50 });
    expect(JSON.parse(hook.received[0]?.body ?? '')).toMatchObject({
      type: 'alert.open',
      data: { severity: 'ticket', prompt: 'refund', culprit: { factor: 'pipeline', value: 'cardinality' }, summary: expect.stringMatching(/^refund has more than 1,000 versions in a day \(req-\d+, /) },
    });
    expect(await (await fetch(`${server.url}/v1/alerts?state=open`)).json()).toMatchObject({ alerts: [{ metric: 'cardinality' }] });
  } finally {
    await server.close();
    await hook.close();
    await rm(directory, { recursive: true, force: true });
  }
});

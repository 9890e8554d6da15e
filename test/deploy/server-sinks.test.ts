import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { defaultRetention, migrate, MIGRATIONS } from '../../deploy/migrate.ts';
import { startServer } from '../../deploy/server.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { ConfigFile, type Config } from '../../schemas/config.ts';
import { alertAt } from '../api/sinks/alert.ts';
import { receiver } from '../api/sinks/receiver.ts';

/** The whole server: routes, a silence, an acknowledgement, and the chart, seen from outside. */
it('pages by its routes, holds its tongue while silenced, and tells how it ended', { timeout: 120_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-sinks-'));
  const [pager, slack] = [await receiver((response) => response.writeHead(202).end()), await receiver((response) => response.writeHead(200).end('ok'))];
  try {
    const raisedMs = Date.now() - 5_000;
    const store = await openEmbeddedStore({ directory: join(directory, 'store') });
    await migrate(store, { directory: MIGRATIONS, cluster: null, retention: defaultRetention });
    const row = (id: string, environment: string) => ({
      transition_id: `${id}-1`, said: `${id}-1`, alert_id: id, sequence: 1, project: 'default', comparison_id: 'cmp_1', state: 'open', at_ms: raisedMs, reason: '', body: JSON.stringify({ ...alertAt(id, 'open', raisedMs), environment }),
    });
    const until = Date.now() + 3_600_000;
    await store.insert('silences', [{ silence_id: 'sil_1', revision: 1, project: 'default', matchers: ['environment=staging'], starts_ms: raisedMs, ends_ms: until, at_ms: raisedMs, who: 'mira', reason: 'load test' }]);
    await store.insert('alert_transitions', [row('alr_1', 'production'), row('alr_2', 'staging')]);
    await store.close();

    const file = ConfigFile.parse({ data: directory, port: 0, allow_private_addresses: true, routes: [] });
    const config: Config = {
      ...file, webhooks: [], registries: [],
      sinks: [
        { kind: 'pagerduty', name: 'on-call', url: new URL(pager.url).origin, routing_key: 'k'.repeat(32), events: ['alert.open', 'alert.updated', 'alert.acknowledged', 'alert.resolved'], per_minute: 100, timeout_s: 5 },
        { kind: 'slack', name: 'team', url: slack.url, events: ['alert.open', 'alert.resolved'], per_minute: 30, timeout_s: 5 },
      ],
      routes: [{ match: ['severity=page', 'environment=production'], sinks: ['on-call'], continue: true, group_by: [], escalate: [] }, { match: [], sinks: ['team'], continue: false, group_by: [], escalate: [] }],
    };
    const warnings: string[] = [];
    const server = await startServer(config, { clock: Date.now, random: Math.random, warn: (message) => warnings.push(message) });
    const post = async (path: string, body: object): Promise<number> => (await fetch(`${server.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).status;
    const paged = (): string[] => pager.received.map(({ body }) => JSON.parse(body)).map(({ event_action, dedup_key }) => `${event_action} ${dedup_key}`);
    try {
      await vi.waitUntil(() => pager.received.length === 1 && slack.received.length === 1, { timeout: 20_000, interval: 50 });
      expect(await post('/v1/alerts/alr_1/acknowledge', { by: 'mira', reason: 'looking' })).toBe(200);
      expect(await post('/v1/silences/sil_1/end', { by: 'mira', reason: 'over' })).toBe(200);
      // What is due at the same time goes to Slack together; here each is to come by itself.
      await vi.waitUntil(() => pager.received.length === 2 && slack.received.length === 2, { timeout: 20_000, interval: 50 });
      expect(await post('/v1/alerts/alr_1/resolve', { by: 'mira', reason: 'rolled back to v1' })).toBe(200);
      await vi.waitUntil(() => pager.received.length === 3 && slack.received.length === 3, { timeout: 20_000, interval: 50 });
      expect(paged()).toEqual(['trigger alr_1', 'acknowledge alr_1', 'resolve alr_1']);
      expect(slack.received.map(({ body }) => String(JSON.parse(body).text).slice(0, 8)).toSorted()).toEqual(['Resolved', 'refund-a', 'refund-a']);
      expect(slack.received.some(({ body }) => body.includes('mira: rolled back to v1'))).toBe(true);

      // What was delivered is recorded within a second of it.
      const get = async (path: string): Promise<unknown> => (await fetch(`${server.url}${path}`)).json();
      const soon = { timeout: 10_000, interval: 50 };
      await vi.waitFor(async () => expect(await get('/v1/sinks')).toMatchObject({ sinks: [{ name: 'on-call', kind: 'pagerduty', state: 'open', waiting: 0, last_problem: null }, { name: 'team', kind: 'slack' }] }), soon);
      const overview = await get('/v1/sinks');
      expect(JSON.stringify(overview)).not.toMatch(/kkkk|127\.0\.0\.1/);
      await vi.waitFor(async () => expect(await get('/v1/alerts/alr_1')).toMatchObject({ transitions: [{ event: 'open', by: '' }, { event: 'acknowledged', by: 'mira', reason: 'looking' }, { event: 'resolved', by: 'mira', reason: 'rolled back to v1' }], told: [{ sink: 'on-call', sequence: 3, outcome: 'delivered' }, { sink: 'team', sequence: 3, outcome: 'delivered' }] }), soon);
      const chart = await fetch(`${server.url}/v1/alerts/alr_1/chart.png`);
      expect([chart.status, chart.headers.get('content-type')]).toEqual([200, 'image/png']);
      expect(warnings).toEqual([]);
    } finally {
      await server.close();
    }
  } finally {
    await pager.close();
    await slack.close();
    await rm(directory, { recursive: true, force: true });
  }
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook as Verifier } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDelivery, type Delivery } from '../../api/deliver.ts';
import { createSinks, type Sink } from '../../api/sinks/index.ts';
import { createRouting } from '../../api/routing.ts';
import { createSilences } from '../../api/silences.ts';
import { createPost, type Post } from '../../api/sinks/post.ts';
import { endlessRetention, migrate } from '../../deploy/migrate.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import type { Alert } from '../../schemas/alert.ts';
import { RetryableError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import { hook, secret } from './delivering.ts';
import { alertAt } from './sinks/alert.ts';
import { receiver as listen, type Answer, type Received } from './sinks/receiver.ts';

const directory = mkdtempSync(join(tmpdir(), 'culprit-deliver-'));

let store: Store;
let nowMs = 0;
let tasks: { dueMs: number; task: () => void }[] = [];
let warnings: string[] = [];
const cleanups: (() => Promise<void>)[] = [];

beforeAll(async () => {
  store = await openEmbeddedStore({ directory });
  await migrate(store, { directory: 'schemas/clickhouse', cluster: null, retention: endlessRetention });
});
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  // The verifier compares with the wall clock; all other time is this variable.
  nowMs = Date.now();
  tasks = [];
  warnings = [];
  await store.command('TRUNCATE TABLE alert_transitions');
  await store.command('TRUNCATE TABLE deliveries');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function receiver(answer?: Answer) {
  const listening = await listen(answer);
  cleanups.push(listening.close);
  return listening;
}

function webhook(name: string, url: string, more: Parameters<typeof hook>[2] = {}): Sink {
  const [sink] = createSinks({ webhooks: [hook(name, url, { timeout_s: 15, ...more })] });
  if (sink === undefined) throw new Error('no sink');
  return sink;
}

const clock = () => nowMs;
const openPost = createPost({ clock }, { allowPrivateAddresses: true });

function deliveryTo(sinks: Sink[], more: { store?: Store; waitingDeliveries?: number; post?: Post } = {}): Delivery {
  const schedule = (delayMs: number, task: () => void) => {
    const entry = { dueMs: nowMs + delayMs, task };
    tasks.push(entry);
    return () => void (tasks = tasks.filter((other) => other !== entry));
  };
  const delivery = createDelivery(
    { routing: createRouting([]), silences: createSilences({ store: more.store ?? store, clock }, async () => undefined).active, complete: async (alert) => alert, picture: async () => null, store: more.store ?? store, clock, random: () => 0.5, schedule, sinks, post: more.post ?? openPost, warn: (message) => warnings.push(message) },
    { waitingDeliveries: more.waitingDeliveries ?? 100 },
  );
  cleanups.push(() => delivery.close());
  return delivery;
}

/** Lets the time pass, and everything happen that becomes due in it. */
async function pass(durationMs: number, delivery: Delivery): Promise<void> {
  const endMs = nowMs + durationMs;
  for (;;) {
    await delivery.settled();
    const [first] = tasks.filter(({ dueMs }) => dueMs <= endMs).sort((x, y) => x.dueMs - y.dueMs);
    if (first === undefined) break;
    tasks = tasks.filter((task) => task !== first);
    nowMs = Math.max(nowMs, first.dueMs);
    first.task();
  }
  nowMs = endMs;
}

async function raise(alertId: string, sequence = 1, state: Alert['state'] = 'open', more: { reason?: string; who?: string; event?: string; body?: string } = {}): Promise<{ transition_id: string }> {
  const transition = { transition_id: `${alertId}-${sequence}`, alert_id: alertId, sequence, at_ms: nowMs, body: JSON.stringify(alertAt(alertId, state, nowMs)), reason: '', ...more };
  await store.insert('alert_transitions', [{ ...transition, state, project: 'default', comparison_id: 'c' }]);
  return transition;
}

async function told(delivery: Delivery, alertId?: string): Promise<void> {
  if (alertId !== undefined) await raise(alertId);
  delivery.wake();
  await delivery.settled();
}

async function journal(sink: string) {
  return store.select<{ transition_id: string; attempt: number; outcome: string; detail: string }>(
    `SELECT transition_id, attempt, outcome, detail FROM deliveries FINAL WHERE sink = {sink:String} AND transition_id != '' ORDER BY at_ms, transition_id, attempt`,
    { sink },
  );
}

const ids = (received: readonly Received[]) => received.map(({ headers }) => String(headers['webhook-id']));

describe('delivery', () => {
  it('tells a sink of each transition once, signed so that the standard verifier takes it', async () => {
    const { url, received } = await receiver();
    const delivery = deliveryTo([webhook('ops', url)]);
    delivery.wake();
    await told(delivery, 'a');
    await raise('a', 2, 'resolved');
    await told(delivery);

    expect(ids(received)).toEqual(['a-1', 'a-2']);
    const [first] = received;
    if (first === undefined) throw new Error('nothing received');
    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = first.headers;
    const verified = new Verifier(secret).verify(first.body, { 'webhook-id': String(id), 'webhook-timestamp': String(timestamp), 'webhook-signature': String(signature) });
    expect(verified).toEqual({ type: 'alert.open', timestamp: new Date(nowMs).toISOString(), data: alertAt('a', 'open', nowMs) });
    expect(() => new Verifier(secret).verify(`${first.body} `, { 'webhook-id': String(id), 'webhook-timestamp': String(timestamp), 'webhook-signature': String(signature) })).toThrow('No matching signature');
    expect(await journal('ops')).toEqual([
      { transition_id: 'a-1', attempt: 1, outcome: 'delivered', detail: 'HTTP 204' },
      { transition_id: 'a-2', attempt: 1, outcome: 'delivered', detail: 'HTTP 204' },
    ]);
    expect(delivery.status()).toEqual([{ sink: 'ops', state: 'open', waiting: 0, last_problem: null }]);
  });

  it('does not send again what is offered again', async () => {
    const { url, received } = await receiver();
    const delivery = deliveryTo([webhook('ops', url)]);
    await raise('a');
    for (let time = 0; time < 3; time += 1) {
      delivery.wake();
      await pass(60_000, delivery);
    }
    expect(ids(received)).toEqual(['a-1']);
  });

  it('tries again after 5 seconds with the same id and body, and a fresh signature', async () => {
    const { url, received } = await receiver((response, count) => response.writeHead(count === 1 ? 500 : 200).end());
    const delivery = deliveryTo([webhook('ops', url)]);
    await raise('a');
    delivery.wake();
    await pass(4_999, delivery);
    expect(received).toHaveLength(1);
    await pass(1_001, delivery);
    expect(ids(received)).toEqual(['a-1', 'a-1']);
    expect(received[1]?.body).toBe(received[0]?.body);
    expect(Number(received[1]?.headers['webhook-timestamp'])).toBeGreaterThan(Number(received[0]?.headers['webhook-timestamp']));
    expect((await journal('ops')).map(({ attempt, outcome, detail }) => [attempt, outcome, detail])).toEqual([[1, 'retry', 'HTTP 500'], [2, 'delivered', 'HTTP 200']]);
  });

  it('gives up after ten attempts over three days, and says so', async () => {
    const { url, received } = await receiver((response) => response.writeHead(500).end());
    const delivery = deliveryTo([webhook('ops', url)]);
    const startMs = nowMs;
    await raise('a');
    delivery.wake();
    await pass(5 * 24 * 3_600_000, delivery);
    const sentAtS = received.map(({ headers }) => Number(headers['webhook-timestamp']) - Math.floor(startMs / 1000));
    // 0, 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h, each 10 % longer by the injected chance of 0.5.
    const sums = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400].map((_, index, all) => all.slice(0, index + 1).reduce((sum, wait) => sum + wait * 1.1, 0));
    expect(sentAtS).toHaveLength(10);
    sentAtS.forEach((at, index) => expect(Math.abs(at - (sums[index] ?? 0))).toBeLessThan(2));
    expect(new Set(ids(received))).toEqual(new Set(['a-1']));
    expect((await journal('ops')).at(-1)).toMatchObject({ attempt: 10, outcome: 'failed' });
    expect(warnings).toEqual(['sink ops: gave up on transition a-1 after 10 attempts (HTTP 500)']);
  });

  it.each([
    ['seconds', () => '120'],
    ['a date', () => new Date(nowMs + 120_000).toUTCString()],
  ])('comes back no earlier than Retry-After says, in %s', async (_, header) => {
    const { url, received } = await receiver((response, count) => (count === 1 ? response.writeHead(429, { 'retry-after': header() }).end() : response.writeHead(200).end()));
    const delivery = deliveryTo([webhook('ops', url)]);
    await raise('a');
    delivery.wake();
    await pass(118_000, delivery);
    expect(received).toHaveLength(1);
    await pass(3_000, delivery);
    expect(received).toHaveLength(2);
  });

  it('disables a sink that answers 410, says so, and tells it again after a restart', async () => {
    let isGone = true;
    const { url, received } = await receiver((response) => response.writeHead(isGone ? 410 : 200).end());
    const delivery = deliveryTo([webhook('ops', url)]);
    await told(delivery, 'a');
    await raise('b');
    delivery.wake();
    await pass(3_600_000, delivery);
    expect(ids(received)).toEqual(['a-1']);
    expect(delivery.status()[0]).toMatchObject({ state: 'disabled' });
    expect(warnings).toHaveLength(1);
    await delivery.close();

    isGone = false;
    const restarted = deliveryTo([webhook('ops', url)]);
    restarted.wake();
    await restarted.settled();
    expect(ids(received)).toEqual(['a-1', 'b-1']);
  });

  it('goes on after a restart where it was, without those that are done', async () => {
    const { url, received } = await receiver((response, count) => response.writeHead(count === 1 ? 200 : 500).end());
    const before = deliveryTo([webhook('ops', url)]);
    for (const id of ['a', 'b']) await raise(id);
    before.wake();
    await before.settled();
    await before.close();
    expect(ids(received)).toEqual(['a-1', 'b-1']);
    await raise('c');

    const after = deliveryTo([webhook('ops', url)]);
    after.wake();
    await after.settled();
    expect(ids(received)).toEqual(['a-1', 'b-1', 'c-1']);
    await pass(5_000, after);
    expect(ids(received)).toEqual(['a-1', 'b-1', 'c-1', 'b-1']);
    expect((await journal('ops')).filter(({ transition_id }) => transition_id === 'b-1').map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it('sends again with the same key after a crash between sending and recording', async () => {
    const { url, received } = await receiver();
    const crashing: Store = {
      ...store,
      insert: async (table, rows) => {
        if (received.length > 0) throw new RetryableError('the process is gone');
        await store.insert(table, rows);
      },
    };
    const before = deliveryTo([webhook('ops', url)], { store: crashing });
    await raise('a');
    before.wake();
    await before.close();
    expect(ids(received)).toEqual(['a-1']);

    const after = deliveryTo([webhook('ops', url)]);
    after.wake();
    await after.settled();
    expect(ids(received)).toEqual(['a-1', 'a-1']);
    expect(await journal('ops')).toHaveLength(1);
  });

  it('records later, and does not send again, when the store is away for a while', async () => {
    const { url, received } = await receiver();
    let isAway = false;
    const flaky: Store = {
      ...store,
      insert: (table, rows) => (isAway ? Promise.reject(new RetryableError('the store is away')) : store.insert(table, rows)),
      select: (sql, parameters) => (isAway ? Promise.reject(new RetryableError('the store is away')) : store.select(sql, parameters)),
    };
    const delivery = deliveryTo([webhook('ops', url)], { store: flaky });
    for (const id of ['a', 'b']) await raise(id);
    await told(delivery);
    expect(ids(received)).toEqual(['a-1', 'b-1']);
    isAway = true;
    await raise('c');
    delivery.wake();
    await pass(20_000, delivery);
    expect(received).toHaveLength(2);
    isAway = false;
    await pass(10_000, delivery);
    expect(ids(received)).toEqual(['a-1', 'b-1', 'c-1']);
    expect(warnings.length).toBeGreaterThan(0);
  });

  it('stalls nobody by a sink that never answers', async () => {
    let release = (): void => undefined;
    let count = 0;
    let arrive = (): void => undefined;
    const allArrived = new Promise<void>((resolve) => {
      arrive = () => {
        count += 1;
        if (count === 4) resolve();
      };
    });
    const dead = await receiver((response) => {
      release = () => response.writeHead(200).end();
      arrive();
    });
    const alive = await receiver((response) => {
      response.writeHead(200).end();
      arrive();
    });
    const delivery = deliveryTo([webhook('dead', dead.url), webhook('alive', alive.url)]);
    for (const id of ['a', 'b', 'c']) await raise(id);
    delivery.wake();
    await allArrived;
    expect(ids(alive.received)).toEqual(['a-1', 'b-1', 'c-1']);
    expect(ids(dead.received)).toEqual(['a-1']);
    expect(delivery.status().find(({ sink }) => sink === 'dead')).toMatchObject({ waiting: 3 });
    release();
  });

  it('counts a sink that does not answer in time as a failed attempt', async () => {
    const { url } = await receiver(() => undefined);
    const delivery = deliveryTo([webhook('slow', url, { timeout_s: 0.05 })]);
    await told(delivery, 'a');
    expect(await journal('slow')).toEqual([{ transition_id: 'a-1', attempt: 1, outcome: 'retry', detail: 'no answer in 0.05 s' }]);
  });

  it('never lets "resolved" overtake an "open" that waits, nor an alert wait for another', async () => {
    const { url, received } = await receiver((response, count) => response.writeHead(count === 1 ? 503 : 200).end());
    const delivery = deliveryTo([webhook('ops', url)]);
    await told(delivery, 'a');
    await raise('a', 2, 'resolved');
    await raise('b');
    delivery.wake();
    await pass(60_000, delivery);
    expect(ids(received)).toEqual(['a-1', 'b-1', 'a-1', 'a-2']);
  });

  it('holds a bounded number in memory and leaves none behind', async () => {
    const { url, received } = await receiver();
    const delivery = deliveryTo([webhook('ops', url)], { waitingDeliveries: 4 });
    const transitions: { transition_id: string }[] = [];
    for (let index = 0; index < 25; index += 1) transitions.push(await raise(`alert${String(index).padStart(2, '0')}`));
    delivery.wake();
    expect(delivery.status()[0]?.waiting).toBeLessThanOrEqual(4);
    await delivery.settled();
    expect(new Set(ids(received))).toEqual(new Set(transitions.map(({ transition_id }) => transition_id)));
    expect(received).toHaveLength(25);
  });

  it('sends nothing twice while its attempt cannot be recorded', async () => {
    const { url, received } = await receiver();
    let refusals = 3;
    const full: Store = {
      ...store,
      insert: async (table, rows) => {
        if (received.length > 0 && refusals > 0) {
          refusals -= 1;
          throw new RetryableError('the disk is full');
        }
        await store.insert(table, rows);
      },
    };
    const delivery = deliveryTo([webhook('ops', url)], { store: full });
    await raise('a');
    delivery.wake();
    await pass(60_000, delivery);
    expect(ids(received)).toEqual(['a-1']);
    expect(refusals).toBe(0);
    expect(await journal('ops')).toMatchObject([{ attempt: 1, outcome: 'delivered' }]);
  });

  it('tells a sink only of the events that it wants', async () => {
    const { url, received } = await receiver();
    const delivery = deliveryTo([webhook('ops', url, { events: ['alert.resolved'] })]);
    await raise('a');
    await raise('a', 2, 'resolved');
    await told(delivery);
    expect(ids(received)).toEqual(['a-2']);
  });

  it('spares a new sink the alerts of last week', async () => {
    await raise('old');
    nowMs += 3_600_000;
    const { url, received } = await receiver();
    const delivery = deliveryTo([webhook('new', url)]);
    delivery.wake();
    await raise('fresh');
    await told(delivery);
    expect(ids(received)).toEqual(['fresh-1']);
  });

  it('gives up at once on a stored alert that nobody could read', async () => {
    const { url, received } = await receiver();
    const delivery = deliveryTo([webhook('ops', url)]);
    await raise('a');
    delivery.wake();
    await store.insert('alert_transitions', [{ transition_id: 'x', alert_id: 'x', sequence: 1, state: 'open', at_ms: nowMs, body: 'no JSON', project: 'default', comparison_id: '', reason: '' }]);
    await told(delivery);
    expect((await journal('ops')).find(({ transition_id }) => transition_id === 'x')).toMatchObject({ outcome: 'failed', detail: 'the stored alert is not culprit.alert/1' });
    expect(ids(received)).toEqual(['a-1']);
  });

  it('names no secret and no path of an address where things fail', async () => {
    const delivery = deliveryTo([webhook('ops', 'http://127.0.0.1:9/T0KEN-in-path')]);
    await raise('a');
    delivery.wake();
    await pass(5 * 24 * 3_600_000, delivery);
    const said = JSON.stringify([await journal('ops'), delivery.status(), warnings]);
    expect(said).toContain('ECONNREFUSED');
    expect(said).not.toContain('T0KEN');
    expect(said).not.toContain(secret.slice(6, 20));
  });
});

import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { createPost } from '../../../api/sinks/post.ts';
import { createVersionNews } from '../../../api/sinks/version-news.ts';
import { openDelivering } from '../delivering.ts';
import { HOSTILE, hostileAlert, messageAt } from './alert.ts';
import { receiver, type Answer } from './receiver.ts';
import { sending } from './sending.ts';

/** PagerDuty Events API v2, against a server that refuses what it refuses (PagerDuty's api-schema, events-v2). */

const KEY = 'R0123456789abcdef0123456789abcdef'.slice(0, 32);
const Trigger = z.strictObject({
  routing_key: z.literal(KEY),
  dedup_key: z.string().min(1).max(255),
  event_action: z.literal('trigger'),
  payload: z.strictObject({
    summary: z.string().min(1).max(1024), source: z.string().min(1), severity: z.enum(['critical', 'error', 'warning', 'info']), timestamp: z.iso.datetime(), component: z.string(), group: z.string(), class: z.string(),
    custom_details: z.record(z.string(), z.string()),
  }),
  links: z.array(z.strictObject({ href: z.url({ protocol: /^https?$/ }), text: z.string() })),
  images: z.array(z.strictObject({ src: z.url({ protocol: /^https$/ }), href: z.url(), alt: z.string() })),
  client: z.string(),
  client_url: z.url().optional(),
});
const Later = z.strictObject({ routing_key: z.literal(KEY), dedup_key: z.string().min(1).max(255), event_action: z.enum(['acknowledge', 'resolve']) });
const Event = z.discriminatedUnion('event_action', [Trigger, Later]);

const like: Answer = (response, _count, { path, body }) => {
  const isFine = path === '/v2/enqueue' && Buffer.byteLength(body) <= 512 * 1024 && Event.safeParse(JSON.parse(body)).success;
  response.writeHead(isFine ? 202 : 400, { 'content-type': 'application/json' }).end(JSON.stringify({ status: isFine ? 'success' : 'invalid event' }));
};
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function pagerDuty(answer: Answer = like) {
  const { url, received, close } = await receiver(answer);
  cleanups.push(close);
  const { send } = sending({ kind: 'pagerduty', name: 'on-call', url: `${new URL(url).origin}/`, routing_key: KEY, events: ['alert.open'], per_minute: 100, timeout_s: 5 });
  return { send, last: () => Event.parse(JSON.parse(received.at(-1)?.body ?? '')) };
}

it('is one incident through its life: the same key at every step', async () => {
  const { send, last } = await pagerDuty();
  const actions: string[] = [];
  for (const type of ['alert.open', 'alert.updated', 'alert.rollback', 'alert.acknowledged', 'alert.resolved'] as const) {
    expect(await send([messageAt({ id: `trn ${type}`, type })])).toEqual({ kind: 'delivered', detail: 'HTTP 202' });
    const event = last();
    expect(event.dedup_key).toBe('alr_1');
    actions.push(event.event_action);
  }
  expect(actions).toEqual(['trigger', 'trigger', 'trigger', 'acknowledge', 'resolve']);
});

it('what a rollback did is said in the incident, and opens none after its end', async () => {
  const { send, last } = await pagerDuty();
  const says = 'Rolled back to v1, and it helped';
  const rollback = { hook: 'registry', state: 'recovered', says };
  await send([messageAt({ type: 'alert.rollback', reason: says, change: { rollback } })]);
  expect(last()).toMatchObject({ event_action: 'trigger', payload: { summary: expect.stringMatching(/^Rolled back to v1, and it helped: refund-agent/), custom_details: { Rollback: says } } });
  await send([messageAt({ type: 'alert.rollback', reason: says, change: { rollback, state: 'resolved' } })]);
  expect(last()).toEqual({ routing_key: KEY, dedup_key: 'alr_1', event_action: 'resolve' });
});

it('says what is needed at night: who, how sure, the chart, and where to look', async () => {
  const { send, last } = await pagerDuty();
  await send([messageAt()]);
  expect(last()).toMatchObject({
    payload: { severity: 'critical', component: 'refund-agent', group: 'production', class: 'error_rate', custom_details: { Culprit: 'prompt version v2, against v1' } },
    images: [{ src: 'https://culprit.example.com/v1/alerts/alr_1/chart.png' }],
    client_url: 'https://culprit.example.com/alerts/alr_1',
  });
  await send([messageAt({ change: { severity: 'ticket' } })]);
  expect(last()).toMatchObject({ payload: { severity: 'warning' } });
});

it('stays within every limit, whatever a name says', async () => {
  const { send, last } = await pagerDuty();
  expect(await send([messageAt({ change: hostileAlert() })])).toMatchObject({ kind: 'delivered' });
  expect(JSON.stringify(last())).not.toMatch(/javascript:|\\u0000|\\u202e|\u202e/);
});

it.each([
  [429, { kind: 'retry', detail: 'HTTP 429', retryAfterMs: 60_000 }],
  [503, { kind: 'retry', detail: 'HTTP 503', retryAfterMs: 60_000 }],
  [400, { kind: 'failed', detail: 'HTTP 400' }],
])('knows what is worth a retry: %i', async (status, outcome) => {
  const { send } = await pagerDuty((response) => response.writeHead(status, { 'retry-after': '60' }).end());
  expect(await send([messageAt()])).toEqual(outcome);
});

/** Change events, by the same document. */
const Change = z.strictObject({
  routing_key: z.literal(KEY),
  payload: z.strictObject({ summary: z.string().min(1).max(1024), source: z.string().max(255), timestamp: z.iso.datetime(), custom_details: z.record(z.string(), z.string()) }),
  links: z.array(z.strictObject({ href: z.url(), text: z.string() })),
});

it('hears of each new version once, also when it first refuses, and of none from before it was there', async () => {
  const here = await openDelivering();
  cleanups.push(here.close);
  const { url, received, close } = await receiver((response, count, { path, body }) => response.writeHead(count === 1 ? 503 : path === '/v2/change/enqueue' && Change.safeParse(JSON.parse(body)).success ? 202 : 400).end());
  cleanups.push(close);
  const { sink } = sending({ kind: 'pagerduty', name: 'on-call', url: new URL(url).origin, routing_key: KEY, events: ['alert.open'], per_minute: 100, timeout_s: 5 });
  const clock = (): number => here.time.nowMs;
  const news = () => createVersionNews({ store: here.store, sinks: [sink], clock, post: createPost({ clock }, { allowPrivateAddresses: true }) });
  const seen = (value: string) => here.store.insert('versions', [{ project: 'default', environment: 'production', prompt_name: 'refund-agent', factor: 'prompt_version', value, first_seen_ms: clock(), last_seen_ms: clock(), calls: 1 }]);
  await seen('v1');
  here.time.nowMs += 60_000;
  await news().round();
  here.time.nowMs += 60_000;
  await seen('v2');
  await seen(HOSTILE);
  for (let round = 0; round < 4; round += 1) await news().round();
  expect(received).toHaveLength(3);
  const told = received.map(({ body }) => Change.parse(JSON.parse(body)).payload.summary);
  expect(told).toContain('refund-agent v2 takes traffic in production');
  expect(told.join()).not.toContain('v1 takes traffic');
  expect(await here.journal('on-call')).toMatchObject([[expect.stringMatching(/^ver_/), 'delivered', 'HTTP 202'], [expect.stringMatching(/^ver_/), 'delivered', 'HTTP 202']]);
});

import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { hostileAlert, messageAt, NOW_MS } from './alert.ts';
import { receiver, type Answer } from './receiver.ts';
import { sending } from './sending.ts';

/** Alertmanager's API v2, against a server that refuses what its openapi.yaml and its validation refuse. */

const labelSet = z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string().min(1));
const Postable = z.strictObject({ labels: labelSet.refine((labels) => 'alertname' in labels), annotations: z.record(z.string(), z.string()), startsAt: z.iso.datetime(), endsAt: z.iso.datetime(), generatorURL: z.url().optional() });
const Body = z.array(Postable.refine(({ startsAt, endsAt }) => Date.parse(endsAt) >= Date.parse(startsAt))).min(1);

const like: Answer = (response, _count, { path, body, headers }) => {
  if (headers.authorization !== 'Bearer t0ken') return response.writeHead(401).end();
  return response.writeHead(path === '/am/api/v2/alerts' && Body.safeParse(JSON.parse(body)).success ? 200 : 400).end();
};
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function alertmanager(token = 't0ken') {
  const { url, received, close } = await receiver(like);
  cleanups.push(close);
  const { send, sink } = sending({ kind: 'alertmanager', name: 'am', url: `${new URL(url).origin}/am/`, bearer_token: token, refresh_s: 60, per_minute: 600, timeout_s: 5 });
  return { send, sink, last: () => Body.parse(JSON.parse(received.at(-1)?.body ?? '')) };
}

it('fires for three refreshes, and ends when it is resolved', async () => {
  const { send, last } = await alertmanager();
  expect(await send([messageAt()])).toEqual({ kind: 'delivered', detail: 'HTTP 200' });
  const [firing] = last();
  expect(firing).toMatchObject({ labels: { alertname: 'PromptRegression', prompt: 'refund-agent', culprit: 'v2', metric: 'error_rate', alert: 'alr_1' }, annotations: { severity: 'page' }, endsAt: new Date(NOW_MS + 180_000).toISOString() });
  await send([messageAt({ type: 'alert.resolved' })]);
  const [ended] = last();
  expect(ended?.endsAt).toBe(new Date(NOW_MS + 60_000).toISOString());
  // The same labels, or it would be another alert.
  expect(ended?.labels).toEqual(firing?.labels);
});

it('stays the same alert when its severity, its grade or its evidence change', async () => {
  const { send, last } = await alertmanager();
  await send([messageAt()]);
  const [before] = last();
  const { evidence } = messageAt().alert;
  await send([messageAt({ type: 'alert.updated', change: { severity: 'ticket', evidence: { ...evidence, grade: 'alone', e_value: 9e9 } } })]);
  expect(last()[0]?.labels).toEqual(before?.labels);
});

it('takes many at once, and hostile names', async () => {
  const { send, last } = await alertmanager();
  expect(await send([messageAt(), messageAt({ change: { ...hostileAlert(), id: 'alr_2' } })])).toMatchObject({ kind: 'delivered' });
  expect(last()).toHaveLength(2);
});

it('is refused without its token, and that is not worth a retry', async () => {
  const { send } = await alertmanager('wrong');
  expect(await send([messageAt()])).toEqual({ kind: 'failed', detail: 'HTTP 401' });
});

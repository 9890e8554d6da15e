import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import type { Message } from '../../../api/sinks/index.ts';
import { hostileAlert, messageAt } from './alert.ts';
import { receiver, type Answer } from './receiver.ts';
import { sending } from './sending.ts';

/** Slack's incoming webhook, against a server that refuses what Slack's block kit refuses (docs.slack.dev/reference/block-kit). */

const plainText = (most: number) => z.strictObject({ type: z.literal('plain_text'), text: z.string().min(1).max(most), emoji: z.boolean().optional() });
const Button = z.strictObject({ type: z.literal('button'), text: plainText(75), url: z.url({ protocol: /^https?$/ }).max(3000) });
const Block = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('header'), text: plainText(150) }),
  z.strictObject({ type: z.literal('section'), text: plainText(3000).optional(), fields: z.array(plainText(2000)).min(1).max(10).optional(), accessory: Button.optional() }).refine(({ text, fields }) => (text ?? fields) !== undefined),
  z.strictObject({ type: z.literal('image'), image_url: z.url({ protocol: /^https$/ }).max(3000), alt_text: z.string().min(1).max(2000) }),
  z.strictObject({ type: z.literal('actions'), elements: z.array(Button).min(1).max(25) }),
]);
const Payload = z.strictObject({ text: z.string().min(1).max(40_000), attachments: z.array(z.strictObject({ color: z.string().regex(/^#[0-9a-f]{6}$/), blocks: z.array(Block).min(1).max(50) })).max(20) });

const like: Answer = (response, _count, { body }) => (Payload.safeParse(JSON.parse(body)).success ? response.writeHead(200).end('ok') : response.writeHead(400).end('invalid_blocks'));
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function slack(answer: Answer = like) {
  const { url, received, close } = await receiver(answer);
  cleanups.push(close);
  const { send, sink } = sending({ kind: 'slack', name: 'team', url, events: ['alert.open'], per_minute: 30, timeout_s: 5 });
  return { sink, send, last: () => Payload.parse(JSON.parse(received.at(-1)?.body ?? '')) };
}

it('takes an alert, with its colour, its figures, its chart and its links', async () => {
  const { send, last } = await slack();
  expect(await send([messageAt()])).toEqual({ kind: 'delivered', detail: 'HTTP 200' });
  const [attachment] = last().attachments;
  expect(attachment?.color).toBe('#dc3545');
  const blocks = JSON.stringify(attachment?.blocks);
  for (const said of ['refund-agent v2 fails', 'error rate: 6.2 % against 1.1 %, of 590 and 5210 units', 'Difference: 5.1, from 3.1 to 7.4 percentage points (95 %)', 'prompt version v2, against v1', '1,230 to 1, threshold 100 to 1', 'https://culprit.example.com/v1/alerts/alr_1/chart.png', 'https://culprit.example.com/alerts/alr_1']) expect(blocks).toContain(said);
});

it('says odds without end in a few characters', async () => {
  const { send, last } = await slack();
  const evidence = { ...messageAt().alert.evidence, e_value: 2.3e173 };
  await send([messageAt({ change: { evidence } })]);
  expect(JSON.stringify(last())).toContain('Evidence: 10^173 to 1, threshold 100 to 1');
});

it('gives figures with their units', async () => {
  const { send, last } = await slack();
  const evidence = { ...messageAt().alert.evidence, baseline: { units: 900, value: 850 }, candidate: { units: 100, value: 4520 }, effect: { kind: 'ratio_p95', estimate: 5.318, low: 3.9, high: 7, confidence: 0.95 } } as const;
  await send([messageAt({ change: { metric: 'latency', evidence } })]);
  for (const said of ['latency: 4.52 s against 850 ms, of 100 and 900 units', 'Ratio of p95: 5.32, from 3.9 to 7 (95 %)']) expect(JSON.stringify(last())).toContain(said);
  await send([messageAt({ change: { metric: 'tone', evidence: { ...messageAt().alert.evidence, candidate: { units: 9, value: 0.5 } } } })]);
  expect(JSON.stringify(last())).toContain('tone: 0.5 against 0.011, of 9 and 5210 units');
});

it('shows no picture that Slack could not fetch', async () => {
  const { send, last } = await slack();
  for (const chart of ['http://127.0.0.1:4318/x.png', 'https://localhost/x.png', 'https://10.0.0.1/x.png', 'https://[::1]/x.png', 'https://culprit.internal/x.png', 'http://culprit.example.com/x.png', '']) {
    const alert = messageAt().alert;
    await send([messageAt({ change: { links: { ...alert.links, chart } } })]);
    expect(JSON.stringify(last())).not.toContain('image_url');
  }
});

it('says who did what and why', async () => {
  const { send, last } = await slack();
  await send([messageAt({ type: 'alert.resolved', who: 'mira', reason: 'rolled back' })]);
  expect(last().attachments[0]?.color).toBe('#28a745');
  expect(JSON.stringify(last())).toContain('mira: rolled back');
  await send([messageAt({ escalated_after_s: 900 })]);
  expect(last().text).toMatch(/^Not acknowledged for 15 min: /);
});

it('says what becomes of a rollback, and where one vetoes it', async () => {
  const { send, last } = await slack();
  const says = 'Rolls back to v1 at 09:02:00 UTC, unless somebody vetoes';
  const links = { ...messageAt().alert.links, rollback: 'https://culprit.example.com/alerts/alr_1#rollback' };
  await send([messageAt({ type: 'alert.rollback', reason: says, change: { links, rollback: { hook: 'ops', state: 'waiting', says } } })]);
  expect(last().text).toMatch(/^Rolls back to v1 at 09:02:00 UTC, unless somebody vetoes: refund-agent v2 fails/);
  expect(JSON.stringify(last())).toContain(`"url":"${links.rollback}"`);
  await send([messageAt({ type: 'alert.updated', reason: 'v2 takes no more traffic, but error_rate did not recover' })]);
  expect(last().text).toMatch(/^v2 takes no more traffic, but error_rate did not recover: refund-agent/);
});

it('mentions nobody and is no markup, whatever a name says', async () => {
  const { send, last } = await slack();
  expect(await send([messageAt({ change: hostileAlert(), reason: '<!everyone>', type: 'alert.acknowledged' })])).toMatchObject({ kind: 'delivered' });
  const { text } = last();
  expect(text).not.toMatch(/<|(^|\s)@(here|channel|everyone)/);
  expect(text).toContain('&lt;!channel&gt;');
  expect(JSON.stringify(last())).not.toContain('mrkdwn');
  expect(JSON.stringify(last())).not.toContain('javascript:');
});

it('puts as many alerts as it takes into one message, and names each', async () => {
  const { send, last, sink } = await slack();
  const many = Array.from({ length: sink.most }, (_, index) => messageAt({ id: `trn_${index}`, change: { summary: `regression ${index} of many` } }));
  expect(await send(many as [Message, ...Message[]])).toMatchObject({ kind: 'delivered' });
  for (const index of many.keys()) expect(JSON.stringify(last())).toContain(`regression ${index} of many`);
  expect(await send(many.map((message) => ({ ...message, alert: { ...message.alert, ...hostileAlert() } })) as [Message, ...Message[]])).toMatchObject({ kind: 'delivered' });
});

it.each([
  [429, { kind: 'retry', detail: 'HTTP 429', retryAfterMs: 30_000 }],
  [500, { kind: 'retry', detail: 'HTTP 500', retryAfterMs: 30_000 }],
  [404, { kind: 'failed', detail: 'HTTP 404' }],
  [400, { kind: 'failed', detail: 'HTTP 400' }],
])('knows what is worth a retry: %i', async (status, outcome) => {
  const { send } = await slack((response) => response.writeHead(status, { 'retry-after': '30' }).end());
  expect(await send([messageAt()])).toEqual(outcome);
});

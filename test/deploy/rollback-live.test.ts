import { SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { tracing } from '@opentelemetry/sdk-node';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { receiver } from '../api/sinks/receiver.ts';
import { randomFrom } from '../api/traffic.ts';
import { startGuarded, type Guarded } from './guarded.ts';

/**
 * Rollbacks from end to end: a running server, an application that sends what the OpenTelemetry SDK sends, and whose traffic follows what the hooks changed.
 * Time is the test's: half a minute of traffic is one step, and the look is waited for.
 *
 * `refund` and `order` ask the flag that Culprit serves (OFREP) and roll back by themselves; `tone` has routing of its own behind a webhook, and a person confirms.
 * Half of all sessions are in the rollout, and get what the flag says. v2 of `refund` and `tone` is broken. With `order` it is the half itself that is broken (its
 * payment service, say), whichever version it gets.
 */
type Json = Record<string, any>; // eslint-disable-line -- answers are checked field by field
const PROMPTS = { refund: ['openai', 'gpt-4o'], order: ['anthropic', 'claude-sonnet-4-5'], tone: ['mistral_ai', 'mistral-large-latest'] } as const;
type Prompt = keyof typeof PROMPTS;
const STEP_MS = 30_000;
const SESSIONS_A_STEP = 16;
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU';

const time = { nowMs: Date.now() - 4 * 3_600_000 };
const random = randomFrom(11);
/** The routing of `tone`, which its webhook changes. */
const routing = { tone: 'v2' };
/** What half of the sessions get; before its rollout nobody does. */
const rolledOut = new Set<Prompt>();
let hook: Awaited<ReturnType<typeof receiver>>;
let server: Guarded;
let provider: tracing.BasicTracerProvider;
let tracer: Tracer;

beforeAll(async () => {
  hook = await receiver((response, _count, { body }) => {
    routing.tone = (JSON.parse(body) as Json)['data'].rollback.to; // a message of this test's own server
    response.writeHead(204).end();
  });
  const flag = (name: string) => ({ kind: 'flagd', name, flag: `${name}-prompt`, variants: { stable: 'v1', next: 'v2', last: 'v3' }, default_variant: 'next' });
  const rule = (name: string, mode: string) => ({ rollback: { mode, hook: name, veto_s: 0, cooldown_s: 0 } });
  server = await startGuarded(
    { allow_private_addresses: true, hooks: [flag('refund'), flag('order'), { kind: 'webhook', name: 'routing', url: hook.url, secret: SECRET }], prompts: { refund: rule('refund', 'act'), order: rule('order', 'act'), tone: rule('routing', 'propose') } },
    undefined,
    { clock: () => time.nowMs },
  );
  provider = new tracing.BasicTracerProvider({ spanProcessors: [new tracing.BatchSpanProcessor(new OTLPTraceExporter({ url: `${server.url}/v1/traces` }), { maxQueueSize: 4096, maxExportBatchSize: 2048 })] });
  tracer = provider.getTracer('shop');
}, 60_000);
afterAll(async () => {
  await provider?.shutdown();
  await server?.close();
  await hook?.close();
});

const json = async (path: string, body?: unknown): Promise<Json> => (await (await server.ask(path, body === undefined ? {} : { body })).json()) as Json; // what the API answers
const servedTo = async (prompt: Prompt): Promise<string> => (prompt === 'tone' ? routing.tone : (await json(`/ofrep/v1/evaluate/flags/${prompt}-prompt`, { context: {} }))['value']);

function isBroken(prompt: Prompt, { version, isInRollout }: { version: string; isInRollout: boolean }): boolean {
  return prompt === 'order' ? isInRollout && rolledOut.has(prompt) : version !== 'v1';
}

/** Half a minute passes, and is sent at its end. */
async function step(): Promise<void> {
  const fromMs = time.nowMs;
  time.nowMs += STEP_MS;
  for (const [prompt, [providerName, model]] of Object.entries(PROMPTS) as [Prompt, readonly [string, string]][]) {
    const served = await servedTo(prompt);
    for (let sent = 0; sent < SESSIONS_A_STEP; sent += 1) {
      const isInRollout = random() < 0.5;
      const version = isInRollout && rolledOut.has(prompt) ? served : 'v1';
      const startMs = fromMs + random() * (STEP_MS - 4000);
      const attributes = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': providerName, 'gen_ai.request.model': model, 'gen_ai.prompt.name': prompt, 'gen_ai.prompt.version': version, 'session.id': `${prompt} ${startMs} ${sent}`, 'deployment.environment.name': 'production' };
      const span = tracer.startSpan(`chat ${model}`, { kind: SpanKind.CLIENT, root: true, startTime: new Date(startMs), attributes });
      if (random() < (isBroken(prompt, { version, isInRollout }) ? 0.4 : 0.01)) span.setAttribute('error.type', '500').setStatus({ code: SpanStatusCode.ERROR });
      else span.setAttributes({ 'gen_ai.response.model': model, 'gen_ai.usage.input_tokens': 640, 'gen_ai.usage.output_tokens': 180, 'gen_ai.response.finish_reasons': ['stop'] });
      span.end(new Date(startMs + 600 + random() * 800));
    }
  }
  await provider.forceFlush();
}

/** Traffic goes on until it is so, as the server has seen it up to now. */
async function goOnUntil(isSo: () => Promise<boolean>, { everyMinutes, mostMinutes }: { everyMinutes: number; mostMinutes: number }): Promise<void> {
  for (let minutes = 0; !(await isSo()); minutes += everyMinutes) {
    if (minutes >= mostMinutes) throw new Error(`it has not come to be within ${mostMinutes} minutes: ${JSON.stringify(await json('/v1/alerts'))} ${JSON.stringify(await json('/v1/rollbacks'))}`);
    for (let half = 0; half < 2 * everyMinutes; half += 1) await step();
    await vi.waitUntil(async () => ((await json('/v1/status'))['behind_ms'] ?? Infinity) < STEP_MS, { timeout: 60_000, interval: 25 });
  }
}

const alertOf = async (prompt: Prompt, version = 'v2'): Promise<Json | undefined> => (await json('/v1/alerts'))['alerts'].find(({ culprit, prompt: of }: Json) => of === prompt && culprit.factor === 'prompt_version' && culprit.value === version);
const rollbackOf = async (prompt: Prompt): Promise<Json | undefined> => (await json(`/v1/rollbacks?prompt=${prompt}`))['rollbacks'][0];
/** Hooks are asked by a clock of their own: meanwhile it stays the same moment. */
const becomes = (prompt: Prompt, state: string) => vi.waitUntil(async () => (await rollbackOf(prompt))?.['state'] === state, { timeout: 60_000, interval: 50 });

const said = async (id: string): Promise<string[]> => ((await json(`/v1/alerts/${id}`))['transitions'] as Json[]).map(({ event, state, reason }) => `${event === '' ? state : event}: ${reason}`);

it('rolls back what is worse, says whether it helped, and does not act a second time by itself', { timeout: 240_000 }, async () => {
  for (let half = 0; half < 20; half += 1) await step();
  for (const prompt of ['refund', 'order', 'tone'] as const) rolledOut.add(prompt);
  const alerts = () => Promise.all((['refund', 'order', 'tone'] as const).map((prompt) => alertOf(prompt)));

  // 1. All three are alerted. Two flags turn back by themselves; the third is asked for when a person says so.
  await goOnUntil(async () => (await alerts()).every((alert) => alert !== undefined), { everyMinutes: 2, mostMinutes: 40 });
  await Promise.all([becomes('refund', 'done'), becomes('order', 'done'), becomes('tone', 'proposed')]);
  expect([await servedTo('refund'), await servedTo('order'), await servedTo('tone'), hook.received]).toEqual(['v1', 'v1', 'v2', []]);
  const [refund, order, tone] = (await alerts()).map((alert) => String(alert?.['id']));
  expect((await server.ask(`/v1/alerts/${tone}/rollback`, { body: { action: 'confirm', by: 'mira' } })).status).toBe(200);
  await becomes('tone', 'done');
  expect(await servedTo('tone')).toBe('v1');
  const [asked] = hook.received;
  expect([hook.received.length, JSON.parse(asked?.body ?? 'null')]).toMatchObject([1, { type: 'rollback.requested', data: { rollback: { prompt: 'tone', from: 'v2', to: 'v1', by: 'mira' }, alert: { id: tone } } }]);
  const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signature } = asked?.headers ?? {};
  expect(signature).toBe(new Webhook(SECRET).sign(String(id), new Date(Number(seconds) * 1000), asked?.body ?? ''));

  // 2. The traffic is back on v1. Half an hour later it is told whether that helped. What is well again is over; what is not stays open.
  await goOnUntil(async () => (await alerts()).every((alert) => alert?.['recovery'] !== undefined), { everyMinutes: 6, mostMinutes: 60 });
  expect(await alerts()).toMatchObject([{ state: 'resolved', recovery: 'recovered' }, { state: 'open', recovery: 'not_recovered' }, { state: 'resolved', recovery: 'recovered' }]);
  await Promise.all([becomes('refund', 'recovered'), becomes('order', 'not_recovered'), becomes('tone', 'recovered')]);
  expect((await rollbackOf('refund'))?.['steps'].map(({ state }: Json) => state)).toEqual(['waiting', 'asked', 'done', 'moved', 'recovered']);
  await vi.waitUntil(async () => (await alerts()).every((alert) => String(alert?.['rollback'].state).endsWith('recovered')), { timeout: 60_000, interval: 50 });
  expect((await alerts()).map((alert) => alert?.['rollback'].says)).toEqual([
    'Rolled back to v1, and it helped: error_rate recovered',
    'Rolled back to v1, and it did not help: v2 is not the culprit, or not alone',
    'Rolled back to v1, and it helped: error_rate recovered',
  ]);
  expect(await said(String(refund))).toEqual(expect.arrayContaining(['resolved: v2 takes no more traffic, and error_rate recovered']));
  expect(await said(String(order))).toEqual(expect.arrayContaining(['updated: v2 takes no more traffic, but error_rate did not recover: it was not the culprit, or not alone']));

  // 3. The next version goes to the half that is broken, and is accused. Nobody has looked at what became of the last rollback: it is only proposed.
  expect((await server.ask('/v1/flags/order-prompt', { body: { variant: 'last', reason: 'v3 is out' } })).status).toBe(200);
  await goOnUntil(async () => (await alertOf('order', 'v3')) !== undefined, { everyMinutes: 2, mostMinutes: 40 });
  await becomes('order', 'proposed');
  expect(await rollbackOf('order')).toMatchObject({ candidate: 'v3', says: 'Rolling back to v1 is proposed: the last rollback of this prompt was done without a person, and nobody has looked at it since' });
  expect(await servedTo('order')).toBe('v3');
  expect((await server.ask(`/v1/alerts/${(await alertOf('order', 'v3'))?.['id']}/rollback`, { body: { action: 'confirm', by: 'mira' } })).status).toBe(200);
  await becomes('order', 'done');
  expect(await servedTo('order')).toBe('v1');
});

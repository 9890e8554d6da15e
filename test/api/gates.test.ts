import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { culprit } from '../built.ts';
import { openApi, type TestApi } from './server.ts';
import { randomFrom, seedRollout } from './traffic.ts';

/** What rollout controllers and scripts ask, of a server with one version that is worse and one of which nothing is known yet. */
const nowMs = Date.parse('2026-06-01T10:00:00Z');
const ROLLOUTS = join(import.meta.dirname, '../../deploy/rollouts');
let api: TestApi;
let url: string;
let stop: () => Promise<void>;

beforeAll(async () => {
  api = await openApi({}, nowMs);
  const arm = { version: 'v1', share: 0.9, errorRate: 0.011, medianMs: 900, quality: 0.86 };
  const time = { fromMs: nowMs - 120 * 60_000, toMs: nowMs };
  const random = randomFrom(7);
  await seedRollout(api.store, { prompt: 'refund-agent', baseline: arm, candidate: { ...arm, version: 'v2', share: 0.1, errorRate: 0.09 }, beganMs: nowMs - 90 * 60_000, callsPerMinute: 60, raisesAlert: true }, time, random);
  await seedRollout(api.store, { prompt: 'a "quoted"\nname', baseline: arm, candidate: { ...arm, version: 'v2', share: 0.1 }, beganMs: nowMs - 90 * 60_000, callsPerMinute: 10, raisesAlert: false }, time, random);
  const server = serve({ fetch: api.app.fetch, port: 0, hostname: '127.0.0.1' });
  await once(server, 'listening');
  // A server that listens on a port has an address with one.
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stop = () => new Promise((resolve) => void server.close(() => resolve()));
}, 60_000);
afterAll(async () => {
  await stop();
  await api.close();
});

const post = (path: string, metadata: object): Promise<Response> =>
  fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'checkout', namespace: 'shop', phase: 'Progressing', checksum: '85d557f47b', buildId: 'new in some version', metadata }) });

it('a verdict on a metric that the comparison does not have names those that it has', async () => {
  const answer = await (await fetch(`${url}/v1/verdict?prompt=refund-agent&candidate=v2&metric=eror_rate`)).json();
  expect(answer).toMatchObject({ verdict: 'no_data', metric: 'eror_rate', reason: expect.stringMatching(/^eror_rate is not among the metrics of this comparison, which were fixed when it opened: .*\berror_rate\b/) });
});

describe("Flagger's webhooks", () => {
  it.each([
    ['gate', { prompt: 'refund-agent', candidate: 'v2' }, 409, 'regressed'],
    ['gate', { prompt: 'refund-agent', candidate: 'v9' }, 200, 'no_data'],
    ['gate', { prompt: 'refund-agent', candidate: 'v9', require: 'not_worse' }, 409, 'no_data'],
    ['rollback', { prompt: 'refund-agent', candidate: 'v2' }, 200, 'regressed'],
    ['rollback', { prompt: 'refund-agent', candidate: 'v9' }, 409, 'no_data'],
  ])('%s of %j: %i', async (hook, metadata, status, verdict) => {
    const response = await post(`/v1/flagger/${hook}`, metadata);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ verdict, reason: expect.stringMatching(/\w/) });
  });

  it('says what is missing', async () => {
    const response = await post('/v1/flagger/gate', { prompt: 'refund-agent' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ path: 'metadata.candidate' }] });
  });
});

describe('/metrics', () => {
  it('has the gauges of each open comparison, whatever its name', async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const worse = '{environment="production",prompt="refund-agent",factor="prompt_version",baseline="v1",candidate="v2"}';
    expect(text).toContain(`culprit_comparison_regressed${worse} 1`);
    expect(text).toContain(`culprit_comparison_threshold${worse} 100`);
    expect(Number(/culprit_comparison_metric_e_value\{.*prompt="refund-agent".*metric="error_rate"\} (\S+)/.exec(text)?.[1])).toBeGreaterThan(100);
    expect(text).toMatch(/culprit_comparison_regressed\{environment="production",prompt="a \\"quoted\\"\\nname",.*\} 0/);
  });
});

describe('culprit verdict', () => {
  const run = (...args: string[]) => culprit(['verdict', '--server', url, ...args]);

  it('says by its exit status what is known', { timeout: 60_000 }, async () => {
    expect(await run('--prompt', 'refund-agent', '--candidate', 'v2', '--wait', '5m')).toMatchObject({ code: 1, output: expect.stringContaining('regressed: evidence against') });
    const json = await run('--prompt', 'refund-agent', '--candidate', 'v2', '--json');
    expect([json.code, JSON.parse(json.output)]).toMatchObject([1, { verdict: 'regressed', threshold: 100 }]);
    expect((await run('--prompt', 'a "quoted"\nname', '--candidate', 'v2', '--metric', 'error_rate')).code).toBe(2);
    expect((await run('--prompt', 'refund-agent', '--candidate', 'v9')).code).toBe(3);
  });

  it('says of a rollout whether it may go on', { timeout: 60_000 }, async () => {
    const declared = async (prompt: string, steps: object[]): Promise<string> => {
      const response = await fetch(`${url}/v1/rollouts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ prompt, candidate: 'v2', steps }) });
      return z.object({ id: z.string() }).parse(await response.json()).id;
    };
    const worse = await declared('refund-agent', [{ share_percent: 10 }]);
    expect(await run('--rollout', worse, '--wait', '5m')).toMatchObject({ code: 1, output: expect.stringContaining('back: evidence against') });
    expect(await run('--rollout', await declared('a "quoted"\nname', [{ share_percent: 10 }]))).toMatchObject({ code: 2, output: expect.stringContaining('hold: ') });
    await fetch(`${url}/v1/rollouts/${worse}/end`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"outcome":"aborted"}' });
    expect(await run('--rollout', worse, '--wait', '5m')).toMatchObject({ code: 2, output: expect.stringContaining('has ended') });
    api.clock.nowMs -= 15 * 86_400_000;
    const forgotten = await declared('nothing is sent', [{ share_percent: 10 }]);
    api.clock.nowMs = nowMs;
    expect(await run('--rollout', forgotten, '--wait', '5m')).toMatchObject({ code: 2, output: expect.stringContaining('has lapsed') });
    expect(await run('--rollout', 'rol_none')).toMatchObject({ code: 2, output: expect.stringContaining('There is no rollout') });
    expect(await run('--rollout', worse, '--prompt', 'p')).toMatchObject({ code: 2, output: expect.stringContaining('leave --prompt out') });
  });

  it('never takes its own trouble for a verdict', { timeout: 60_000 }, async () => {
    expect(await run('--prompt', 'refund-agent')).toMatchObject({ code: 2, output: expect.stringContaining('--candidate') });
    expect(await run('--prompt', 'p', '--candidate', 'c', '--wait', 'long')).toMatchObject({ code: 2, output: expect.stringContaining('like 30m') });
    expect(await run('--prompt', 'p', '--candidate', 'c', '--server', 'http://127.0.0.1:1')).toMatchObject({ code: 2, output: expect.stringContaining('cannot be reached') });
  });
});

/** What of these documents Culprit answers for: that they ask what it serves. */
const Argo = z.object({ spec: z.object({ metrics: z.array(z.object({ interval: z.string(), count: z.number().optional(), inconclusiveLimit: z.number().default(0), consecutiveSuccessLimit: z.number().default(0), successCondition: z.string(), failureCondition: z.string().optional(), provider: z.object({ web: z.object({ url: z.string(), jsonPath: z.literal('{$.verdict}') }) }) })) }) });
const Flagger = z.object({ spec: z.object({ analysis: z.object({ webhooks: z.array(z.object({ type: z.string(), url: z.string(), metadata: z.record(z.string(), z.string()) })) }) }) });
const documentOf = (name: string, index = 0): unknown => parseAllDocuments(readFileSync(join(ROLLOUTS, name), 'utf8'))[index]?.toJS();

describe('the templates for rollout controllers', () => {
  it("Argo's ask for a verdict that decides their conditions, and never end by one that is undecided", async () => {
    const ofMetric = (index: number) => Argo.parse(documentOf('argo-analysis-template.yaml', index)).spec.metrics[0];
    const [step, background] = [ofMetric(0), ofMetric(1)];
    for (const metric of [step, background]) {
      const filled = metric?.provider.web.url.replaceAll('{{args.url}}', url).replaceAll('{{args.prompt}}', 'refund-agent').replaceAll('{{args.candidate}}', 'v2') ?? '';
      expect(await (await fetch(filled)).json()).toMatchObject({ verdict: 'regressed' });
    }
    // A step that has succeeded once is over, one that has a limit of 0 is over with the first look that decides nothing.
    expect(step).toMatchObject({ successCondition: 'result == "not_worse"', failureCondition: 'result == "regressed"', consecutiveSuccessLimit: 1 });
    expect(step?.inconclusiveLimit).toBeGreaterThan(1000);
    expect([step?.count, background?.count, background?.failureCondition]).toEqual([undefined, undefined, undefined]);
    expect(background?.successCondition).toBe('result != "regressed"');
  });

  it("Flagger's stops, does not promote, and rolls back a version that is worse", async () => {
    const { webhooks } = Flagger.parse(documentOf('flagger-canary.yaml')).spec.analysis;
    const statuses = await Promise.all(webhooks.map(async ({ type, url: address, metadata }) => [type, (await post(new URL(address).pathname, metadata)).status]));
    expect(statuses).toEqual([['rollout', 409], ['confirm-promotion', 409], ['rollback', 200]]);
  });
});

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { type Front } from '../clickhouse/front.ts';
import { allCalls, ledgerOf, post, tracesBody, nameOf, spans } from '../deploy/server-process.ts';
import { type Broker } from './broker.ts';
import { withRoles, type RoleProcess, type Roles } from './processes.ts';

let broker: Broker;
let front: Front;
let roles: Roles;
let collector: RoleProcess;
let analyzers: RoleProcess[];
let api: RoleProcess;

withRoles(async (cluster) => {
  ({ broker, front, roles } = cluster);
  collector = await roles.start('collector');
  api = await roles.start('api');
  analyzers = await Promise.all([roles.start('analyzer'), roles.start('analyzer')]);
});

const sent = new Set<string>();
/** Score records, which the ledger counts as well. */
let scored = 0;

async function settled(): Promise<void> {
  await vi.waitFor(
    async () => {
      const listed = await allCalls(api.url);
      // A list would be searched for seconds, in which the server closes the connection that the next question is put to.
      const found = new Set(listed);
      expect([...sent].filter((span) => !found.has(span)).length).toBe(0);
      expect(listed.length).toBe(sent.size);
      expect(await ledgerOf(api.url)).toMatchObject({ balanced: true, stored: sent.size + scored, waiting: 0 });
    },
    { timeout: 60_000, interval: 500 },
  );
}

/** Sends until told to stop; whatever is not acknowledged is sent again, unchanged, until it is. */
function load() {
  let isOver = false;
  let requests = 0;
  const sender = async (): Promise<void> => {
    while (!isOver) {
      const batch = spans(20);
      const body = tracesBody(batch, Date.now());
      for (;;) {
        const status = await post(collector.url, body).then(async (response) => (await response.arrayBuffer(), response.status), () => 0);
        if (status === 200) break;
        await vi.waitFor(() => undefined, { interval: 50 });
      }
      requests += 1;
      for (const span of batch) sent.add(nameOf(span));
    }
  };
  const senders = Promise.all(Array.from({ length: 3 }, sender));
  return {
    requests: () => requests,
    async stop(): Promise<void> {
      isOver = true;
      await senders;
    },
  };
}

describe('roles in processes of their own, over a real broker', { timeout: 240_000 }, () => {
  it('brings a span that a collector acknowledged to the API', async () => {
    const batch = spans(50);
    expect((await post(collector.url, tracesBody(batch, Date.now()))).status).toBe(200);
    for (const span of batch) sent.add(nameOf(span));
    await settled();
  });

  it('takes what the OpenTelemetry SDK sends: calls, and what a judge says of them', async () => {
    const application = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, '../deploy/send-with-sdk.ts'), collector.url], { stdio: ['ignore', 'inherit', 'inherit'] });
    expect(await once(application, 'exit')).toEqual([0, null]);
    const calls = await vi.waitFor(
      async () => {
        const found = ((await (await fetch(`${api.url}/v1/calls?prompt_name=refund%20agent`)).json()) as { calls: { trace_id: string; span_id: string; prompt_attribution: string; session_id: string }[] }).calls;
        expect(found.map(({ prompt_attribution }) => prompt_attribution)).toEqual(['inherited', 'inherited', 'inherited', 'inherited']);
        return found;
      },
      { timeout: 30_000, interval: 300 },
    );
    for (const call of calls) {
      await vi.waitFor(
        async () => {
          const { scores } = (await (await fetch(`${api.url}/v1/scores?trace_id=${call.trace_id}`)).json()) as { scores: { value: number; span_id: string }[] };
          expect(scores).toMatchObject([{ value: Number(call.session_id.at(-1)) / 4, span_id: call.span_id }]);
        },
        { timeout: 30_000, interval: 300 },
      );
      sent.add(nameOf(call));
    }
    scored += calls.length;
  });

  it('gives a child the prompt of a parent that comes in another request, whichever analyzer has it', async () => {
    const [parent] = spans(1);
    if (parent === undefined) throw new Error('no span');
    const child = { trace_id: parent.trace_id, span_id: randomBytes(8).toString('hex'), parent_span_id: parent.span_id };
    expect((await post(collector.url, tracesBody([child], Date.now()))).status).toBe(200);
    expect((await post(collector.url, tracesBody([parent], Date.now()))).status).toBe(200);
    await vi.waitFor(async () => expect((await (await fetch(`${api.url}/v1/calls?trace_id=${parent.trace_id}`)).json() as { calls: unknown[] }).calls.length).toBe(1), { timeout: 30_000, interval: 300 });
    sent.add(nameOf(child));
  });

  it('loses and doubles nothing when an analyzer is killed under load', async () => {
    const loading = load();
    await vi.waitFor(() => expect(loading.requests()).toBeGreaterThan(20), { timeout: 30_000 });
    await analyzers[0]?.kill();
    const at = loading.requests();
    await vi.waitFor(() => expect(loading.requests()).toBeGreaterThan(at + 40), { timeout: 60_000 });
    analyzers[0] = await roles.start('analyzer');
    await loading.stop();
    await settled();
  });

  it('goes on taking while the store is away, and has everything once when it is back', async () => {
    const loading = load();
    await vi.waitFor(() => expect(loading.requests()).toBeGreaterThan(20), { timeout: 30_000 });
    await front.kill();
    const at = loading.requests();
    await vi.waitFor(() => expect(loading.requests()).toBeGreaterThan(at + 40), { timeout: 60_000 });
    await front.start();
    await loading.stop();
    await settled();
  });

  it('loses and doubles nothing when the broker is killed under load, and comes back', async () => {
    const loading = load();
    await vi.waitFor(() => expect(loading.requests()).toBeGreaterThan(20), { timeout: 30_000 });
    await broker.kill();
    await broker.start();
    const at = loading.requests();
    await vi.waitFor(() => expect(loading.requests()).toBeGreaterThan(at + 20), { timeout: 90_000 });
    await loading.stop();
    await settled();
  });
});

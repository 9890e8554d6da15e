import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fill, mountSmallDisk } from '../full-disk.ts';
import { allCalls, createServers, ledgerOf, post, tracesBody, type SentSpan } from './server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

const spanIn = (trace_id: string): SentSpan => ({ trace_id, span_id: randomBytes(8).toString('hex') });
const spans = (count: number): SentSpan[] => Array.from({ length: count }, () => spanIn(randomBytes(16).toString('hex')));
const nameOf = ({ trace_id, span_id }: SentSpan): string => `${trace_id}/${span_id}`;

/** A request: what is in it, and its bytes, which a sender sends again unchanged. */
type Sent = { readonly batch: readonly SentSpan[]; readonly body: string };

/** Several senders at once until the server is gone. Answers what was acknowledged, and the requests that were not answered. */
async function sendUntilGone(url: string, senders: number): Promise<{ acknowledged: string[]; unanswered: Sent[] }> {
  const acknowledged: string[] = [];
  const unanswered: Sent[] = [];
  const sender = async (): Promise<void> => {
    for (;;) {
      const batch = spans(20);
      const body = tracesBody(batch, Date.now());
      try {
        const response = await post(url, body);
        // Only the whole answer counts: its head may have left before the end.
        await response.arrayBuffer();
        if (response.status !== 200) throw new Error(`answered ${response.status}`);
        acknowledged.push(...batch.map(nameOf));
      } catch {
        unanswered.push({ batch, body });
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: senders }, sender));
  return { acknowledged, unanswered };
}

describe('the server, killed under load', () => {
  it('has every acknowledged span once after kill -9 at any moment, and a ledger that balances', { timeout: 180_000 }, async () => {
    const data = await servers.directory();
    const acknowledged = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 1_500 }), async (killAfterMs) => {
        const mortal = await servers.start(data);
        const timer = setTimeout(() => mortal.child.kill('SIGKILL'), killAfterMs);
        const sent = await sendUntilGone(mortal.url, 4);
        clearTimeout(timer);
        for (const span of sent.acknowledged) acknowledged.add(span);
        await mortal.kill();

        const next = await servers.start(data);
        const found = await allCalls(next.url);
        const distinct = new Set(found);
        expect(found.length).toBe(distinct.size);
        expect([...acknowledged].filter((span) => !distinct.has(span))).toEqual([]);
        expect(await ledgerOf(next.url)).toMatchObject({ balanced: true, stored: found.length, waiting: 0 });
        // What was not answered is sent again, as an SDK does: it is there once, whether it had been stored or not.
        for (const { batch, body } of sent.unanswered) {
          expect((await post(next.url, body)).status).toBe(200);
          for (const span of batch) acknowledged.add(nameOf(span));
        }
        const all = await allCalls(next.url);
        expect(all.toSorted()).toEqual([...acknowledged].toSorted());
        expect(await ledgerOf(next.url)).toMatchObject({ balanced: true, stored: all.length });
        await next.kill();
      }),
      { numRuns: 3, endOnFailure: true },
    );
    expect(acknowledged.size).toBeGreaterThan(100);
  });
});

describe('the server on a full disk', () => {
  it('refuses with 503 and Retry-After, answers queries, and goes on when there is room', { timeout: 90_000 }, async (context) => {
    const directory = await servers.directory();
    const disk = mountedOn(directory);
    if (disk === null) return context.skip('a small file system to fill needs the right to mount one');
    try {
      const { calls, expected } = await fillAndFree(directory);
      expect(calls).toEqual(expected);
    } finally {
      disk.unmount();
    }
  });

  function mountedOn(directory: string): ReturnType<typeof mountSmallDisk> | null {
    try {
      return mountSmallDisk(directory, 96);
    } catch {
      return null;
    }
  }

  async function fillAndFree(directory: string): Promise<{ calls: string[]; expected: string[] }> {
    const server = await servers.start(join(directory, 'data'));
    const before = spans(20);
    expect((await post(server.url, tracesBody(before, Date.now()))).status).toBe(200);

    const filler = join(directory, 'filler');
    fill(filler);
    const refused = spans(20);
    const refusedBody = tracesBody(refused, Date.now());
    // The last free block may still take a small insert.
    const answer = await vi.waitFor(
      async () => {
        const response = await post(server.url, refusedBody);
        if (response.status === 200) fill(filler);
        expect(response.status).toBe(503);
        return response;
      },
      { timeout: 20_000, interval: 200 },
    );
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.text()).toMatch(/No space left|not enough space|disk/i);
    expect((await fetch(`${server.url}/v1/calls?limit=1`)).status).toBe(200);

    rmSync(filler);
    await vi.waitFor(async () => expect((await post(server.url, refusedBody)).status).toBe(200), { timeout: 20_000, interval: 200 });
    const calls = (await allCalls(server.url)).toSorted();
    expect(await ledgerOf(server.url)).toMatchObject({ balanced: true, stored: 40 });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    return { calls, expected: [...before, ...refused].map(nameOf).toSorted() };
  }
});

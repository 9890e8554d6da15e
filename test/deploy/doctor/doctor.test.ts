import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { clockFinding, roomFinding } from '../../../deploy/doctor/finding.ts';
import { namesFindings } from '../../../deploy/doctor/names.ts';
import { openEmbeddedStore } from '../../../deploy/store-embedded.ts';
import { culprit } from '../../built.ts';
import { createServers, post, tracesBody } from '../server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

type Report = { ok: boolean; findings: { check: string; state: string; found: string; fix: string | null }[] };

async function examined(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ code: number | null; report: Report; wrong: string[] }> {
  const { code, output } = await culprit(['doctor', '--json', ...args], { env: env });
  const report = JSON.parse(output) as Report;
  return { code, report, wrong: report.findings.filter(({ state }) => state === 'wrong').map(({ check }) => check) };
}

const lines = (output: string): string[] => output.trim().split('\n');

describe('culprit doctor, embedded', { timeout: 60_000 }, () => {
  it('finds nothing wrong with a directory that is not there yet, and makes none', async () => {
    const data = join(await servers.directory(), 'data');
    const { code, output } = await culprit(['doctor', '--data', data]);
    expect(output).toContain(`watch  data directory ${data}: is not there yet → nothing to do`);
    expect(code).toBe(0);
    expect((await examined(['--data', data])).report.findings).toHaveLength(1);
  });

  it('asks the server that runs on it, and once it has ended looks into the store itself', async () => {
    const data = await servers.directory();
    const server = await servers.start(data);
    const port = new URL(server.url).port;
    await post(server.url, tracesBody([{ trace_id: 'a'.repeat(32), span_id: 'a'.repeat(16) }], Date.now()));
    const file = join(await servers.directory(), 'culprit.yaml');
    writeFileSync(file, 'metrics: { eror_rate: { severity: ticket } }\n');
    const running = await culprit(['doctor', '--data', data, '--port', port, '--config', file]);
    expect(running.code).toBe(0);
    expect(lines(running.output).every((line) => /^(ok   |watch)  [^:]+.*: /.test(line))).toBe(true);
    expect(running.output).toContain(`ok     lock: process ${server.child.pid} runs on it`);
    expect(running.output).toContain(`ok     server ${server.url}: is ready`);
    expect(running.output).toContain('ok     ledger: balances');
    expect(running.output).toContain('watch  metrics.eror_rate: no score of that name came in the last 7 days → did you mean error_rate?');
    expect(await server.stop()).toEqual({ code: 0, signal: null });

    const ended = await examined(['--data', data]);
    expect(ended.code).toBe(0);
    expect(ended.report.findings).toEqual(expect.arrayContaining([expect.objectContaining({ check: 'schema', state: 'ok' }), expect.objectContaining({ check: 'ledger', state: 'ok', found: 'balances' })]));

    // What it looked at can still be used, and it left nothing behind.
    const again = await servers.start(data);
    expect((await fetch(`${again.url}/readyz`)).status).toBe(200);
  });

  it('says what is wrong with what is in the store, and what mends it', async () => {
    const data = await servers.directory();
    await (await servers.start(data)).stop();
    const store = await openEmbeddedStore({ directory: join(data, 'store') });
    await store.insert('ledger', [{ project: 'default', hour: '1764000000', signal: 'traces', outcome: 'received', reason: '', count: 5, last_batch: 1 }]);
    await store.insert('parked', [{ project: 'default', parked_id: 'p', signal: 'traces', encoding: 'json', received_ms: Date.now(), changed_ms: Date.now(), state: 'parked', records: 5, bytes: 9, reason: 'a test', body: '' }]);
    await store.close();
    const { code, report, wrong } = await examined(['--data', data]);
    expect(code).toBe(1);
    expect(report.ok).toBe(false);
    expect(wrong).toEqual(['ledger']);
    expect(report.findings.find(({ check }) => check === 'ledger')).toMatchObject({ found: 'differs by 5: received and not accounted for', fix: 'docs/RUNBOOK.md#culpritledgerunbalanced' });
    expect(report.findings.find(({ check }) => check === 'parked messages')).toMatchObject({ state: 'watch', found: '1 could not be stored' });
  });

  it('refuses a store of a newer version, by the name of what it does not know', async () => {
    const data = await servers.directory();
    await (await servers.start(data)).stop();
    const store = await openEmbeddedStore({ directory: join(data, 'store') });
    await store.insert('migrations', [{ name: '9999_from_the_future.sql', checksum: 'x' }]);
    await store.close();
    const { code, report } = await examined(['--data', data]);
    expect(code).toBe(1);
    expect(report.findings.at(-1)).toMatchObject({ check: 'schema', state: 'wrong', found: expect.stringContaining('9999_from_the_future.sql') as string });
  });

  it('says so where the directory is a file, or the store was not made by the engine', async () => {
    const directory = await servers.directory();
    const file = join(directory, 'file');
    writeFileSync(file, '');
    expect(await examined(['--data', file])).toMatchObject({ code: 1, wrong: [`data directory ${file}`] });
    const broken = join(directory, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'store'), 'no directory');
    expect(await examined(['--data', broken])).toMatchObject({ code: 1, wrong: ['store'] });
  });
});

describe('culprit doctor, of things that are not there', { timeout: 60_000 }, () => {
  it('says of each that it does not answer, and what to look at; no secret is in it', async () => {
    const secrets = { CULPRIT_CLICKHOUSE_PASSWORD: 'hunter2-of-clickhouse', CULPRIT_API_KEY: 'clp_hunter2-of-the-api' };
    const { code, output } = await culprit(['doctor', '--kafka-brokers', '127.0.0.1:1,127.0.0.1:2', '--clickhouse-url', 'http://127.0.0.1:1'], { env: secrets });
    expect(code).toBe(1);
    const said = lines(output);
    expect(said).toHaveLength(3);
    expect(said[0]).toMatch(/^WRONG {2}Kafka broker 127\.0\.0\.1:1: does not answer: .* → does it run/);
    expect(said[1]).toMatch(/^WRONG {2}Kafka broker 127\.0\.0\.1:2: /);
    expect(said[2]).toMatch(/^WRONG {2}ClickHouse http:\/\/127\.0\.0\.1:1: does not answer default in the database default: .* → are clickhouse\.url/);
    const server = await culprit(['doctor', '--server', 'http://127.0.0.1:1'], { env: secrets });
    expect(server.code).toBe(1);
    expect(server.output).toMatch(/^WRONG {2}server http:\/\/127\.0\.0\.1:1: does not answer: .* → start it/);
    expect(output + server.output).not.toContain('hunter2');
  });

  it.each(['127.0.0.1:4318', 'localhost:4318', 'http://'])('says of %s that it is no address', async (address) => {
    for (const command of [['doctor', '--server'], ['verdict', '--prompt', 'a', '--candidate', 'b', '--server'], ['keys', 'list', '--server'], ['traffic']]) {
      const { output } = await culprit([...command, address]);
      expect(output, command[0]).toContain(`${address} is no address of a server; write it in full, like http://127.0.0.1:4318`);
    }
  });

  it('asks for a key where the server wants one', async () => {
    const data = await servers.directory();
    expect((await culprit(['keys', 'create', '--data', data, '--name', 'mine', '--scopes', 'read'])).code).toBe(0);
    const server = await servers.start(data);
    const { code, wrong, report } = await examined(['--server', server.url]);
    expect([code, wrong]).toEqual([1, ['API key']]);
    expect(report.findings.at(-1)?.fix).toContain('CULPRIT_API_KEY');
  });
});

describe('judgements', () => {
  it('of names in the configuration that nobody sends', () => {
    const named = { metrics: { latnecy: {}, latency: {}, quality: {}, brand_new_judge: {} }, prompts: { 'support/*': { metrics: { qualty: {} } }, 'refund-agnet': {}, refund: {}, 'checkout/*': {} } };
    const found = namesFindings(named, { scores: ['quality'], prompts: ['support/answer', 'refund-agent'] });
    expect(found.map(({ check, state, fix }) => [check, state, fix])).toEqual([
      ['metrics.latnecy', 'watch', 'did you mean latency?'],
      ['metrics.brand_new_judge', 'watch', 'correct its spelling, or leave it for what is still to come'],
      ['prompts.support/*.metrics.qualty', 'watch', 'did you mean quality?'],
      ['prompts.refund-agnet', 'watch', 'did you mean refund-agent?'],
      ['prompts.refund', 'watch', 'correct its spelling, or leave it for what is still to come'],
      ['prompts.checkout/*', 'watch', 'correct its spelling, or leave it for what is still to come'],
    ]);
    expect(namesFindings(named, { scores: [], prompts: [] })).toEqual([]);
    expect(namesFindings({ metrics: { latency: {} }, prompts: { 'refund-*': {} } }, { scores: [], prompts: ['refund-agent'] })).toMatchObject([{ state: 'ok' }]);
  });

  it('of room on a disk', () => {
    const judged = (freeGiB: number, totalGiB: number) => roomFinding('disk', { freeBytes: freeGiB * 2 ** 30, totalBytes: totalGiB * 2 ** 30 }).state;
    expect([judged(50, 100), judged(9, 100), judged(0.5, 2), judged(0, 0)]).toEqual(['ok', 'watch', 'wrong', 'wrong']);
  });

  it('of clocks', () => {
    expect([0, -1_900, 2_100, -29_000, 31_000].map((ms) => clockFinding('clock', ms).state)).toEqual(['ok', 'ok', 'watch', 'watch', 'wrong']);
  });
});

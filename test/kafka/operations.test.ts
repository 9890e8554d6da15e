import { describe, expect, it } from 'vitest';
import { culprit } from '../built.ts';
import { type Front } from '../clickhouse/front.ts';
import { valueOf } from '../deploy/operations/exposition.ts';
import { allCalls, post, tracesBody } from '../deploy/server-process.ts';
import { type Broker } from './broker.ts';
import { withRoles } from './processes.ts';
import type { RoleProcess, Roles } from './roles.ts';

/** What roles over a real broker tell whoever runs them. */

let broker: Broker;
let front: Front;
let roles: Roles;
let collector: RoleProcess;
let analyzer: RoleProcess;
let api: RoleProcess;

withRoles(async (cluster) => {
  ({ broker, front, roles } = cluster);
  collector = await roles.start('collector');
  analyzer = await roles.start('analyzer');
  api = await roles.start('api');
}, ['--operations-port', '0', '--clickhouse-password', 'hunter2-of-clickhouse']);

const operationsOf = (role: RoleProcess): string => /probes are at\s+(http:\/\/\S+)/.exec(role.output())?.[1] ?? '';
const metricsOf = async (role: RoleProcess): Promise<string> => (await fetch(`${operationsOf(role)}/metrics`)).text();
const readiness = async (role: RoleProcess): Promise<string> => {
  const response = await fetch(`${operationsOf(role)}/readyz`);
  return `${response.status} ${await response.text()}`.trim();
};

type Finding = { check: string; state: string; found: string };
async function doctor(): Promise<{ code: number | null; findings: Finding[] }> {
  const { code, stdout } = await culprit(['doctor', '--json', '--kafka-brokers', broker.address, '--clickhouse-url', front.url]);
  return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

describe('roles in processes of their own', { timeout: 240_000 }, () => {
  it('are ready, each by what it needs', async () => {
    for (const role of [collector, analyzer, api]) await expect.poll(() => readiness(role), { timeout: 20_000 }).toBe('200 ok');
    // Also where senders and people come.
    for (const role of [collector, api]) expect((await fetch(`${role.url}/readyz`)).status).toBe(200);
  });

  it('tell what they do: requests of the collector, lag of the analyzer, the ledger from the api', async () => {
    const span = { trace_id: 'a'.repeat(32), span_id: 'a'.repeat(16) };
    // From a clock that is an hour ahead, which is told by a flag.
    expect((await post(collector.url, tracesBody([span], Date.now() + 3_600_000))).status).toBe(200);
    await expect.poll(() => allCalls(api.url), { timeout: 30_000 }).toHaveLength(1);
    expect(valueOf(await metricsOf(collector), 'culprit_requests_total', { status: '200', reason: 'accepted' })).toBe(1);
    await expect.poll(async () => {
      const text = await metricsOf(analyzer);
      return ['0', '1', '2', '3'].map((partition) => valueOf(text, 'culprit_kafka_consumer_lag', { topic: 'otlp_spans', partition }));
    }, { timeout: 30_000 }).toEqual([0, 0, 0, 0]);
    expect(valueOf(await metricsOf(analyzer), 'culprit_store_inserted_rows_total', { table: 'calls' })).toBe(1);
    expect(valueOf(await metricsOf(analyzer), 'culprit_calls_flagged_total', { flag: 'clock_far_off' })).toBe(1);
    await expect.poll(async () => valueOf(await metricsOf(api), 'culprit_ledger_records', { signal: 'traces', outcome: 'received', reason: '' }), { timeout: 30_000, interval: 500 }).toBe(1);
    expect(valueOf(await metricsOf(api), 'culprit_ledger_difference', {})).toBe(0);
  });

  it('are found well by the doctor', async () => {
    const { code, findings } = await doctor();
    expect(findings.filter(({ state }) => state === 'wrong')).toEqual([]);
    expect(code).toBe(0);
    expect(findings).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ check: 'topic otlp_spans', found: '4 partitions, 1 replica' }),
        expect.objectContaining({ check: 'group culprit', found: '1 analyzer, Stable' }),
        expect.objectContaining({ check: 'lag', found: 'everything is stored' }),
        expect.objectContaining({ check: 'schema', state: 'ok' }),
        expect.objectContaining({ check: 'clock of ClickHouse', state: 'ok' }),
        expect.objectContaining({ check: 'ledger', found: 'balances' }),
      ]),
    );
  });

  it('without the store: the api and the analyzer are not ready, the collector goes on, and the doctor says which it is', async () => {
    await front.kill();
    await expect.poll(() => readiness(api), { timeout: 20_000 }).toBe('503 not ready: no answer from store');
    expect(await readiness(analyzer)).toBe('503 not ready: no answer from store');
    expect(await readiness(collector)).toBe('200 ok');
    expect((await fetch(`${operationsOf(api)}/livez`)).status).toBe(200);
    await expect.poll(async () => valueOf(await metricsOf(api), 'culprit_store_up', {}), { timeout: 30_000, interval: 500 }).toBe(0);
    const { code, findings } = await doctor();
    expect(code).toBe(1);
    expect(findings.filter(({ state }) => state === 'wrong').map(({ check }) => check)).toEqual([`ClickHouse ${front.url}`]);
    await front.start();
    await expect.poll(() => readiness(api), { timeout: 20_000 }).toBe('200 ok');
  });

  it('without the broker: the collector is not ready, and is again when it is back', async () => {
    await broker.stop();
    await expect.poll(() => readiness(collector), { timeout: 30_000 }).toBe('503 not ready: no answer from kafka');
    expect((await fetch(`${operationsOf(collector)}/livez`)).status).toBe(200);
    const { code, findings } = await doctor();
    expect(code).toBe(1);
    expect(findings.filter(({ state }) => state === 'wrong').map(({ check }) => check)).toEqual([`Kafka broker ${broker.address}`]);
    await broker.start();
    await expect.poll(() => readiness(collector), { timeout: 30_000 }).toBe('200 ok');
  });

  it('end with 0 when they are told to, and each line of their log says which role wrote it, and no secret', async () => {
    for (const [name, role] of Object.entries({ collector, analyzer, api })) {
      role.child.kill('SIGTERM');
      await expect.poll(() => role.child.exitCode, { timeout: 35_000, message: name }).toBe(0);
      const logged = role.output().split('\n').filter((line) => line.startsWith('{'));
      for (const line of logged) expect(JSON.parse(line)).toMatchObject({ role: name, level: expect.any(Number) as number, time: expect.any(Number) as number, msg: expect.any(String) as string });
      expect(role.output()).not.toContain('hunter2');
    }
    // The store and the broker were away: that was told.
    expect(analyzer.output()).toContain('"role":"analyzer"');
  });
});

import type { Config } from '../../schemas/config.ts';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import { openServerStore } from '../store-server.ts';
import { clockFinding, ok, roomFinding, saidBy, watch, wrong, type Finding } from './finding.ts';
import { examineStore } from './store.ts';

/** A ClickHouse server or cluster: whether it answers us, its version, clock, disks, replicas and parts, and what is in it. */

/** A table with so many active parts of one partition slows down, and at 3,000 refuses inserts. */
const MANY_PARTS = 300;

export async function examineClickHouse({ clickhouse }: Config, clock: Clock): Promise<Finding[]> {
  const check = `ClickHouse ${clickhouse.url}`;
  let store: Store;
  try {
    store = openServerStore(clickhouse, { maxSeconds: 10 });
  } catch (error) {
    return [wrong(check, saidBy(error), 'correct the setting that it names')];
  }
  try {
    const askedMs = clock();
    let server: { server_version: string; now_ms: number } | undefined;
    try {
      [server] = await store.select<{ server_version: string; now_ms: number }>('SELECT version() AS server_version, toUnixTimestamp64Milli(now64(3)) AS now_ms');
    } catch (error) {
      return [wrong(check, `does not answer ${clickhouse.username} in the database ${clickhouse.database}: ${saidBy(error)}`, 'are clickhouse.url, username, password_file and database right, and does it run?')];
    }
    const answeredMs = clock();
    const findings = [ok(check, `version ${server?.server_version ?? 'unknown'} answers ${clickhouse.username} in ${Math.round(answeredMs - askedMs)} ms`)];
    // What an answer took is no difference of clocks.
    const difference = (server?.now_ms ?? answeredMs) - (askedMs + answeredMs) / 2;
    findings.push(clockFinding('clock of ClickHouse', Math.sign(difference) * Math.max(0, Math.abs(difference) - (answeredMs - askedMs) / 2)));
    findings.push(...(await lookedUp('disks of ClickHouse', () => diskFindings(store))));
    if (clickhouse.cluster !== undefined) findings.push(...(await lookedUp('replicas', () => replicaFindings(store))));
    findings.push(...(await lookedUp('parts', () => partFindings(store))));
    return [...findings, ...(await examineStore(store, { nowMs: clock(), isRunning: true }))];
  } finally {
    await store.close();
  }
}

/** System tables that this user may not read are no fault. */
async function lookedUp(check: string, find: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await find();
  } catch (error) {
    return [watch(check, `cannot be looked at: ${saidBy(error)}`, 'grant SELECT on system.disks, system.replicas and system.parts to the user, or look yourself')];
  }
}

async function diskFindings(store: Store): Promise<Finding[]> {
  const disks = await store.select<{ name: string; free: number; total: number }>('SELECT name, toFloat64(free_space) AS free, toFloat64(total_space) AS total FROM system.disks WHERE total_space > 0 AND total_space < 1e18 ORDER BY name LIMIT 50');
  return disks.map(({ name, free, total }) => roomFinding(`ClickHouse disk ${name}`, { freeBytes: free, totalBytes: total }));
}

async function replicaFindings(store: Store): Promise<Finding[]> {
  const late = await store.select<{ table: string; is_readonly: number; absolute_delay: number }>('SELECT table, is_readonly, absolute_delay FROM system.replicas WHERE database = currentDatabase() AND (is_readonly OR absolute_delay > 60) ORDER BY table LIMIT 50');
  if (late.length === 0) return [ok('replicas', 'follow')];
  return late.map(({ table, is_readonly, absolute_delay }) => wrong(`replica of ${table}`, is_readonly === 1 ? 'is read-only' : `is ${absolute_delay} s behind`, 'is Keeper there, and are the other replicas?'));
}

async function partFindings(store: Store): Promise<Finding[]> {
  const many = await store.select<{ table: string; parts: number }>('SELECT table, count() AS parts FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table, partition HAVING parts > {most:UInt32} ORDER BY parts DESC LIMIT 10', { most: MANY_PARTS });
  if (many.length === 0) return [ok('parts', 'few')];
  return many.map(({ table, parts }) => watch(`parts of ${table}`, `${parts} in one partition`, 'keep clickhouse.async_inserts on; is the disk of the server slow?'));
}

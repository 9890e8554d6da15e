import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BINARY } from '../built.ts';
import { type Front } from '../clickhouse/front.ts';
import { receiver } from '../api/sinks/receiver.ts';
import { ledgerOf } from '../deploy/server-process.ts';
import { callsOf, linesOf, scenario } from '../simulation/traffic.ts';
import { type Broker } from './broker.ts';
import { withRoles } from './processes.ts';
import { alertsOfReplay, appendRecording, essencesOf, RAISED, type Told } from './recorded.ts';
import type { Roles } from './roles.ts';

/** The same traffic through a replay in one process, and through Kafka, two analyzers and a store over HTTP: the same verdict, to the last bit. */

let broker: Broker;
let front: Front;
let roles: Roles;
let directory: string;

withRoles((cluster) => void ({ broker, front, roles } = cluster));
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'culprit-verdicts-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function asked(sql: string): Promise<unknown[]> {
  const answer = await fetch(front.url, { method: 'POST', body: `${sql} FORMAT JSONEachRow` });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text.split('\n').filter((line) => line !== '').map((line): unknown => JSON.parse(line));
}

describe('verdicts over Kafka', { timeout: 300_000 }, () => {
  it('are those of a replay, although an analyzer is killed on the way', async () => {
    // Of the last hour, so that the clock of the log has not far to go from its end to now.
    const beginMs = Math.floor((Date.now() - 58 * 60_000) / 60_000) * 60_000;
    const traffic = scenario({ beginMs, minutes: 45, callsPerMinute: 60, versions: [[0, { v1: 1 }], [15, { v1: 0.5, v2: 0.5 }]], changes: [{ version: 'v2', error: 0.25 }] });
    const calls = callsOf(traffic, 71);
    const file = join(directory, 'traffic.jsonl');
    await writeFile(file, `${linesOf(traffic, calls).join('\n')}\n`);
    const expected = await alertsOfReplay(BINARY, file);
    expect(expected.length).toBeGreaterThan(0);

    await appendRecording(broker.address, file);
    const hook = await receiver();
    const config = join(directory, 'culprit.yaml');
    await writeFile(config, `allow_private_addresses: true\nwebhooks: [{ name: hook, url: '${hook.url}', secret: whsec_${Buffer.alloc(32, 7).toString('base64')} }]\n`);
    const [mortal] = await Promise.all([roles.start('analyzer'), roles.start('analyzer')]);
    // A sink hears of what is raised from when it was added on; this one was there before the traffic.
    const added = `INSERT INTO deliveries (transition_id, sink, attempt, at_ms, outcome, detail) VALUES ('', 'hook', 0, ${beginMs}, 'added', '')`;
    expect((await fetch(front.url, { method: 'POST', body: added })).status).toBe(200);
    // Two that could deliver: one does.
    const [api] = await Promise.all([roles.start('api', ['--config', config]), roles.start('api', ['--config', config])]);
    await vi.waitFor(async () => expect((await ledgerOf(api.url)).stored).toBeGreaterThan(0), { timeout: 60_000, interval: 100 });
    await mortal.end('SIGKILL');
    const read = async () => essencesOf((await asked(RAISED)).map((row) => (row as { body: string }).body));
    await vi.waitFor(async () => expect((await read()).length).toBe(expected.length), { timeout: 120_000, interval: 500 });
    expect(await ledgerOf(api.url)).toMatchObject({ balanced: true, waiting: 0 });
    // Each is in the slot of its arrival; a score in the later one of its own and its call's.
    const slot = 'intDiv(received_ms, 30000)';
    expect(await asked(`SELECT slot - ${slot} AS off, count() AS calls FROM calls FINAL WHERE off != 0 GROUP BY off`)).toEqual([]);
    expect(
      await asked(`SELECT s.slot - greatest(intDiv(s.received_ms, 30000), c.slot) AS off, s.revision AS revision, count() AS scores FROM scores AS s FINAL INNER JOIN (SELECT trace_id, span_id, slot FROM calls FINAL) AS c
        ON s.call_trace_id = c.trace_id AND s.call_span_id = c.span_id WHERE off != 0 GROUP BY off, revision`),
    ).toEqual([]);
    expect(await read()).toEqual(expected);
    const told = () => hook.received.filter(({ body }) => (JSON.parse(body) as { data: Told }).data.id === expected[0]?.id);
    await vi.waitFor(() => expect(told().length).toBeGreaterThan(0), { timeout: 20_000, interval: 100 });
    expect(told().map(({ headers }) => headers['webhook-id'])).toEqual([expect.any(String)]);
    await hook.close();
  });
});

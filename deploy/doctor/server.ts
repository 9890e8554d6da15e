import { z } from 'zod';
import type { Clock } from '../../schemas/clock.ts';
import type { Config } from '../../schemas/config.ts';
import { VERSION } from '../version.ts';
import { clockFinding, ok, saidBy, watch, wrong, type Finding } from './finding.ts';
import { examineNames } from './names.ts';
import { behindFinding, ledgerOf, parkedFinding } from './store.ts';

/** A running server, through its API. */

const ANSWERED_MS = 15_000;
const Status = z.object({ now_ms: z.number(), version: z.string(), behind_ms: z.number().nullable() });
const Ledger = z.object({ difference: z.number(), parked: z.object({ messages: z.number() }) });
const Sinks = z.object({ sinks: z.array(z.object({ name: z.string(), state: z.string(), waiting: z.number(), last_problem: z.string().nullable() })) });

/** @param key of a project, with the scope `read`. `config`: whose names of metrics and prompts are looked for in what came. */
export async function examineServer(base: string, { key, clock, config }: { readonly key: string | undefined; readonly clock: Clock; readonly config: Pick<Config, 'metrics' | 'prompts'> }): Promise<Finding[]> {
  const check = `server ${base}`;
  const get = (path: string, request: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, base), { ...request, headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), 'content-type': 'application/json' }, redirect: 'error', signal: AbortSignal.timeout(ANSWERED_MS) });
  const read = async <Schema extends z.ZodType>(path: string, schema: Schema, request?: RequestInit): Promise<z.output<Schema>> => {
    const response = await get(path, request);
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return schema.parse(await response.json());
  };
  let ready: Response;
  try {
    ready = await get('/readyz');
  } catch (error) {
    return [wrong(check, `does not answer: ${saidBy(error instanceof Error ? (error.cause ?? error) : error)}`, 'start it (culprit), or name another (--server URL)')];
  }
  const said = (await ready.text()).trim().slice(0, 200);
  const findings: Finding[] = [ready.ok ? ok(check, 'is ready') : wrong(check, said, 'see its log; docs/RUNBOOK.md')];
  const askedMs = clock();
  const response = await get('/v1/status');
  if (response.status === 401 || response.status === 403) return [...findings, wrong('API key', `the server answers ${response.status}`, 'put a key with the scope read into CULPRIT_API_KEY (culprit keys create)')];
  try {
    const status = Status.parse(await response.json());
    const answeredMs = clock();
    findings.push(status.version === VERSION ? ok('version', VERSION) : watch('version', `the server is ${status.version}, this is ${VERSION}`, 'ask with the same version, or finish the upgrade'));
    findings.push(clockFinding('clock of the server', status.now_ms - Math.min(Math.max(status.now_ms, askedMs), answeredMs)));
    findings.push(status.behind_ms === null ? ok('evidence', 'nothing was looked at yet') : behindFinding(status.behind_ms, true));
    const ledger = await read('/v1/ledger', Ledger);
    findings.push(ledgerOf(ledger.difference), parkedFinding('parked messages', ledger.parked.messages));
    for (const { name, state, waiting, last_problem } of (await read('/v1/sinks', Sinks)).sinks) {
      const sink = `sink ${name}`;
      if (state === 'disabled') findings.push(wrong(sink, `is disabled: ${last_problem ?? 'it wants nothing more'}`, 'correct or remove it in the configuration, then restart'));
      else if (last_problem !== null) findings.push(wrong(sink, `${last_problem}; ${waiting} transitions wait`, 'docs/RUNBOOK.md#culpritsinkfailing'));
      else findings.push(ok(sink, `${waiting} transitions wait`));
    }
    findings.push(...(await examineNames(config, (sql) => read('/v1/query', z.unknown(), { method: 'POST', body: JSON.stringify({ sql }) }))));
  } catch (error) {
    findings.push(wrong(check, saidBy(error), 'see its log'));
  }
  return findings;
}

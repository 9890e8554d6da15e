import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { slotOf } from '../../analyzer/slots.ts';
import type { Store } from '../../schemas/store.ts';
import { randomFrom, seedRollout } from '../api/traffic.ts';
import { configuredKey, startGuarded, type Guarded } from './guarded.ts';

/**
 * Two projects with the same kinds of data, and every operation that the OpenAPI document names, asked by each of them with the ids and
 * names of the other. Whatever an answer holds of the other project, beyond what was in the question, is a leak.
 */
const PROJECTS = ['shop', 'bank'] as const;
type Project = (typeof PROJECTS)[number];
const keys = { shop: configuredKey('shop', ['act']), bank: configuredKey('bank', ['act']) };
const senders = { shop: configuredKey('shop', ['ingest']), bank: configuredKey('bank', ['ingest']) };
const admin = configuredKey('shop', ['admin']);
const nowMs = Date.now();

type Known = { prompt: string; comparisonId: string; alertId: string; traceId: string; spanId: string; rolloutId: string };
const known = {} as Record<Project, Known>; // filled by the seed below, before anything reads it
let server: Guarded;

/** Rows of the one project that the seeding knows, as of another. */
function within(store: Store, project: Project): Store {
  const moved = (row: object): object => JSON.parse(JSON.stringify(row).replaceAll('"project":"default"', `"project":"${project}"`).replaceAll('\\"project\\":\\"default\\"', `\\"project\\":\\"${project}\\"`)) as object;
  return { ...store, insert: (table, rows) => store.insert(table, rows.map(moved)) };
}

beforeAll(async () => {
  server = await startGuarded({ content: 'stored', access: { keys: [admin, ...Object.values(keys), ...Object.values(senders)].map(({ entry }) => entry) } }, async (store) => {
    const random = randomFrom(5);
    // The seeded slots are of another length: the look begins with what comes now.
    await store.insert('look_progress', [{ owner: 'embedded', slot: slotOf(nowMs) }]);
    for (const project of PROJECTS) {
      const prompt = `secret-of-${project}`;
      const { comparisonId, alertId, calls } = await seedRollout(
        within(store, project),
        { prompt, baseline: { version: 'v1', share: 0.5, errorRate: 0.01, medianMs: 900, quality: 0.86 }, candidate: { version: 'v2', share: 0.5, errorRate: 0.2, medianMs: 880, quality: 0.85 }, beganMs: nowMs - 50 * 60_000, callsPerMinute: 40, raisesAlert: true },
        { fromMs: nowMs - 60 * 60_000, toMs: nowMs },
        random,
      );
      const call = calls.find(({ is_error }) => is_error);
      if (call === undefined || alertId === null) throw new Error('nothing was seeded');
      known[project] = { prompt, comparisonId, alertId, traceId: call.trace_id, spanId: call.span_id, rolloutId: '' };
      await store.insert('contents', [{ project, event_time: call.event_time, trace_id: call.trace_id, span_id: call.span_id, end_ns: call.end_ns, mode: 'stored', input: `words of secret-of-${project}`, output: null, over_limit: [] }]);
      await store.insert('version_events', [{ project, prompt_name: prompt, version: 'v2', event_id: `evt_${project}`, at_ms: nowMs, kind: 'registered', source: 'api', actor: '', label: '', facts: JSON.stringify({ author: `hidden-${project}` }) }]);
      await store.insert('ledger', [{ project, hour: String(Math.floor(nowMs / 3_600_000) * 3600), signal: 'traces', outcome: 'stored', reason: '', count: calls.length, last_batch: 1 }]);
    }
  });
  for (const project of PROJECTS) {
    const declared = await server.ask('/v1/rollouts', { key: keys[project].secret, body: { prompt: known[project].prompt, candidate: 'v2', steps: [{ share_percent: 50 }, { share_percent: 100 }], reason: `hidden-${project}` } });
    known[project].rolloutId = ((await declared.json()) as Json)['id'];
  }
}, 60_000);
afterAll(() => server.close());

type Json = Record<string, any>; // eslint-disable-line -- the document is read as what it says

/** A value for a parameter, of one project. A new parameter that names something of a project belongs here. */
function valueOf(operation: string, name: string, { prompt, comparisonId, alertId, traceId, spanId, rolloutId }: Known): string {
  const values: Readonly<Record<string, string>> = { trace_id: traceId, span_id: spanId, name: operation.includes('/prompts/') ? prompt : 'quality', prompt, prompt_name: prompt, candidate: 'v2', metric: 'error_rate', times: '3', a: 'v1', b: 'v2', from: String(nowMs - 7_200_000) };
  return name === 'id' ? (operation.includes('alert') ? alertId : operation.includes('rollout') ? rolloutId : comparisonId) : (values[name] ?? prompt);
}

async function operations(): Promise<{ method: string; path: string; operation: Json }[]> {
  const document = (await (await server.ask('/openapi.json', { key: keys.shop.secret })).json()) as Json;
  return Object.entries<Json>(document['paths']).flatMap(([path, methods]) => Object.entries<Json>(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })));
}

/** The operation, asked with what one project knows. With all optional texts that name something, and with the needed parameters only. */
function requestsOf({ path, operation }: { path: string; operation: Json }, of: Known): string[] {
  const parameters: Json[] = operation['parameters'] ?? [];
  const filled = parameters.filter(({ in: place }) => place === 'path').reduce((address: string, { name }) => address.replace(`{${name}}`, encodeURIComponent(valueOf(path, name, of))), path);
  const query = (chosen: Json[]): string => new URLSearchParams(chosen.map(({ name }): [string, string] => [name, valueOf(path, name, of)])).toString();
  // Of its several ways to say how much, a plan needs one.
  const needed = parameters.filter((parameter) => parameter['in'] === 'query' && (parameter['required'] === true || (path === '/v1/plan' && parameter['name'] === 'times')));
  const named = parameters.filter(({ in: place, name }) => place === 'query' && ['trace_id', 'span_id', 'prompt', 'prompt_name', 'from'].includes(name));
  return [...new Set([needed, [...needed, ...named.filter((parameter) => !needed.includes(parameter))]].map((chosen) => `${filled}${chosen.length === 0 ? '' : `?${query(chosen)}`}`))];
}

const marksOf = (project: Project): string[] => [...Object.values(known[project]), `"${project}"`, `hidden-${project}`];

/** Marks of a project in an answer that were not in the question. */
function leaks(text: string, question: string, project: Project): string[] {
  return marksOf(project).filter((mark) => text.includes(mark) && !decodeURIComponent(question).includes(mark));
}

describe('two projects', () => {
  it('each sees its own by every reading operation, and nothing of the other with the other’s ids', async () => {
    const seen = new Set<string>();
    for (const { method, path, operation } of await operations()) {
      if (method !== 'GET' || path === '/v1/events') continue;
      for (const [own, other] of [['shop', 'bank'], ['bank', 'shop']] as const) {
        for (const request of requestsOf({ path, operation }, known[own])) {
          const answer = await server.ask(request, { key: keys[own].secret });
          const text = await answer.text();
          // Those of administrators are closed to both.
          expect(answer.status, `${request}: ${text.slice(0, 300)}`).toBe(/^\/v1\/(keys|users|projects|audit-log)/.test(path) ? 403 : 200);
          expect(leaks(text, '', other), request).toEqual([]);
          if (leaks(text, request, own).length > 0) seen.add(path);
        }
        for (const request of requestsOf({ path, operation }, known[other])) {
          const answer = await server.ask(request, { key: keys[own].secret });
          const text = await answer.text();
          expect(answer.status, request).toBeLessThan(500);
          if (/\{(id|trace_id)\}/.test(path) && answer.status !== 403) expect(answer.status, request).toBe(404);
          // What is refused repeats the question; what is answered has nothing of the other in it.
          expect(leaks(text, answer.ok ? '' : request, other).filter((mark) => !(answer.ok && request.includes(encodeURIComponent(mark)) && isEmptyAnswer(text))), `${request}: ${text.slice(0, 300)}`).toEqual([]);
        }
      }
    }
    // The walk is worth something only where there was something to see.
    expect([...seen].sort()).toEqual(expect.arrayContaining(['/v1/alerts', '/v1/alerts/{id}', '/v1/calls', '/v1/calls/{trace_id}/{span_id}/content', '/v1/comparisons', '/v1/comparisons/{id}', '/v1/comparisons/{id}/evidence', '/v1/me', '/v1/prompts', '/v1/prompts/{name}', '/v1/rollouts', '/v1/rollouts/{id}', '/v1/scores', '/v1/timeline', '/v1/verdict', '/v1/versions']));
  });

  /** Answers such as a verdict of nothing name what was asked for. */
  function isEmptyAnswer(text: string): boolean {
    return /"verdict":"no_data"|"versions":\[\]|"units":\{"a":0,"b":0\}/.test(text);
  }

  it('none changes what is the other’s', async () => {
    for (const { method, path, operation } of await operations()) {
      if (method === 'GET' || !path.includes('{') || path.startsWith('/v1/hooks')) continue;
      for (const request of requestsOf({ path, operation }, known.bank)) {
        const answer = await server.ask(request, { method, key: keys.shop.secret, body: { reason: 'not mine' } });
        expect([400, 403, 404], `${method} ${request}`).toContain(answer.status);
      }
    }
    const alert = (await (await server.ask(`/v1/alerts/${known.bank.alertId}`, { key: keys.bank.secret })).json()) as Json;
    expect(alert).toMatchObject({ state: 'open', transitions: [{ state: 'open' }] });
    for (const [verb, body] of [['advance', { step: 2 }], ['end', { outcome: 'aborted' }]] as const) {
      expect((await server.ask(`/v1/rollouts/${known.bank.rolloutId}/${verb}`, { key: keys.shop.secret, body })).status).toBe(404);
    }
  });

  it('what somebody does carries the name of the key, whatever they call themselves', async () => {
    const done = (await (await server.ask(`/v1/alerts/${known.shop.alertId}/acknowledge`, { key: keys.shop.secret, body: { by: 'the boss', reason: 'on it' } })).json()) as Json;
    expect(done['transitions'].at(-1)).toMatchObject({ state: 'acknowledged', by: 'shop act', reason: 'on it' });
    const { entries } = (await (await server.ask('/v1/audit-log?action=alerts.acknowledge', { key: admin.secret })).json()) as Json;
    expect(entries[0]).toMatchObject({ actor: 'shop act', project: 'shop', target: known.shop.alertId, result: 'done' });
    const path = `/v1/rollouts/${known.shop.rolloutId}/advance`;
    expect((await server.ask(path, { key: senders.shop.secret, body: { step: 2 } })).status).toBe(403);
    const advanced = (await (await server.ask(path, { key: keys.shop.secret, body: { step: 2, by: 'the boss', reason: 'half of it' } })).json()) as Json;
    expect(advanced['steps'][1]).toMatchObject({ state: 'present', by: 'shop act' });
    const log = (await (await server.ask('/v1/audit-log?action=rollouts.advance', { key: admin.secret })).json()) as Json;
    expect(log['entries'][0]).toMatchObject({ actor: 'shop act', target: known.shop.rolloutId, result: 'done', detail: 'step 2 of 2: half of it' });
    expect(log['entries'][1]).toMatchObject({ result: 'refused', detail: 'needs act' });
  });

  it('live events are of one’s own project', async () => {
    const readers = PROJECTS.map(async (project) => {
      const reader = (await server.ask('/v1/events', { key: keys[project].secret })).body?.getReader();
      return { project, reader, text: '' };
    });
    const [shop, bank] = await Promise.all(readers);
    if (shop?.reader === undefined || bank?.reader === undefined) throw new Error('no stream');
    const readUntil = async (stream: NonNullable<typeof shop>, wanted: string): Promise<void> => {
      while (!stream.text.includes(wanted)) {
        const chunk = await stream.reader?.read();
        if (chunk === undefined || chunk.done) throw new Error(`the stream ended before ${wanted}: ${stream.text}`);
        stream.text += new TextDecoder().decode(chunk.value);
      }
    };
    const span = (prompt: string) => ({
      resourceSpans: [{ scopeSpans: [{ scope: { name: 'x' }, spans: [{ traceId: '1'.repeat(32), spanId: '2'.repeat(16), name: 'chat m', startTimeUnixNano: `${nowMs - 1000}000000`, endTimeUnixNano: `${nowMs}000000`, attributes: Object.entries({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.prompt.name': prompt, 'gen_ai.prompt.version': 'v1' }).map(([key, value]) => ({ key, value: { stringValue: value } })) }] }] }],
    });
    await server.ask('/v1/traces', { key: senders.shop.secret, body: span('arrives-at-shop') });
    await readUntil(shop, 'arrives-at-shop');
    await server.ask(`/v1/alerts/${known.shop.alertId}/resolve`, { key: keys.shop.secret, body: { reason: 'rolled back' } });
    await readUntil(shop, 'event: alert');
    await server.ask('/v1/traces', { key: senders.bank.secret, body: span('arrives-at-bank') });
    await readUntil(bank, 'arrives-at-bank');
    // Alerts of its own it may have: Culprit watches itself, for each project.
    expect(leaks(bank.text, '', 'shop')).toEqual([]);
    expect(bank.text).not.toContain('arrives-at-shop');
    await Promise.all([shop.reader.cancel(), bank.reader.cancel()]);
    expect(shop.text).not.toContain('arrives-at-bank');
    // The same trace and span in both: two calls, each of its own project.
    for (const project of PROJECTS) {
      const { calls } = (await (await server.ask(`/v1/calls?trace_id=${'1'.repeat(32)}`, { key: keys[project].secret })).json()) as Json;
      expect(calls).toMatchObject([{ project, prompt_name: `arrives-at-${project}` }]);
    }
  }, 30_000);

  it('SQL, gauges and gates are of one’s own project', async () => {
    for (const [own, other] of [['shop', 'bank'], ['bank', 'shop']] as const) {
      for (const view of ['llm_calls', 'llm_comparisons', 'llm_alerts', 'llm_versions', 'llm_scores', 'llm_evidence', 'llm_hours']) {
        const answer = await server.ask('/v1/query', { key: keys[own].secret, body: { sql: `SELECT * FROM ${view} LIMIT 5000` } });
        const text = await answer.text();
        expect(answer.status, `${view}: ${text.slice(0, 300)}`).toBe(200);
        expect(text.length).toBeGreaterThan(300);
        expect(leaks(text, '', other), view).toEqual([]);
      }
      const gauges = await (await server.ask('/metrics', { key: keys[own].secret })).text();
      expect(gauges).toContain(`prompt="secret-of-${own}"`);
      expect(gauges).not.toContain(`secret-of-${other}`);
      expect(await (await server.ask('/v1/flagger/rollback', { key: keys[own].secret, body: { metadata: { prompt: known[other].prompt, candidate: 'v2' } } })).json()).toMatchObject({ verdict: 'no_data' });
    }
  });

  it('an administrator lists all projects', async () => {
    expect(await (await server.ask('/v1/projects', { key: admin.secret })).json()).toEqual({ projects: ['bank', 'default', 'shop'] });
  });
});

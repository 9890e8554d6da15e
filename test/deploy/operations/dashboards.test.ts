import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { createMetrics } from '../../../deploy/operations/metrics.ts';
import { defaultRetention, migrate, MIGRATIONS } from '../../../deploy/migrate.ts';
import { openEmbeddedStore, type EmbeddedStore } from '../../../deploy/store-embedded.ts';
import { startGuarded } from '../guarded.ts';

/** Alert rules and dashboards name metrics, headings and columns that there are. */

const Rules = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Culprit[A-Za-z]+$/),
          expr: z.string(),
          for: z.string().regex(/^\d+m$/).optional(),
          labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
        }),
      ),
    }),
  ),
});
const Target = z.looseObject({ refId: z.string(), expr: z.string().optional(), rawSql: z.string().optional() });
const Dashboard = z.looseObject({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.number(),
  templating: z.object({ list: z.array(z.looseObject({ name: z.string(), query: z.string() })) }),
  annotations: z.object({ list: z.array(z.looseObject({ name: z.string(), enable: z.literal(true), target: Target })) }),
  panels: z.array(z.looseObject({ id: z.number(), title: z.string(), gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }), targets: z.array(Target).min(1) })),
});

const read = (path: string): Promise<string> => readFile(join(import.meta.dirname, '../../..', path), 'utf8');
const dashboard = async (name: string) => Dashboard.parse(JSON.parse(await read(`deploy/grafana/${name}.json`)));
const rules = async () => Rules.parse(parse(await read('deploy/prometheus/rules.yaml'))).groups.flatMap((group) => group.rules);

/** What a query reads, without the parts that a histogram has behind its name. */
const metricsIn = (expression: string): string[] => [...expression.matchAll(/\b(?:culprit|nodejs|process)_\w+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));

/** Names in what /metrics of all roles serves. */
async function served(): Promise<Set<string>> {
  const server = await startGuarded({});
  const analyzer = createMetrics('analyzer');
  analyzer.watchLag(() => [{ topic: 'otlp_spans', partition: 0, messages: 1 }]);
  const text = `${await (await server.ask('/metrics')).text()}${await analyzer.registry.metrics()}`;
  await server.close();
  return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name));
}

describe('rules and dashboards for Prometheus', { timeout: 60_000 }, () => {
  it('name only metrics that are served', async () => {
    const names = await served();
    const expressions = [...(await rules()).map(({ expr }) => expr), ...(await dashboard('operators')).panels.flatMap(({ targets }) => targets.map(({ expr = '' }) => expr))];
    expect(expressions.length).toBeGreaterThan(30);
    expect(expressions.filter((expression) => metricsIn(expression).length === 0)).toEqual([]);
    expect(expressions.flatMap(metricsIn).filter((name) => !names.has(name))).toEqual([]);
    // And what is measured is looked at, at one place at least.
    const looked = new Set(expressions.flatMap(metricsIn));
    expect([...names].filter((name) => name.startsWith('culprit_') && !name.startsWith('culprit_comparison') && !looked.has(name))).toEqual([]);
  });

  it('link each alert to its part of the runbook', async () => {
    const headings = [...(await read('docs/RUNBOOK.md')).matchAll(/^### (\S+)$/gm)].map(([, heading = '']) => heading);
    for (const { alert, annotations } of await rules()) {
      expect(annotations.runbook_url).toBe(`docs/RUNBOOK.md#${alert.toLowerCase()}`);
      expect(headings).toContain(alert);
    }
    expect(headings).toEqual(expect.arrayContaining(['cardinality', 'ledger', 'lag', 'parked']));
  });

  it('put no panel over another', async () => {
    for (const name of ['operators', 'analysts']) {
      const taken = new Set<string>();
      for (const { gridPos } of (await dashboard(name)).panels) {
        expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
            expect(taken).not.toContain(`${x}/${y}`);
            taken.add(`${x}/${y}`);
          }
        }
      }
    }
  });
});

describe('the dashboard for analysts', { timeout: 60_000 }, () => {
  let directory: string;
  let store: EmbeddedStore;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culprit-dashboards-'));
    store = await openEmbeddedStore({ directory: join(directory, 'store') });
    await migrate(store, { directory: MIGRATIONS, cluster: null, retention: defaultRetention });
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** What Grafana's plug-in for ClickHouse fills in. */
  const filledIn = (sql: string): string =>
    sql
      .replace(/\$__timeFilter\((\S+?)\)/g, '$1 >= toDateTime(0) AND $1 <= now()')
      .replace(/\$__timeInterval\((\S+?)\)/g, 'toStartOfInterval(toDateTime($1), INTERVAL 60 second)')
      .replaceAll('${prompt:sqlstring}', "'refund'")
      .replaceAll('${environment:sqlstring}', "'production'");

  it('asks what the engine can answer', async () => {
    const { panels, templating, annotations } = await dashboard('analysts');
    const asked = [...annotations.list.map(({ target: { rawSql = '' } }) => rawSql), ...panels.flatMap(({ targets }) => targets.map(({ rawSql = '' }) => rawSql)), ...templating.list.map(({ query }) => query).filter((query) => query.startsWith('SELECT'))];
    expect(asked.length).toBeGreaterThan(10);
    for (const sql of asked) {
      const filled = filledIn(sql);
      expect(filled).not.toContain('$');
      await expect(store.select(filled), sql).resolves.toEqual([]);
    }
  });

  it('marks each version when it first took traffic, and each alert once for each state', async () => {
    const at = Date.parse('2026-06-01T08:00:00Z');
    await store.insert('versions', [{ project: 'default', environment: 'production', prompt_name: 'refund', factor: 'prompt_version', value: 'v2', first_seen_ms: at, last_seen_ms: at + 1000, calls: 2 }]);
    const alert = (environment: string) => JSON.stringify({ prompt: 'refund', environment, summary: `refund v2 fails in ${environment}` });
    const rows = [['a', 'production', 'open', 1], ['a', 'production', 'open', 2], ['a', 'production', 'resolved', 3], ['b', 'staging', 'open', 1]] as const;
    await store.insert('alert_transitions', rows.map(([alert_id, environment, state, sequence]) => ({ transition_id: `${alert_id} ${sequence}`, alert_id, sequence, project: 'default', comparison_id: '', state, at_ms: at + sequence * 60_000, reason: '', body: alert(environment) })));
    const { annotations } = await dashboard('analysts');
    const marks = await Promise.all(annotations.list.map(({ target: { rawSql = '' } }) => store.select<{ time: string; text: string }>(`SELECT formatDateTime(time, '%R', 'UTC') AS at, text FROM (${filledIn(rawSql)})`)));
    expect(marks).toEqual([[{ at: '08:00', text: 'v2 takes traffic' }], [{ at: '08:01', text: 'open: refund v2 fails in production' }, { at: '08:03', text: 'resolved: refund v2 fails in production' }]]);
  });
});

import { existsSync } from 'node:fs';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callRow } from './rows.ts';
import { openApi, type TestApi } from './server.ts';

let api: TestApi;
const T0 = Date.parse('2026-06-01T08:00:00Z');

beforeAll(async () => {
  api = await openApi();
  await api.store.insert('calls', [
    callRow({ at_ms: T0, id: 'one' }),
    callRow({ at_ms: T0 + 1_500, id: 'two', version: 'v2', is_error: true, duration_ms: 1_200 }),
    callRow({ at_ms: T0 + 2_000, id: 'three', version: '=HYPERLINK("http://evil","x")' }),
    callRow({ at_ms: T0 + 3_000, id: 'four', version: 'v4', duration_ms: 0 }),
    callRow({ at_ms: T0, id: 'theirs', project: "o'ther", prompt: 'their secret' }),
  ]);
  await api.store.insert('alert_transitions', [{ transition_id: 't', alert_id: 'a', sequence: 0, project: "o'ther", comparison_id: 'c', state: 'open', at_ms: T0, reason: '', body: '{}' }]);
  await api.store.insert('looks', [{ comparison_id: 'c', slot: 1, at: '2026-06-01 08:00:00', e_value: 7, metrics: {} }]);
  await api.store.insert('comparisons', [{ comparison_id: 'c', project: "o'ther", environment: '', prompt_name: '', factor: 'model', baseline: '', candidate: '', epoch: 0, opened_ms: T0, state: 'open', reason: '', slot: 1, settings: '', snapshot: '' }]);
});
afterAll(() => api.close());

const ask = (sql: string, more: object = {}): Promise<Response> => Promise.resolve(api.app.request('/v1/query', { method: 'POST', headers: { 'content-type': 'application/json', host: '127.0.0.1' }, body: JSON.stringify({ sql, ...more }) }));
type Rows = { meta: { name: string; type: string }[]; data: unknown[][]; rows: number };
const rowsOf = async (sql: string, more: object = {}): Promise<unknown[][]> => {
  const response = await ask(sql, more);
  const body: unknown = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status: 200 });
  // The status says which of its shapes the body has.
  return (body as Rows).data;
};

describe('POST /v1/query', () => {
  it('answers a SELECT over the views, with parameters, in the words of docs/QUERY.md', async () => {
    const sql = `WITH busy AS (SELECT * FROM llm_calls WHERE prompt_name = {prompt:String})
      SELECT prompt_version, count() AS calls, countIf(is_error) / count() AS errors, round(quantile(0.5)(latency_ms)) AS p50, toString(min(time)) AS first
      FROM busy WHERE prompt_version IN {versions:Array(String)} GROUP BY prompt_version ORDER BY prompt_version -- and a remark`;
    expect(await rowsOf(sql, { parameters: { prompt: 'refund-agent', versions: ['v1', 'v2'] } })).toEqual([
      ['v1', 1, 0, 900, '2026-06-01 08:00:00.000000000'],
      ['v2', 1, 1, 1200, '2026-06-01 08:00:01.500000000'],
    ]);
  });

  it('gives no latency to a call of which nobody says how long it took', async () => {
    expect(await rowsOf("SELECT prompt_version, latency_ms, quantile(0.5)(latency_ms) OVER () FROM llm_calls WHERE prompt_version IN ('v1', 'v4') ORDER BY prompt_version")).toEqual([['v1', 900, 900], ['v4', null, 900]]);
  });

  it.each(['llm_scores', 'llm_comparisons', 'llm_evidence', 'llm_alerts', 'llm_versions', 'llm_hours'])('has %s, with the rows of its own project only', async (view) => {
    expect(await rowsOf(`SELECT count() FROM ${view};`)).toEqual([[0]]);
  });

  it('has the hours that are rolled up, as of the version of their cells that counts', async () => {
    const cell = { source: 'calls', environment: 'production', prompt_name: 'refund-agent', name: 'latency', event_time: 3600, cell_id: 1, prompt_version: 'v1', provider: '', operation: 'chat', stratum_attributes: {}, start_hour: 3600, n: 2, total: 900, spread: 0, least: 450, most: 450, first_s: 3600, last_s: 3601, bins: { 141: 2 }, units: {} };
    await api.store.insert('cells', [{ ...cell, project: 'default', version: 2 }, { ...cell, project: 'default', cell_id: 2, version: 1 }, { ...cell, project: 'other', version: 2 }]);
    await api.store.insert('cell_hours', [{ source: 'calls', hour: 3600, at_us: 2, state: 'whole', version: 2, batches: {} }]);
    expect(await rowsOf('SELECT toUnixTimestamp(hour), metric, prompt_version, n, total / n, exp2((mapKeys(bins)[1] + 0.5) / 16) FROM llm_hours')).toEqual([[3600, 'latency', 'v1', 2, 450, expect.closeTo(459, 0)]]);
  });

  it('knows the usual functions', async () => {
    expect(await rowsOf("SELECT ln(e()) , dateDiff('hour', toDateTime(0), toDateTime(7200)), formatReadableSize(1024), arraySum(x -> x * 2, [1, 2]), sumIf(number, number > 1) OVER () FROM numbers(3) LIMIT 1")).toEqual([[1, 2, '1.00 KiB', 6, 2]]);
  });

  it('gives CSV in which no text is a formula, Parquet and Arrow', async () => {
    const sql = 'SELECT prompt_version, -1 AS n FROM llm_calls ORDER BY time';
    const csv = await ask(sql, { format: 'csv' });
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect((await csv.text()).split('\n').slice(0, 4)).toEqual(['"prompt_version","n"', '"v1",-1', '"v2",-1', `"'=HYPERLINK(""http://evil"",""x"")",-1`]);
    const parquet = Buffer.from(await (await ask(sql, { format: 'parquet' })).arrayBuffer());
    expect([parquet.subarray(0, 4), parquet.subarray(-4)].map(String)).toEqual(['PAR1', 'PAR1']);
    const table = tableFromIPC(new Uint8Array(await (await ask('SELECT toString(prompt_version) AS v, latency_ms FROM llm_calls ORDER BY time LIMIT 2', { format: 'arrow' })).arrayBuffer()));
    expect(table.schema.fields.map(({ name }) => name)).toEqual(['v', 'latency_ms']);
    expect(table.numRows).toBe(2);
  });

  it.each([
    ['another table', 'SELECT * FROM calls'],
    ['another table under an alias', 'SELECT x.prompt_name FROM (SELECT * FROM calls AS llm_calls) AS x'],
    ['another table behind IN', 'SELECT 1 FROM llm_calls WHERE trace_id IN calls'],
    ['another table in a scalar that is folded away', 'SELECT if(0, (SELECT max(trace_id) FROM calls), 1)'],
    ['another table in a CTE with the name of a view', 'WITH llm_calls AS (SELECT * FROM scores) SELECT * FROM llm_calls'],
    ['the tables of the engine', 'SELECT name FROM system.tables'],
    ['the tables of the engine, quoted', 'SELECT * FROM `system`.`one` UNION ALL SELECT 1 FROM "system"."users"'],
    ['the schema', 'SELECT * FROM information_schema.tables'],
    ['a file', "SELECT * FROM file('/etc/passwd', LineAsString)"],
    ['an address', "SELECT * FROM url('http://169.254.169.254/', LineAsString)"],
    ['another server', "SELECT * FROM remote('127.0.0.1', system.one)"],
    ['all tables', "SELECT * FROM merge('.*')"],
    ['a view by its definition', "SELECT * FROM viewExplain('', '', (SELECT 1))"],
    ['a program', "SELECT * FROM executable('id', 'TSV', 'x String')"],
    ['a file in a function', "SELECT file('/etc/passwd')"],
    ['a dictionary', "SELECT dictGet('d', 'x', 1)"],
    ['a join table', "SELECT joinGet('calls', 'x', 1)"],
    ['whether a table has a column', "SELECT hasColumnInTable('default', 'calls', 'x')"],
    ['a setting of the engine', "SELECT getSetting('max_threads')"],
    ['the machine', 'SELECT hostName(), FQDN()'],
    ['a pause', 'SELECT sleep(3)'],
    ['an INSERT', "INSERT INTO calls (project) VALUES ('x')"],
    ['a DROP', 'DROP TABLE calls'],
    ['two statements', 'SELECT 1; SELECT name FROM system.tables'],
    ['two statements, closing what stands around them', 'SELECT 1); SELECT name AS explain FROM system.tables --'],
    ['two SELECTs, closing what stands around them', 'SELECT 1) UNION ALL SELECT * FROM (SELECT project FROM calls'],
    ['a file to write', "SELECT 1 INTO OUTFILE '/tmp/culprit-outfile-attack'"],
    ['a file to write, closing what stands around it', "SELECT 1) INTO OUTFILE '/tmp/culprit-outfile-attack' --"],
    ['another format', 'SELECT 1 FORMAT Native'],
    ['other limits', 'SELECT 1 SETTINGS max_execution_time = 0'],
    ['another filter', "SELECT * FROM llm_calls SETTINGS additional_table_filters = {'calls': '1'}"],
    ['another filter in a scalar', "SELECT (SELECT count() FROM llm_calls SETTINGS additional_table_filters = {})"],
    ['a row of another table in the words of an error', "SELECT if(0, (SELECT toUInt8(prompt_name) FROM calls WHERE project != 'default' LIMIT 1), 1)"],
    ['the same behind IN', 'SELECT toUInt8(1 IN (SELECT throwIf(1, prompt_name) FROM relatives))'],
    ['a setting of another statement', 'SET readonly = 0'],
    ['what it is not', 'hello'],
    ['nothing that ends', 'SELECT /* 1'],
    ['a parameter without a value', 'SELECT {x:String}'],
  ])('refuses %s, and says why', async (_what, sql) => {
    const response = await ask(sql);
    expect(response.status).toBe(400);
    const { detail } = (await response.json()) as { detail: string };
    expect(detail.length).toBeGreaterThan(10);
    expect(detail).not.toContain('their secret');
    expect(existsSync('/tmp/culprit-outfile-attack')).toBe(false);
    expect(await rowsOf('SELECT count() FROM llm_calls')).toEqual([[4]]);
  });

  it('says in words of its own what can be asked', async () => {
    const detailOf = async (sql: string): Promise<unknown> => ((await (await ask(sql)).json()) as { detail: unknown }).detail;
    expect(await detailOf(' drop TABLE calls')).toMatch(/^DROP cannot be run here: send one SELECT over llm_calls, /);
    expect(await detailOf('SELECT * FROM calls')).toMatch(/^It was not run: calls cannot be read here; there are llm_calls, /);
    expect(await rowsOf('(WITH 1 AS one SELECT one)')).toEqual([[1]]);
  });

  it('stops what takes too many rows, and goes on', async () => {
    const response = await ask('SELECT number FROM numbers(10000000)');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('max rows') });
    expect(await rowsOf('SELECT 1')).toEqual([[1]]);
  });
});

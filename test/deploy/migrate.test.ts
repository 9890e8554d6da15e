import { readdirSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VIEWS } from '../../api/query-guard.ts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultRetention, endlessRetention, migrate, splitStatements, type MigrationSettings } from '../../deploy/migrate.ts';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import { makeCalls } from '../bench/made-up-calls.ts';

const schema = join(import.meta.dirname, '../../schemas/clickhouse');
const names = readdirSync(schema).sort();
const tablesOfSchema = ['aa_audits', 'access_records', 'alert_transitions', 'audit_log', 'calls', 'cell_hours', 'cells', 'comparisons', 'contents', 'deliveries', 'flag_changes', 'key_uses', 'ledger', 'log_progress', 'look_progress', 'looks', 'migrations', 'parked', 'recounts', 'relatives', 'rollbacks', 'rollouts', 'score_names', 'scores', 'set_aside', 'silences', 'strata', 'version_events', 'versions'];
const viewsOfSchema = VIEWS.toSorted();

let root: string;
let store: Store;
let settings: MigrationSettings;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'culprit-migrate-'));
  store = await openEmbeddedStore({ directory: join(root, 'store') });
});
afterAll(async () => {
  await store.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(async () => {
  const directory = await mkdtemp(join(root, 'schema-'));
  await cp(schema, directory, { recursive: true });
  settings = { directory, cluster: null, retention: endlessRetention };
});
afterEach(async () => {
  for (const name of await views()) await store.command(`DROP VIEW ${name} SYNC`);
  for (const { name } of await tables()) await store.command(`DROP TABLE ${name} SYNC`);
});

async function tables(): Promise<{ name: string; ttl: string }[]> {
  return store.select(`SELECT name, extract(create_table_query, ' TTL (.+?)(?: SETTINGS |$)') AS ttl FROM system.tables WHERE database = currentDatabase() AND engine != 'View' ORDER BY name`);
}

async function views(): Promise<string[]> {
  return (await store.select<{ name: string }>(`SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' ORDER BY name`)).map(({ name }) => name);
}

/** The same store, which also remembers the commands that it was given. */
function recording(into: string[]): Store {
  return {
    ...store,
    command: (sql, parameters) => {
      into.push(sql);
      return store.command(sql, parameters);
    },
  };
}

describe('migrations', () => {
  it('creates the schema once; a second start changes nothing', async () => {
    expect(await migrate(store, { ...settings, retention: defaultRetention })).toEqual({ applied: names });
    expect((await tables()).map(({ name }) => name)).toEqual(tablesOfSchema);
    expect(await views()).toEqual(viewsOfSchema);
    const commands: string[] = [];
    expect(await migrate(recording(commands), { ...settings, retention: defaultRetention })).toEqual({ applied: [] });
    expect(commands.filter((sql) => !sql.startsWith('CREATE TABLE IF NOT EXISTS migrations'))).toEqual([]);
  });

  it('takes rows of calls as they are written', async () => {
    await migrate(store, settings);
    const rows = [...makeCalls({ calls: 100, seed: 7 })];
    await store.insert('calls', rows);
    const columns = 'span_id, toString(start_ns) AS start_ns, toString(end_ns) AS end_ns, received_ms, prompt_version, input_tokens, output_tokens, is_error, is_stream, stratum_attributes, flags, session_id';
    const bySpan = new Map(rows.map((row) => [row['span_id'], row]));
    const stored = await store.select<{ span_id: string }>(`SELECT ${columns} FROM calls FINAL`);
    expect(stored).toHaveLength(100);
    for (const row of stored) expect(bySpan.get(row.span_id)).toMatchObject(row);
  });

  it('applies a new migration and leaves the rows of the earlier ones', async () => {
    await migrate(store, settings);
    await store.insert('look_progress', [{ owner: 'a', slot: 5 }]);
    await writeFile(join(settings.directory, '0900_owner_name.sql'), `-- One more; with a ; in a comment.\nALTER TABLE look_progress ADD COLUMN IF NOT EXISTS name String DEFAULT 'a;b';\n`);
    expect(await migrate(store, settings)).toEqual({ applied: ['0900_owner_name.sql'] });
    expect(await store.select('SELECT * FROM look_progress')).toEqual([{ owner: 'a', slot: 5, name: 'a;b' }]);
  });

  it('finishes a migration that a crash cut short', async () => {
    let left = 4;
    const dying: Store = {
      ...store,
      command: async (sql, parameters) => {
        if (left === 0) throw new Error('killed');
        left -= 1;
        await store.command(sql, parameters);
      },
    };
    await expect(migrate(dying, settings)).rejects.toThrow('killed');
    expect((await tables()).length).toBeLessThan(tablesOfSchema.length);
    expect(await migrate(store, settings)).toEqual({ applied: names });
    expect((await tables()).map(({ name }) => name)).toEqual(tablesOfSchema);
  });

  it('refuses an applied migration that was edited, by name, but lets its comments be improved', async () => {
    await migrate(store, settings);
    const file = join(settings.directory, names[0] ?? '');
    const text = await readFile(file, 'utf8');
    await writeFile(file, `-- Better said.\n${text}`);
    expect(await migrate(store, settings)).toEqual({ applied: [] });
    await writeFile(file, text.replace('revision UInt16', 'revision UInt32'));
    const refused = migrate(store, settings);
    await expect(refused).rejects.toBeInstanceOf(PermanentError);
    await expect(refused).rejects.toThrow('0001_calls_and_scores.sql was applied with other contents');
  });

  it('refuses a store that a newer version has written', async () => {
    await migrate(store, settings);
    await store.insert('migrations', [{ name: '0999_from_the_future.sql', checksum: 'x' }]);
    const refused = migrate(store, settings);
    await expect(refused).rejects.toBeInstanceOf(PermanentError);
    await expect(refused).rejects.toThrow('0999_from_the_future.sql, which this version does not know: it was written by a newer Culprit');
  });

  it('follows the retention settings when they change', async () => {
    // Sessions carry their own end.
    const ttls = async (): Promise<Record<string, string>> => Object.fromEntries((await tables()).filter(({ name, ttl }) => ttl !== '' && name !== 'access_records').map(({ name, ttl }) => [name, ttl]));
    await migrate(store, { ...settings, retention: defaultRetention });
    const relatives = 'toDateTime(intDiv(received_ms, 1000)) + toIntervalDay(1)';
    expect(await ttls()).toEqual({ calls: 'event_time + toIntervalDay(30)', relatives, scores: 'event_time + toIntervalDay(30)', cells: 'event_time + toIntervalDay(400)', cell_hours: 'hour + toIntervalDay(400)', strata: 'closed_at + toIntervalDay(400)', looks: 'at + toIntervalDay(400)', contents: 'event_time + toIntervalDay(7)', parked: 'toDateTime(intDiv(received_ms, 1000)) + toIntervalDay(7)' });
    await migrate(store, { ...settings, retention: { calls: 7, scores: null, cells: 90, evidence: 400, content: 3 } });
    expect(await ttls()).toEqual({ calls: 'event_time + toIntervalDay(7)', relatives, cells: 'event_time + toIntervalDay(90)', cell_hours: 'hour + toIntervalDay(90)', strata: 'closed_at + toIntervalDay(400)', looks: 'at + toIntervalDay(400)', contents: 'event_time + toIntervalDay(3)', parked: 'toDateTime(intDiv(received_ms, 1000)) + toIntervalDay(3)' });
    await migrate(store, { ...settings, retention: endlessRetention });
    expect(await ttls()).toEqual({});
    await expect(migrate(store, { ...settings, retention: { ...defaultRetention, calls: 0 } })).rejects.toThrow('retention is 0 days');
  });

  it('deletes calls past their retention, and keeps the others', async () => {
    await migrate(store, settings);
    await store.insert('look_progress', [{ owner: 'now', slot: 1 }]);
    const [call] = makeCalls({ calls: 1, seed: 1 });
    const [now] = await store.select<{ seconds: number }>('SELECT toUnixTimestamp(now()) AS seconds');
    const seconds = now?.seconds ?? 0;
    await store.insert('calls', [{ ...call, event_time: String(seconds), span_id: 'new' }, { ...call, event_time: String(seconds - 8 * 86_400), span_id: 'old' }]);
    await migrate(store, { ...settings, retention: { ...endlessRetention, calls: 7 } });
    await store.command('OPTIMIZE TABLE calls FINAL');
    expect(await store.select('SELECT span_id FROM calls')).toEqual([{ span_id: 'new' }]);
  });

  it.each([
    ['1_short.sql', 'SELECT 1', 'is not named NNNN_name.sql'],
    ['0001_again.sql', 'SELECT 1', 'two migrations have the number 0001'],
    ['0900_unknown.sql', 'SELECT {{surprise}}', '0900_unknown.sql has the unknown placeholder {{surprise}}'],
  ])('refuses the file %s', async (name, text, reason) => {
    await writeFile(join(settings.directory, name), text);
    await expect(migrate(store, settings)).rejects.toThrow(reason);
  });

  it('writes for a cluster what a cluster needs', async () => {
    const commands: string[] = [];
    const server: Store = { ...store, select: async () => [], insert: async () => undefined, command: async (sql) => void commands.push(sql) };
    await migrate(server, { ...settings, cluster: 'main' });
    const creating = commands.filter((sql) => sql.startsWith('CREATE TABLE'));
    expect(creating.length).toBe(tablesOfSchema.length);
    for (const sql of creating) expect(sql).toMatch(/^CREATE TABLE IF NOT EXISTS \w+ ON CLUSTER main\s[\s\S]*\sENGINE = Replicated(Replacing|Aggregating)?MergeTree/);
    for (const sql of commands) if (!creating.includes(sql)) expect(sql).toMatch(/^(?:ALTER TABLE|CREATE VIEW IF NOT EXISTS|CREATE OR REPLACE VIEW) \w+ ON CLUSTER main\s/);
    await expect(migrate(server, { ...settings, cluster: 'main; DROP' })).rejects.toThrow('is not a plain name');
  });
});

describe('statements of a file', () => {
  it.each<[string, string[]]>([
    ['SELECT 1;\nSELECT 2', ['SELECT 1', 'SELECT 2']],
    ["SELECT ';', 'it''s; \\'so\\';' -- not; this\n;", ["SELECT ';', 'it''s; \\'so\\';'"]],
    ['/* a; b */ SELECT `a;b`, "c;d";;\n', ['SELECT `a;b`, "c;d"']],
    ["SELECT '-- kept', '/* kept */'", ["SELECT '-- kept', '/* kept */'"]],
    ['-- only a comment', []],
  ])('%j', (text, statements) => {
    expect(splitStatements(text)).toEqual(statements);
  });
});

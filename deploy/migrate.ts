import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import type { Store } from '../schemas/store.ts';

/**
 * Brings the store to the schema that this code knows: numbered files, each applied once, in order, and recorded with its
 * checksum. Applying is idempotent (CREATE … IF NOT EXISTS), so a start that died half way is repaired by the next one.
 */

/** Where the numbered files of this code lie. */
export const MIGRATIONS = new URL('../schemas/clickhouse/', import.meta.url).pathname;

export type MigrationSettings = {
  /** Holds `NNNN_name.sql`. */
  readonly directory: string;
  /** Cluster name, or null in process and on a single server. */
  readonly cluster: string | null;
  readonly retention: RetentionDays;
};

/** Days; null keeps rows for ever (replay). `evidence` also covers the looks, as they are read together. */
export type RetentionDays = { readonly calls: number | null; readonly scores: number | null; readonly cells: number | null; readonly evidence: number | null; readonly content: number | null };

/** Design, section 10. */
export const defaultRetention: RetentionDays = { calls: 30, scores: 30, cells: 400, evidence: 400, content: 7 };
/** Replay works in event time, where a TTL on the wall clock would delete its input. */
export const endlessRetention: RetentionDays = { calls: null, scores: null, cells: null, evidence: null, content: null };

type Migration = { readonly name: string; readonly text: string; readonly checksum: string };

/** The schema of this code, with the retention of the configuration. */
export async function migrateFor(store: Store, { retention }: Config, { cluster }: Pick<MigrationSettings, 'cluster'>): Promise<void> {
  await migrate(store, { directory: MIGRATIONS, cluster, retention: retentionOf(retention) });
}

/** Days, as the configuration has them. */
function retentionOf({ calls_days, cells_days, content_days, evidence_days }: Config['retention']): RetentionDays {
  return { calls: calls_days, scores: calls_days, cells: cells_days, evidence: evidence_days, content: content_days };
}

/** As often as it takes where other processes apply the same migrations at the same time: one of them is faster, and the others find it done. */
export async function migrateBesideOthers(store: Store, config: Config, settings: Pick<MigrationSettings, 'cluster'>, wait: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await migrateFor(store, config, settings);
      return;
    } catch (error) {
      if (tries === MIGRATION_TRIES) throw error;
      await wait();
    }
  }
}

const MIGRATION_TRIES = 10;

/** Returns the names of the migrations that were applied now. Throws PermanentError when the store's schema is not this code's. */
export async function migrate(store: Store, settings: MigrationSettings): Promise<{ applied: string[] }> {
  const onCluster = settings.cluster === null ? '' : `ON CLUSTER ${identifier(settings.cluster)}`;
  const replicated = settings.cluster === null ? '' : 'Replicated';
  const ttls = ttlExpressions(settings.retention);
  const values: Record<string, string> = { on_cluster: onCluster, replicated };
  for (const [table, ttl] of ttls) values[placeholderOf(table)] = ttl === null ? '' : `TTL ${ttl}`;

  const known = await readMigrations(settings.directory);
  await store.command(
    `CREATE TABLE IF NOT EXISTS migrations ${onCluster} (name String, checksum String, applied_at DateTime('UTC') DEFAULT now()) ENGINE = ${replicated}ReplacingMergeTree ORDER BY name`,
  );
  const recorded = await store.select<{ name: string; checksum: string }>('SELECT name, checksum FROM migrations FINAL ORDER BY name');
  refuseForeignSchema(known, recorded);

  const done = new Set(recorded.map((row) => row.name));
  const record = (migrations: readonly Migration[]): Promise<void> => store.insert('migrations', migrations.map(({ name, checksum }) => ({ name, checksum })));
  // In a new store nothing is kept by recording each by itself, and some twenty inserts are a quarter of a second.
  const isNew = recorded.length === 0;
  const applied = known.filter(({ name }) => !done.has(name));
  for (const migration of applied) {
    for (const statement of splitStatements(fill(migration, values))) await store.command(statement);
    if (!isNew) await record([migration]);
  }
  if (isNew) await record(applied);
  await applyRetention(store, { onCluster, ttls });
  return { applied: applied.map(({ name }) => name) };
}

/** How the schema of a store stands to this code. Changes nothing. `foreign`: why this code cannot use it; null where it can. */
export async function readSchemaState(store: Store): Promise<{ readonly newest: string | null; readonly pending: readonly string[]; readonly foreign: string | null }> {
  const known = await readMigrations(MIGRATIONS);
  const [table] = await store.select<{ tables: number }>(`SELECT count() AS tables FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'`);
  const recorded = table?.tables === 1 ? await store.select<{ name: string; checksum: string }>('SELECT name, checksum FROM migrations FINAL ORDER BY name') : [];
  const done = new Set(recorded.map(({ name }) => name));
  const state = { newest: recorded.at(-1)?.name ?? null, pending: known.filter(({ name }) => !done.has(name)).map(({ name }) => name) };
  try {
    refuseForeignSchema(known, recorded);
    return { ...state, foreign: null };
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return { ...state, foreign: error.message };
  }
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const migrations = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(directory, name), 'utf8');
      // Of what is executed: comments and spaces may be improved later.
      const executed = splitStatements(text).join(';').replace(/\s+/g, ' ');
      return { name, text, checksum: createHash('sha256').update(executed).digest('hex') };
    }),
  );
  const numbers = new Set<string>();
  for (const { name } of migrations) {
    const number = /^(\d{4})_[a-z0-9_]+\.sql$/.exec(name)?.[1];
    if (number === undefined) throw new PermanentError(`migration ${name} is not named NNNN_name.sql`);
    if (numbers.has(number)) throw new PermanentError(`two migrations have the number ${number}`);
    numbers.add(number);
  }
  if (migrations.length === 0) throw new PermanentError(`no migrations in ${directory}`);
  return migrations;
}

function refuseForeignSchema(known: readonly Migration[], recorded: readonly { name: string; checksum: string }[]): void {
  const checksums = new Map(known.map((migration) => [migration.name, migration.checksum]));
  for (const row of recorded) {
    const checksum = checksums.get(row.name);
    if (checksum === undefined) {
      throw new PermanentError(`the store has migration ${row.name}, which this version does not know: it was written by a newer Culprit. Start that version, or another data directory`);
    }
    if (checksum !== row.checksum) {
      throw new PermanentError(`migration ${row.name} was applied with other contents (checksum ${row.checksum.slice(0, 12)}, now ${checksum.slice(0, 12)}): an applied migration must not be edited, add a new one`);
    }
  }
}

function placeholderOf(table: string): string {
  return table === 'strata' ? 'evidence_ttl' : `${table}_ttl`;
}

function ttlExpressions(retention: RetentionDays): ReadonlyMap<string, string | null> {
  const after = (column: string, days: number | null): string | null => {
    if (days === null) return null;
    if (!Number.isInteger(days) || days < 1) throw new PermanentError(`retention is ${days} days: it must be a whole number of at least 1`);
    return `${column} + toIntervalDay(${days})`;
  };
  return new Map([
    ['calls', after('event_time', retention.calls)],
    // A relative is needed while its children arrive; a day is far beyond the 30 s that they are waited for.
    ['relatives', retention.calls === null ? null : after('toDateTime(intDiv(received_ms, 1000))', 1)],
    ['scores', after('event_time', retention.scores)],
    ['cells', after('event_time', retention.cells)],
    ['cell_hours', after('hour', retention.cells)],
    ['strata', after('closed_at', retention.evidence)],
    ['looks', after('at', retention.evidence)],
    ['contents', after('event_time', retention.content)],
    // The body of a message holds content.
    ['parked', after('toDateTime(intDiv(received_ms, 1000))', retention.content)],
  ]);
}

/** Settings may have changed since the tables were created. */
async function applyRetention(store: Store, { onCluster, ttls }: { onCluster: string; ttls: ReadonlyMap<string, string | null> }): Promise<void> {
  const tables = await store.select<{ name: string; create_table_query: string }>('SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND name IN {tables:Array(String)}', { tables: [...ttls.keys()] });
  const made = new Map(tables.map(({ name, create_table_query }) => [name, create_table_query]));
  for (const [table, ttl] of ttls) {
    const query = made.get(table);
    if (query === undefined) continue;
    const current = / TTL (.+?)(?= SETTINGS |$)/.exec(query)?.[1] ?? null;
    if (current === ttl) continue;
    await store.command(ttl === null ? `ALTER TABLE ${table} ${onCluster} REMOVE TTL` : `ALTER TABLE ${table} ${onCluster} MODIFY TTL ${ttl}`);
  }
}

function fill(migration: Migration, values: Readonly<Record<string, string>>): string {
  return migration.text.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => {
    const value = values[name];
    if (value === undefined) throw new PermanentError(`migration ${migration.name} has the unknown placeholder ${placeholder}`);
    return value;
  });
}

/** Statements end with `;` outside strings, quoted names and comments. Comments are dropped. */
export function splitStatements(text: string): string[] {
  const tokens = text.matchAll(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|''|[^'\\])*'|`(?:\\[\s\S]|[^`\\])*`|"(?:\\[\s\S]|[^"\\])*"|;|[\s\S]/g);
  const statements = [''];
  for (const [token] of tokens) {
    if (token === ';') statements.push('');
    else if (token.startsWith('--') || token.startsWith('/*')) continue;
    else statements[statements.length - 1] += token;
  }
  return statements.map((statement) => statement.trim()).filter((statement) => statement !== '');
}

function identifier(name: string): string {
  if (!/^[A-Za-z_{][A-Za-z0-9_{}]*$/.test(name)) throw new PermanentError(`cluster "${name}" is not a plain name`);
  return name;
}

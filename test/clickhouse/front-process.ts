/**
 * The real engine behind enough of ClickHouse's HTTP interface for its client: `node --import tsx test/clickhouse/front-process.ts DIRECTORY [PORT]`.
 * There is no ClickHouse server on many machines; what only one can show (replication, Keeper, asynchronous inserts) this cannot.
 * Each request has a connection of its own, as each HTTP request has a session of its own there.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createClient, type ClickHouseClient, type ClickHouseClientConfigOptions } from '@clickhouse/client';
import { Session } from 'chdb';
import { createChdbConnection } from 'chdb/connection';

const [directory = '', port = '0'] = process.argv.slice(2);
mkdirSync(directory, { recursive: true });
const file = join(directory, 'engine.xml');
writeFileSync(file, '<clickhouse><max_server_memory_usage>2000000000</max_server_memory_usage><mark_cache_size>67108864</mark_cache_size></clickhouse>\n');
// Settings of the engine count only at its first connection.
const engine = new Session(join(directory, 'store'), { connectionArgs: [`--config-file=${file}`] });

/** Of a server, or of the transport; the engine in process does not have them. */
const NOT_OURS = new Set(['query', 'database', 'query_id', 'session_id', 'default_format', 'async_insert', 'wait_for_async_insert', 'send_progress_in_http_headers', 'http_headers_progress_interval_ms', 'wait_end_of_query', 'role', 'enable_http_compression']);

type Request = { readonly query: string; readonly data: Buffer; readonly parameters: readonly (readonly [string, string])[]; readonly settings: readonly (readonly [string, string])[] };

async function read(incoming: IncomingMessage): Promise<Request> {
  const { searchParams } = new URL(incoming.url ?? '/', 'http://front');
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk as Uint8Array));
  const body = Buffer.concat(chunks);
  const fields = new Map<string, string>(searchParams);
  let data = body;
  const type = incoming.headers['content-type'] ?? '';
  if (type.startsWith('multipart/form-data')) {
    const form = await new Response(body, { headers: { 'content-type': type } }).formData();
    for (const [name, value] of form) fields.set(name, typeof value === 'string' ? value : await value.text());
    data = Buffer.alloc(0);
  }
  const entries = [...fields].filter(([name]) => !NOT_OURS.has(name));
  const parameters = entries.filter(([name]) => name.startsWith('param_'));
  // `readonly` last: after it nothing can be set.
  const settings = entries.filter(([name]) => !name.startsWith('param_')).sort(([one], [other]) => Number(one === 'readonly') - Number(other === 'readonly'));
  const query = fields.get('query');
  return query === undefined ? { query: data.toString(), data: Buffer.alloc(0), parameters, settings } : { query, data, parameters, settings };
}

const quoted = (text: string): string => `'${text.replace(/[\\'\0]/g, (character) => (character === '\0' ? '\\0' : `\\${character}`))}'`;
const INSERT = /^INSERT INTO (\S+)(?: \(([^)]*)\))? FORMAT (\w+)\s*$/;

async function run({ query, data, parameters, settings }: Request): Promise<Buffer> {
  const chdb = createChdbConnection({ path: join(directory, 'store') });
  // As in deploy/store-embedded.ts: two copies of one contract, which differ by a private field.
  const connection = chdb as unknown as NonNullable<ClickHouseClientConfigOptions['connection']>;
  const client: ClickHouseClient = createClient({ connection });
  try {
    for (const [name, value] of settings) await client.command({ query: `SET ${name} = ${quoted(value)}` });
    const insert = INSERT.exec(query);
    if (insert !== null && data.byteLength > 0) {
      const [, table = '', columns, format] = insert;
      if (format !== 'JSONEachRow' && format !== 'JSONCompactEachRow') throw new Error(`Code: 73. DB::Exception: the front takes no ${format}`);
      await chdb.chdb.rawInsert({ table, format, values: data, ...(columns === undefined ? {} : { columns: columns.split(', ').map((column) => column.replaceAll('`', '')) }) });
      return Buffer.alloc(0);
    }
    const bound = parameters.map(([name, value]) => `SET ${name} = ${quoted(value)}; `).join('');
    const { stream } = await client.exec({ query: bound + query });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array));
    return Buffer.concat(chunks);
  } finally {
    await client.close();
  }
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  if (incoming.url?.startsWith('/ping') === true) return void outgoing.end('Ok.\n');
  try {
    outgoing.end(await run(await read(incoming)));
  } catch (error) {
    const said = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    const code = /Code: (\d+)/.exec(said)?.[1] ?? (error instanceof Error && 'code' in error ? String(error.code) : '1');
    const text = said.startsWith('Code:') ? said : `Code: ${code}. DB::Exception: ${said}`;
    outgoing.writeHead(500, { 'x-clickhouse-exception-code': code, 'content-type': 'text/plain' }).end(/\([A-Z_]+\)/.test(text) ? text : `${text} (UNKNOWN)`);
  }
}

const server = createServer({ maxHeaderSize: 4 * 1024 * 1024, keepAliveTimeout: 30_000 }, (incoming, outgoing) => void answer(incoming, outgoing));
server.listen(Number(port), '127.0.0.1', () => {
  const address = server.address();
  console.log(`listening on ${typeof address === 'object' && address !== null ? address.port : port}`);
});
process.once('SIGTERM', () => {
  server.close();
  engine.close();
  process.exit(0);
});

import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { createServers, post } from './server-process.ts';

const servers = createServers();
afterEach(() => servers.end());

/** Found nowhere by chance; so short that the compression of a column (ZSTD: from 64 bytes) leaves it as it is, and a search in files finds it. */
const marker = (): string => `marker${randomBytes(24).toString('base64url')}`;

type Messages = { readonly input: string; readonly output: string };
const ids = () => ({ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex') });

function body({ trace_id, span_id }: ReturnType<typeof ids>, { input, output }: Messages): string {
  const text = (key: string, value: string) => ({ key, value: { stringValue: value } });
  const attributes = [
    ...['gen_ai.operation.name=chat', 'gen_ai.provider.name=openai', 'gen_ai.request.model=gpt-4o', 'gen_ai.prompt.name=refund', 'gen_ai.prompt.version=v1'].map((pair) => text(pair.split('=')[0] ?? '', pair.split('=')[1] ?? '')),
    text('gen_ai.input.messages', JSON.stringify([{ role: 'user', parts: [{ type: 'text', content: input }] }])),
    text('gen_ai.completion', output),
  ];
  const now = `${Date.now()}000000`;
  return JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: trace_id, spanId: span_id, name: 'chat', startTimeUnixNano: now, endTimeUnixNano: now, attributes }] }] }] });
}

async function contentAt(url: string, { trace_id, span_id }: ReturnType<typeof ids>): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(`${url}/v1/calls/${trace_id}/${span_id}/content`);
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

/** Files of the data directory that hold the text, whatever they are. */
async function filesWith(directory: string, text: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(files.map(async (file) => ((await readFile(file)).includes(text) ? [file] : [])));
  return found.flat();
}

/** Columns of the store, of every table, that hold the text: what compression hides from a search in files. */
async function columnsWith(data: string, text: string): Promise<string[]> {
  const store = await openEmbeddedStore({ directory: join(data, 'store') });
  try {
    const tables = await store.select<{ name: string }>("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'");
    const found = await Promise.all(
      tables.map(async ({ name }) => {
        const [row] = await store.select<{ rows: number }>(`SELECT count() AS rows FROM ${name} WHERE position(toJSONString(tuple(*)), {text:String}) > 0`, { text });
        return (row?.rows ?? 0) > 0 ? [name] : [];
      }),
    );
    return found.flat();
  } finally {
    await store.close();
  }
}

describe('message content', { timeout: 60_000 }, () => {
  it('is stored nowhere and told to nobody by default', async () => {
    const data = join(await servers.directory(), 'data');
    const server = await servers.start(data, ['--log-level', 'debug']);
    const call = ids();
    const messages = { input: marker(), output: marker() };
    expect((await post(server.url, body(call, messages))).status).toBe(200);
    const calls = await (await fetch(`${server.url}/v1/calls?trace_id=${call.trace_id}`)).text();
    expect(JSON.parse(calls)).toMatchObject({ calls: [{ is_empty: false, prompt_version: 'v1' }] });
    const { status, json } = await contentAt(server.url, call);
    expect([status, json['detail']]).toEqual([404, expect.stringContaining('`content` is off')]);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    for (const text of [messages.input, messages.output]) {
      expect(await filesWith(data, text)).toEqual([]);
      expect(await columnsWith(data, text)).toEqual([]);
      expect(server.output() + calls + JSON.stringify(json)).not.toContain(text);
    }
    // The search finds what is there.
    expect(await columnsWith(data, call.trace_id)).toContain('calls');
  });

  it('is stored before the answer where it is asked for, redacted, survives kill -9, and is not in the log', async () => {
    const directory = await servers.directory();
    const data = join(directory, 'data');
    const config = join(directory, 'culprit.yaml');
    await writeFile(config, "content: stored\nredact: ['[\\w.]+@[\\w.]+']\n");
    const server = await servers.start(data, ['--config', config, '--log-level', 'debug']);
    const call = ids();
    const secret = `${randomBytes(12).toString('hex')}@example.com`;
    const messages = { input: `mail ${secret} about ${marker()}`, output: marker() };
    expect((await post(server.url, body(call, messages))).status).toBe(200);
    await server.kill();
    expect(server.output()).not.toContain(messages.output);
    expect(await columnsWith(data, messages.output)).toEqual(['contents']);
    // Both searches of these tests find what is there.
    expect(await filesWith(data, messages.output)).not.toEqual([]);
    expect(await columnsWith(data, secret)).toEqual([]);
    expect(await filesWith(data, secret)).toEqual([]);

    const again = await servers.start(data, ['--config', config]);
    const { status, json } = await contentAt(again.url, call);
    expect([status, json]).toMatchObject([200, { ...call, mode: 'stored', over_limit: [] }]);
    expect(json['input']).toBe(JSON.stringify([{ parts: [{ content: messages.input.replace(secret, '[redacted]'), type: 'text' }], role: 'user' }]));
    expect(json['output']).toBe(messages.output);
    // A span that is sent again is there once.
    expect((await post(again.url, body(call, messages))).status).toBe(200);
    expect((await contentAt(again.url, call)).json).toEqual(json);

    const unknown = await contentAt(again.url, ids());
    expect([unknown.status, unknown.json['detail']]).toEqual([404, expect.stringMatching(/There is no content of this call.*7 days/)]);
    expect(await again.stop()).toEqual({ code: 0, signal: null });
    // Off again: nothing is shown, also of what was stored.
    const off = await servers.start(data);
    expect((await contentAt(off.url, call)).status).toBe(404);
  });

  it('is a hash where hashes are asked for', async () => {
    const data = join(await servers.directory(), 'data');
    const server = await servers.start(data, ['--content', 'hashed']);
    const call = ids();
    const messages = { input: marker(), output: marker() };
    expect((await post(server.url, body(call, messages))).status).toBe(200);
    const { json } = await contentAt(server.url, call);
    const canonical = JSON.stringify([{ parts: [{ content: messages.input, type: 'text' }], role: 'user' }]);
    expect(json).toMatchObject({ mode: 'hashed', input: createHash('sha256').update(canonical).digest('hex') });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    expect(await columnsWith(data, messages.input)).toEqual([]);
    expect(await filesWith(data, messages.output)).toEqual([]);
  });
});

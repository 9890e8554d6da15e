import { randomBytes } from 'node:crypto';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { tracesBody } from './server-process.ts';
import { configuredKey, startGuarded, type Guarded } from './guarded.ts';

/** A guarded server over real HTTP, and what an attacker would try. */
const admin = configuredKey('default', ['admin']);
const reader = configuredKey('shop', ['read']);
const responder = configuredKey('shop', ['act']);
const sender = configuredKey('shop', ['ingest']);
let server: Guarded;
beforeAll(async () => void (server = await startGuarded({ grpc: true, grpc_port: 0, access: { keys: [admin, reader, responder, sender].map(({ entry }) => entry) } })), 30_000);
afterAll(() => server.close());

type Json = Record<string, any>; // eslint-disable-line -- answers are checked field by field below
const json = async (response: Response): Promise<Json> => (await response.json()) as Json;
const spans = () => JSON.parse(tracesBody([{ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex') }], Date.now())) as object;
const score = { name: 'quality', value: 1, trace_id: '0'.repeat(31) + '1' };
const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });

describe('telemetry', () => {
  it.each([
    ['OpenTelemetry, Bearer', '/v1/traces', () => ({ authorization: `Bearer ${sender.secret}` }), spans],
    ['Langfuse, Basic', '/api/public/otel/v1/traces', () => basic(`pk-lf-1:${sender.secret}`), spans],
    ['LangSmith', '/otel/v1/traces', () => ({ 'x-api-key': sender.secret }), spans],
    ['Phoenix', '/v1/traces', () => ({ api_key: sender.secret }), spans],
    ['a score of ours', '/v1/scores', () => ({ authorization: `Bearer ${sender.secret}` }), () => score],
    ['a score of Langfuse', '/api/public/scores', () => basic(`pk:${sender.secret}`), () => ({ name: 'q', value: 1, traceId: 'a'.repeat(32) })],
    ['metrics, which are not read', '/v1/metrics', () => ({ 'x-api-key': sender.secret }), () => ({})],
  ])('is taken with a key: %s', async (_name, path, headers, body) => {
    const answer = await server.ask(path, { headers: headers(), body: body() });
    expect(answer.status, await answer.clone().text()).toBeLessThan(300);
  });

  it('is of the project of its key, whatever it says itself', async () => {
    const sent = spans() as Json;
    sent['resourceSpans'][0].resource.attributes.push({ key: 'project', value: { stringValue: 'bank' } }, { key: 'culprit.project', value: { stringValue: 'bank' } });
    await server.ask('/v1/traces?project=bank', { key: sender.secret, headers: { 'x-project': 'bank', 'x-culprit-project': 'bank' }, body: sent });
    const traceId: string = sent['resourceSpans'][0].scopeSpans[0].spans[0].traceId;
    const { calls } = await json(await server.ask(`/v1/calls?trace_id=${traceId}`, { key: reader.secret }));
    expect(calls).toMatchObject([{ project: 'shop' }]);
    expect((await json(await server.ask(`/v1/calls?trace_id=${traceId}`, { key: admin.secret })))['calls']).toEqual([]);
  });

  it('without a key is refused in the words of its senders, with what to do', async () => {
    const otlp = await server.ask('/v1/traces', { body: spans() });
    expect([otlp.status, otlp.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect(await json(otlp)).toMatchObject({ code: 16, message: expect.stringMatching(/x-api-key.*culprit keys create/) });
    const protobuf = await server.ask('/any/prefix/v1/logs', { method: 'POST', headers: { 'content-type': 'application/x-protobuf' } });
    expect([protobuf.status, protobuf.headers.get('content-type')]).toEqual([401, 'application/x-protobuf']);
    // google.rpc.Status: field 1, UNAUTHENTICATED.
    expect([...new Uint8Array(await protobuf.arrayBuffer()).slice(0, 2)]).toEqual([0x08, 16]);
    expect(await json(await server.ask('/v1/scores', { body: score }))).toMatchObject({ type: 'urn:culprit:problem:401', detail: expect.stringContaining('x-api-key') });
    expect(await json(await server.ask('/api/public/scores', { body: {} }))).toMatchObject({ error: 'Error', message: expect.stringContaining('x-api-key') });
    const wrong = await server.ask('/v1/traces', { key: `${sender.secret}x`, body: spans() });
    expect([wrong.status, (await json(wrong))['message']]).toEqual([401, expect.stringContaining('not known')]);
  });

  it('over gRPC, too, needs its key', async () => {
    const client = new Client(server.grpc ?? '', credentials.createInsecure());
    const bytes = (message: Buffer): Buffer => message;
    const send = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve) => {
        client.makeUnaryRequest('/opentelemetry.proto.collector.trace.v1.TraceService/Export', bytes, bytes, Buffer.alloc(0), Metadata.fromHttp2Headers(headers), (error) => resolve(error?.code ?? status.OK));
      });
    expect(await send({})).toBe(status.UNAUTHENTICATED);
    expect(await send({ authorization: 'Bearer nobody' })).toBe(status.UNAUTHENTICATED);
    expect(await send({ 'x-api-key': reader.secret })).toBe(status.PERMISSION_DENIED);
    expect(await send({ authorization: `Bearer ${sender.secret}` })).toBe(status.OK);
    client.close();
  });

  it('needs the scope ingest', async () => {
    const refused = await server.ask('/v1/traces', { key: reader.secret, body: spans() });
    expect([refused.status, await json(refused)]).toEqual([403, { code: 7, message: expect.stringContaining('needs ingest') }]);
    expect((await server.ask('/v1/scores/score_1', { method: 'DELETE', key: responder.secret })).status).toBe(403);
  });
});

describe('the API', () => {
  it.each(['/v1/alerts', '/v1/me', '/v1/events', '/openapi.json', '/v1/status', '/v1/nothing', '/nothing', '/metrics', '/v1/versions?prompt=x', '/v1/timeline'])('is closed without a key: %s', async (path) => {
    const answer = await server.ask(path);
    expect([answer.status, answer.headers.get('content-type'), answer.headers.get('www-authenticate')]).toEqual([401, 'application/problem+json', 'Bearer']);
    expect((await json(answer))['detail']).toContain('x-api-key');
  });

  it('sends a browser to the login page, and shows it the files of the page, which are nobody’s', async () => {
    const page = await server.ask('/alerts/alr_1?x=1', { headers: { accept: 'text/html' } });
    expect([page.status, page.headers.get('location')]).toEqual([303, '/login?next=%2Falerts%2Falr_1%3Fx%3D1']);
    expect((await server.ask('/login')).status).toBe(200);
    expect((await server.ask('/assets/style.css')).status).toBe(200);
  });

  it('lets a key do what its scopes say and nothing else', async () => {
    const table: [string, string, string, number][] = [
      ['GET', '/v1/alerts', reader.secret, 200],
      ['HEAD', '/v1/alerts', reader.secret, 200],
      ['GET', '/v1/alerts', sender.secret, 403],
      ['GET', '/v1/me', sender.secret, 200],
      ['POST', '/v1/alerts/alr_1/acknowledge', reader.secret, 403],
      ['POST', '/v1/alerts/alr_1/acknowledge', responder.secret, 404],
      ['GET', '/v1/keys', responder.secret, 403],
      ['POST', '/v1/keys', responder.secret, 403],
      ['GET', '/v1/projects', responder.secret, 403],
      ['GET', '/v1/audit-log', responder.secret, 403],
      ['GET', '/v1/users', responder.secret, 403],
      // Questions that are asked by POST, and what writes.
      ['POST', '/v1/query', reader.secret, 400],
      ['POST', '/v1/query', sender.secret, 403],
      ['POST', '/v1/flagger/gate', reader.secret, 400],
      ['POST', '/v1/versions', reader.secret, 403],
      ['GET', '/metrics', reader.secret, 200],
      // Without a key, for whoever can sign; none is configured here.
      ['POST', '/v1/hooks/github', '', 404],
      ['GET', '/v1/keys', admin.secret, 200],
      ['GET', '/v1/projects', admin.secret, 200],
    ];
    for (const [method, path, key, status] of table) expect((await server.ask(path, { method, key, ...(method === 'POST' ? { body: {} } : {}) })).status, `${method} ${path}`).toBe(status);
  });

  it('takes no key from the address, a cookie or the body', async () => {
    for (const name of ['key', 'api_key', 'apikey', 'token', 'access_token', 'authorization', 'x-api-key']) expect((await server.ask(`/v1/alerts?${name}=${admin.secret}`)).status).toBe(401);
    expect((await server.ask('/v1/alerts', { cookie: `culprit_session=${admin.secret}; __Host-culprit_session=${admin.secret}; api_key=${admin.secret}` })).status).toBe(401);
    expect((await server.ask('/v1/keys', { body: { api_key: admin.secret } })).status).toBe(401);
    expect((await server.raw(`GET http://${admin.secret}:${admin.secret}@127.0.0.1/v1/alerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).slice(9, 12)).toMatch(/40[01]/);
  });
});

describe('ways around', () => {
  it.each([
    '//v1/alerts', '/./v1/alerts', '/x/../v1/alerts', '/v1/%61lerts', '/%76%31/alerts', '/v1%2Falerts', '/v1/alerts/', '/v1/alerts%00', '/v1/alerts;x=1', '/V1/ALERTS', '/v1/traces/../alerts', '/assets/../v1/alerts', '/assets/%2e%2e/v1/alerts',
    '/assets/..%2fv1%2falerts', '/assets//v1/alerts', '/login/../v1/alerts', '/login/v1/alerts', '/login;/v1/alerts', '/logout/../v1/keys', '/x/v1/traces/v1/alerts', '/v1/alerts?/v1/traces', '/v1/alerts#/v1/traces', '/v1/alerts?x=/assets/style.css', '\\v1\\alerts', '/login%2f..%2fv1/keys',
  ])('a path: %s', async (path) => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE', 'TRACE', 'PATCH']) {
      const answer = await server.raw(`${method} ${path} HTTP/1.1\r\nHost: ${new URL(server.url).host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      expect(answer, `${method} ${path}`).toMatch(/^HTTP\/1\.1 (40[0-9]|405|415|501) /);
      expect(answer).not.toMatch(/"(alerts|keys|entries)":\[/);
    }
  });

  it('a path with a key that may not', async () => {
    for (const path of ['/v1/%6beys', '/v1/keys/', '//v1/keys', '/v1/./keys', '/v1/x/../keys', '/V1/keys', '/v1/keys%20', '/v1/audit%2dlog', '/v1/me/../keys', '/v1/me/..%2fkeys', '/v1/users%2f']) {
      const answer = await server.raw(`GET ${path} HTTP/1.1\r\nHost: ${new URL(server.url).host}\r\nX-Api-Key: ${reader.secret}\r\nConnection: close\r\n\r\n`);
      expect(answer, path).toMatch(/^HTTP\/1\.1 40[034] /);
      expect(answer).not.toMatch(/"(keys|users|entries)":\[/);
    }
  });

  it('a telemetry path that leads to the API', async () => {
    for (const path of ['/v1/alerts/v1/traces', '/v1/keys/v1/traces', '/v1/alerts/x/v1/scores']) {
      expect((await server.ask(path, { body: {} })).status).toBe(401);
      const taken = await server.ask(path, { key: sender.secret, body: path.endsWith('scores') ? score : {} });
      expect(await taken.text()).not.toMatch(/"(alerts|keys)"/);
    }
  });

  it('headers that two readers would read differently', async () => {
    const ask = (lines: string) => server.raw(`GET /v1/keys HTTP/1.1\r\nHost: ${new URL(server.url).host}\r\nConnection: close\r\n${lines}\r\n`);
    expect(await ask(`X-Api-Key: ${reader.secret}\r\nAuthorization: Bearer ${admin.secret}\r\n`)).toMatch(/^HTTP\/1\.1 401 .*two different keys/s);
    expect(await ask(`X-Api-Key: ${reader.secret}\r\nX-Api-Key: ${admin.secret}\r\n`)).toMatch(/^HTTP\/1\.1 401 /);
    expect(await ask(`Authorization: Bearer nobody\r\nAuthorization: Bearer ${admin.secret}\r\n`)).toMatch(/^HTTP\/1\.1 (400|401) /);
    expect(await ask(`Authorization: Bearer ${admin.secret}, Bearer x\r\n`)).toMatch(/^HTTP\/1\.1 401 /);
    expect(await ask(`X-Api-Key : ${admin.secret}\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await ask(`X-Api-Key:\r\n ${admin.secret}\r\n`)).toMatch(/^HTTP\/1\.1 40[01] /);
    expect(await ask(`Content-Length: 5\r\nTransfer-Encoding: chunked\r\nX-Api-Key: ${admin.secret}\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
    for (const name of ['X-Forwarded-User', 'X-Remote-User', 'X-Original-URL', 'X-Rewrite-URL', 'X-HTTP-Method-Override', 'Remote-User']) expect(await ask(`${name}: admin\r\n`)).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('headers without end', async () => {
    const ask = (lines: string) => server.raw(`GET /v1/keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines}\r\n`);
    expect(await ask(`Authorization: Bearer ${'x'.repeat(12_000)}\r\n`)).toMatch(/^HTTP\/1\.1 401 /);
    expect(await ask(`Authorization: Bearer ${'x'.repeat(1_000_000)}\r\n`)).toMatch(/^(HTTP\/1\.1 431 |$)/);
    expect(await ask(`Cookie: ${'culprit_session=x; '.repeat(500)}\r\n`)).toMatch(/^HTTP\/1\.1 401 /);
    expect((await server.ask('/v1/me', { key: reader.secret })).status).toBe(200);
  });

  it('X-Forwarded-For, which a stranger can write', async () => {
    const made = await json(await server.ask('/v1/keys', { key: admin.secret, headers: { 'x-forwarded-for': '203.0.113.9' }, body: { name: 'forwarded', scopes: ['read'] } }));
    const { entries } = await json(await server.ask('/v1/audit-log?limit=1', { key: admin.secret }));
    expect(entries).toMatchObject([{ action: 'keys.create', target: made['key'].id, address: '127.0.0.1', actor: 'default admin', result: 'done', detail: 'forwarded, default: read' }]);
  });
});

describe('keys over the API', () => {
  it('are made, rotated and revoked; each step is in the audit log, and no secret is', async () => {
    const first = await json(await server.ask('/v1/keys', { key: admin.secret, body: { name: 'gate', project: 'shop', scopes: ['act'], expires_days: 1 } }));
    const id: string = first['key'].id;
    expect(first).toMatchObject({ key: { name: 'gate', project: 'shop', state: 'active', replaces: null }, secret: expect.stringMatching(/^clp_/) });
    const second = await json(await server.ask(`/v1/keys/${id}/rotate`, { key: admin.secret, body: { overlap_hours: 1 } }));
    for (const { secret } of [first, second]) expect(await json(await server.ask('/v1/me', { key: secret }))).toMatchObject({ kind: 'key', name: 'gate', project: 'shop', scopes: ['act'] });
    expect((await server.ask(`/v1/keys/${id}`, { method: 'DELETE', key: admin.secret })).status).toBe(200);
    expect((await server.ask('/v1/me', { key: first['secret'] })).status).toBe(401);
    expect((await server.ask('/v1/me', { key: second['secret'] })).status).toBe(200);
    expect((await server.ask(`/v1/keys/${id}/rotate`, { key: admin.secret, body: {} })).status).toBe(409);
    expect((await server.ask('/v1/keys', { key: admin.secret, body: { name: '<b>', scopes: ['act'] } })).status).toBe(400);
    expect((await server.ask('/v1/keys', { key: admin.secret, body: { name: 'x', scopes: ['root'] } })).status).toBe(400);
    const log = await (await server.ask('/v1/audit-log', { key: admin.secret })).text();
    const actions = (JSON.parse(log) as Json)['entries'].map(({ action, result }: Json) => `${action} ${result}`);
    expect(actions).toEqual(expect.arrayContaining(['keys.create done', 'keys.rotate done', 'keys.delete done', 'keys.rotate refused', 'keys.create refused']));
    for (const secret of [first['secret'], second['secret'], admin.secret, sender.secret]) expect(log).not.toContain(String(secret).slice(8));
  });

  it('the audit log goes back page by page', async () => {
    const whole = (await json(await server.ask('/v1/audit-log?limit=1000', { key: admin.secret })))['entries'];
    expect(whole.length).toBeGreaterThan(5);
    const paged: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Json = await json(await server.ask(`/v1/audit-log?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`, { key: admin.secret }));
      paged.push(...page['entries']);
      cursor = page['next_cursor'];
    }
    expect(paged).toEqual(whole);
  });

  it('a stream of events ends when its key is revoked', async () => {
    const { key, secret } = await json(await server.ask('/v1/keys', { key: admin.secret, body: { name: 'watcher', scopes: ['read'] } }));
    const stream = await server.ask('/v1/events', { key: secret });
    expect(stream.status).toBe(200);
    const read = stream.text();
    await server.ask(`/v1/keys/${key.id}`, { method: 'DELETE', key: admin.secret });
    await expect(read).resolves.toContain('event: status');
    const other = await server.ask('/v1/events', { key: reader.secret });
    const chunks = other.body?.getReader();
    await vi.waitFor(async () => expect((await chunks?.read())?.done).toBe(false));
    await chunks?.cancel();
  }, 20_000);
});

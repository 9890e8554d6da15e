import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { alertAt } from '../api/sinks/alert.ts';
import { configuredKey, cookiesOf, startGuarded, type Guarded } from './guarded.ts';
import { freePort } from '../ports.ts';
import { createVisitor, startOpenidProvider, type OpenidProvider } from './openid-provider.ts';

const admin = configuredKey('default', ['admin']);
const PASSWORD = 'correct horse battery';

type Json = Record<string, any>; // eslint-disable-line -- answers are checked field by field below
const json = async (response: Response): Promise<Json> => (await response.json()) as Json;

describe('a person with a password', () => {
  let server: Guarded;
  const login = (form: Record<string, string>, headers: Record<string, string> = {}) => server.ask('/login', { form, headers });
  const add = (name: string, role: string, more: object = {}) => server.ask('/v1/users', { key: admin.secret, body: { name, role, password: PASSWORD, ...more } });
  const enter = async (name: string): Promise<string> => cookiesOf(await login({ name, password: PASSWORD }));

  beforeAll(async () => {
    server = await startGuarded({ access: { keys: [admin.entry] } }, async (store) => {
      for (const id of ['alr_1', 'alr_2']) {
        const alert = alertAt(id, 'open', Date.now() - 3_600_000);
        await store.insert('alert_transitions', [{ transition_id: `${id}-1`, alert_id: id, sequence: 1, project: 'default', comparison_id: '', state: 'open', at_ms: Date.now() - 3_600_000, reason: '', body: JSON.stringify(alert) }]);
      }
    });
    await add('mira', 'responder');
    await add('vera', 'viewer', { project: 'default' });
  }, 30_000);
  afterAll(() => server.close());

  it('logs in, is known, acts under their own name, and logs out', async () => {
    const entered = await login({ name: 'mira', password: PASSWORD, next: '/alerts/alr_1' });
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/alerts/alr_1']);
    expect(entered.headers.getSetCookie()).toEqual([expect.stringMatching(/^culprit_session=[\w-]{43}; Max-Age=604800; Path=\/; HttpOnly; SameSite=Lax$/)]);
    const cookie = cookiesOf(entered);
    expect(await json(await server.ask('/v1/me', { cookie }))).toEqual({ kind: 'person', name: 'mira', project: 'default', scopes: ['act'], projects: ['default'], has_password: true });
    const origin = { origin: server.url };
    const alert = await json(await server.ask('/v1/alerts/alr_1/acknowledge', { cookie, headers: origin, body: { by: 'somebody else' } }));
    expect(alert['transitions'].at(-1)).toMatchObject({ state: 'acknowledged', by: 'mira' });
    const out = await server.ask('/logout', { method: 'POST', cookie, headers: origin });
    expect([out.status, out.headers.get('location')]).toEqual([303, '/login']);
    expect((await server.ask('/v1/me', { cookie })).status).toBe(401);
    const { entries } = await json(await server.ask('/v1/audit-log?actor=mira', { key: admin.secret }));
    expect(entries.map(({ action, result, address }: Json) => [action, result, address])).toEqual([['logout', 'done', '127.0.0.1'], ['alerts.acknowledge', 'done', '127.0.0.1'], ['login', 'done', '127.0.0.1']]);
  });

  it('may what the role says', async () => {
    const [viewer, responder] = [await enter('vera'), await enter('mira')];
    expect((await server.ask('/v1/alerts', { cookie: viewer })).status).toBe(200);
    expect((await server.ask('/v1/alerts/alr_2/acknowledge', { cookie: viewer, body: {} })).status).toBe(403);
    expect((await server.ask('/v1/users', { cookie: responder })).status).toBe(403);
    // A login is for the page; telemetry needs a key.
    expect((await server.ask('/v1/scores', { cookie: responder, body: { name: 'q', value: 1, trace_id: 'a'.repeat(32) } })).status).toBe(401);
  });

  it('with every project looks at one at a time; one with one project cannot change it', async () => {
    await server.ask('/v1/keys', { key: admin.secret, body: { name: 'k', project: 'bank', scopes: ['read'] } });
    await add('anna', 'admin');
    const cookie = await enter('anna');
    expect(await json(await server.ask('/v1/me', { cookie }))).toMatchObject({ project: 'default', projects: ['bank', 'default'] });
    const stream = (await server.ask('/v1/events', { cookie })).text();
    expect(await json(await server.ask('/v1/me/project', { cookie, body: { project: 'bank' } }))).toMatchObject({ name: 'anna' });
    expect(await json(await server.ask('/v1/me', { cookie }))).toMatchObject({ project: 'bank' });
    expect(await json(await server.ask('/v1/alerts', { cookie }))).toMatchObject({ alerts: [] });
    // What was being watched was another project.
    await expect(stream).resolves.toContain('event: status');
    expect((await server.ask('/v1/me/project', { cookie, body: { project: 'nowhere' } })).status).toBe(400);
    expect((await server.ask('/v1/me/project', { cookie: await enter('vera'), body: { project: 'bank' } })).status).toBe(403);
    expect((await server.ask('/v1/me/project', { key: admin.secret, body: { project: 'bank' } })).status).toBe(403);
  }, 20_000);

  it('is out, and what they watch ends, when they are removed or the password changes', async () => {
    await add('otto', 'viewer');
    for (const end of [() => server.ask('/v1/users/otto/password', { method: 'PUT', key: admin.secret, body: { password: PASSWORD } }), () => server.ask('/v1/users/otto', { method: 'DELETE', key: admin.secret })]) {
      const cookie = await enter('otto');
      const stream = (await server.ask('/v1/events', { cookie })).text();
      expect((await server.ask('/v1/me', { cookie })).status).toBe(200);
      expect((await end()).status).toBe(200);
      expect((await server.ask('/v1/me', { cookie })).status).toBe(401);
      await expect(stream).resolves.toContain('event: status');
    }
    expect((await login({ name: 'otto', password: PASSWORD })).status).toBe(401);
  }, 30_000);

  it('changes their own password: every other login of theirs ends, this one goes on with a new secret', async () => {
    await add('olga', 'viewer');
    const [elsewhere, here, others] = [await enter('olga'), await enter('olga'), await enter('vera')];
    const change = (cookie: string, body: object, headers: Record<string, string> = {}) => server.ask('/v1/me/password', { cookie, body, headers });
    const wanted = { old_password: PASSWORD, new_password: 'another long password' };
    expect((await change(here, { ...wanted, new_password: 'short' })).status).toBe(400);
    expect(await json(await change(here, { ...wanted, new_password: PASSWORD }))).toMatchObject({ status: 400, detail: 'The new password is the old one; choose another.' });
    expect(await json(await change(here, { ...wanted, old_password: 'wrong' }))).toMatchObject({ status: 403, detail: 'The old password is not right.' });
    expect((await change(here, wanted, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await server.ask('/v1/me', { cookie: elsewhere })).status).toBe(200);

    const changed = await change(here, wanted);
    expect([changed.status, await json(changed)]).toEqual([200, expect.objectContaining({ kind: 'person', name: 'olga', scopes: ['read'], has_password: true })]);
    expect(changed.headers.getSetCookie()).toEqual([expect.stringMatching(/^culprit_session=[\w-]{43}; Max-Age=604800; Path=\/; HttpOnly; SameSite=Lax$/)]);
    const statuses = await Promise.all([elsewhere, here, cookiesOf(changed), others].map(async (cookie) => (await server.ask('/v1/me', { cookie })).status));
    expect(statuses).toEqual([401, 401, 200, 200]);
    expect([(await login({ name: 'olga', password: PASSWORD })).status, (await login({ name: 'olga', password: wanted.new_password })).status]).toEqual([401, 303]);

    const log = await (await server.ask('/v1/audit-log?action=me.password', { key: admin.secret })).text();
    expect((JSON.parse(log) as Json)['entries'].map(({ actor, target, result }: Json) => [actor, target, result])).toEqual([['olga', 'olga', 'done'], ['olga', 'olga', 'refused'], ['olga', '', 'refused'], ['olga', '', 'refused']]); // an answer, checked field by field
    expect(log).not.toMatch(/another long password|correct horse/);
  }, 20_000);

  it('does not come back by changing the password at the moment at which they are removed, or given another', async () => {
    await add('rolf', 'viewer');
    const attempt = (cookie: string) => server.ask('/v1/me/password', { cookie, body: { old_password: PASSWORD, new_password: 'another long password' } });
    const entries = () => Promise.all([PASSWORD, 'another long password', 'given by an admin'].map(async (password) => (await login({ name: 'rolf', password })).status));
    const first = await enter('rolf');
    const [given] = await Promise.all([server.ask('/v1/users/rolf/password', { method: 'PUT', key: admin.secret, body: { password: 'given by an admin' } }), attempt(first)]);
    expect([given.status, await entries()]).toEqual([200, [401, 401, 303]]);
    await server.ask('/v1/users/rolf/password', { method: 'PUT', key: admin.secret, body: { password: PASSWORD } });
    const second = await enter('rolf');
    const changing = attempt(second);
    const removed = await server.ask('/v1/users/rolf', { method: 'DELETE', key: admin.secret });
    await changing;
    expect([removed.status, await entries()]).toEqual([200, [401, 401, 401]]);
  }, 20_000);

  it('who has no password here has none to change: a key, and a login with one', async () => {
    const { secret } = await json(await server.ask('/v1/keys', { key: admin.secret, body: { name: 'passwordless', scopes: ['read'] } }));
    const cookie = cookiesOf(await login({ key: secret }));
    const body = { old_password: PASSWORD, new_password: 'another long password' };
    for (const asking of [{ key: secret }, { cookie }, { key: secret, cookie: await enter('mira') }]) expect(await json(await server.ask('/v1/me/password', { ...asking, body }))).toMatchObject({ status: 403, detail: expect.stringContaining('has one to change') });
    expect((await server.ask('/v1/me', { cookie })).status).toBe(200);
  });

  it('may also log in with a key, whose rights it has until the key is revoked', async () => {
    const { key, secret } = await json(await server.ask('/v1/keys', { key: admin.secret, body: { name: 'night', scopes: ['read'] } }));
    const cookie = cookiesOf(await login({ key: secret }));
    expect(await json(await server.ask('/v1/me', { cookie }))).toMatchObject({ kind: 'key', name: 'night', scopes: ['read'] });
    await server.ask(`/v1/keys/${key.id}`, { method: 'DELETE', key: admin.secret });
    expect((await server.ask('/v1/me', { cookie })).status).toBe(401);
    expect((await login({ key: secret })).status).toBe(401);
  });

  it('is not made to act by a page of somebody else', async () => {
    const cookie = await enter('mira');
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
      const answer = await server.ask('/v1/alerts/alr_2/acknowledge', { cookie, headers, body: {} });
      expect([answer.status, (await json(answer))['detail']]).toEqual([403, 'This was sent by a page of another origin.']);
      expect((await server.ask('/logout', { method: 'POST', cookie, headers })).status).toBe(403);
      expect((await login({ name: 'mira', password: PASSWORD }, headers)).status).toBe(403);
    }
    // A form is no JSON, whoever sends it.
    expect((await server.ask('/v1/alerts/alr_2/acknowledge', { cookie, form: { reason: 'x' } })).status).toBeGreaterThanOrEqual(400);
    expect((await json(await server.ask('/v1/alerts/alr_2', { cookie })))['state']).toBe('open');
  });

  it('goes nowhere else after the login', async () => {
    for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example', '/\t/evil.example', '/login']) expect((await login({ name: 'vera', password: PASSWORD, next })).headers.get('location')).toBe('/');
    const page = await (await server.ask(`/login?next=${encodeURIComponent('/alerts/"><script>alert(1)</script>')}`)).text();
    expect(page).not.toContain('<script>');
  });

  it('gets a new secret with each login, and the one that a stranger planted is not taken over', async () => {
    const planted = await login({ name: 'vera', password: PASSWORD }, { cookie: `culprit_session=${'A'.repeat(43)}` });
    expect(cookiesOf(planted)).not.toContain('AAAA');
    const [first, second] = [cookiesOf(planted), ''];
    const again = cookiesOf(await login({ name: 'vera', password: PASSWORD }, { cookie: first }));
    expect([again === first, again === second]).toEqual([false, false]);
    expect((await server.ask('/v1/me', { cookie: first })).status).toBe(401);
  });

  it('is told of a wrong password as of an unknown name, and who guesses has to wait', async () => {
    const mira = await enter('mira');
    const wrong = await login({ name: 'vera', password: 'wrong' });
    const unknown = await login({ name: 'nobody', password: 'wrong' });
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    expect(await wrong.text()).toBe(await unknown.text());
    const log = await (await server.ask('/v1/audit-log?action=login&limit=2', { key: admin.secret })).text();
    expect(log).toContain('wrong name or password');
    expect(log).not.toContain('nobody');
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 8; attempt += 1) statuses.push((await login({ name: 'vera', password: 'wrong' })).status);
    expect(statuses.at(-1)).toBe(429);
    const right = await login({ name: 'vera', password: PASSWORD });
    expect([right.status, Number(right.headers.get('retry-after'))]).toEqual([429, expect.toSatisfy((seconds: number) => seconds >= 1 && seconds <= 900)]);
    expect(await right.text()).toMatch(/The next one may be made in \d+ s/);
    // Nor can one guess on where a password is changed.
    const guess = await server.ask('/v1/me/password', { cookie: mira, body: { old_password: PASSWORD, new_password: 'another long password' } });
    expect([guess.status, await json(guess), Number(guess.headers.get('retry-after')) >= 1]).toEqual([429, expect.objectContaining({ title: 'Too many attempts' }), true]);
  }, 20_000);
});

describe('a login that runs out', () => {
  let server: Guarded | null = null;
  afterEach(() => server?.close());
  it('is over, and so is what was being watched; over https the cookie goes over https only', async () => {
    server = await startGuarded({ public_url: 'https://culprit.example', access: { keys: [admin.entry], session_hours: 8 / 3600 } });
    const entered = await server.ask('/login', { form: { key: admin.secret } });
    expect(entered.headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-culprit_session=[\w-]{43}; Max-Age=8; Path=\/; HttpOnly; Secure; SameSite=Lax$/)]);
    const cookie = cookiesOf(entered);
    const stream = await server.ask('/v1/events', { cookie });
    expect(stream.status).toBe(200);
    await expect(stream.text()).resolves.toContain('event: status');
    expect((await server.ask('/v1/me', { cookie })).status).toBe(401);
  }, 60_000);
});

describe('a person whom an OpenID provider vouches for', () => {
  const visitor = createVisitor;
  let provider: OpenidProvider;
  let server: Guarded;
  beforeAll(async () => {
    const port = await freePort();
    provider = await startOpenidProvider({
      redirectUri: `http://127.0.0.1:${port}/login/callback`,
      secret: 'a secret of the client',
      people: {
        mira: { email: 'mira@example.com', email_verified: true, groups: ['everybody', 'sre'] },
        anna: { email: 'anna@example.com', email_verified: true, groups: ['platform'] },
        bert: { email: 'anna@example.com', email_verified: false, groups: ['team-bank'] },
        zoe: { email: 'zoe@example.com', email_verified: true, groups: ['sales'] },
      },
    });
    const roles = [{ claim: 'platform', role: 'admin' }, { claim: 'sre', role: 'responder', project: 'default' }, { claim: 'team-bank', role: 'viewer', project: 'bank' }];
    server = await startGuarded({ port, access: { oidc: { issuer: provider.issuer, client_id: 'culprit', client_secret: 'a secret of the client', scope: 'openid email groups', roles } } });
  }, 30_000);
  afterAll(async () => {
    await server.close();
    await provider.close();
  });

  const callback = () => `${server.url}/login/callback`;

  it.each([
    ['mira', { name: 'mira@example.com', scopes: ['act'], project: 'default', projects: ['default'] }],
    ['anna', { name: 'anna@example.com', scopes: ['admin'], project: 'default' }],
    // An address that the provider has not verified is no name: anybody could have claimed it.
    ['bert', { name: 'bert', scopes: ['read'], project: 'bank', projects: ['bank'] }],
  ])('gets in with the role of the claim: %s', async (person, who) => {
    const browser = visitor();
    const at = await browser.follow(`${server.url}/login/oidc?next=/data`, { person, until: callback() });
    const entered = await browser.visit(at);
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/data']);
    const me = await browser.visit(`${server.url}/v1/me`);
    expect(await json(me)).toMatchObject({ kind: 'person', ...who });
    // The answer of the provider is good for one login.
    expect((await browser.visit(at)).status).toBe(403);
  }, 20_000);

  it('does not get in without a role, and it is written down', async () => {
    const browser = visitor();
    const refused = await browser.visit(await browser.follow(`${server.url}/login/oidc`, { person: 'zoe', until: callback() }));
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain('has a role here');
    expect((await browser.visit(`${server.url}/v1/me`)).headers.get('location')).toContain('/login');
    const boss = visitor();
    await boss.visit(await boss.follow(`${server.url}/login/oidc`, { person: 'anna', until: callback() }));
    const { entries } = await json(await boss.visit(`${server.url}/v1/audit-log?action=login`));
    expect(entries[1]).toMatchObject({ actor: 'zoe@example.com', actor_id: 'oidc:zoe', result: 'refused' });
    expect(JSON.stringify(entries)).not.toMatch(/code=|eyJ/);
  }, 20_000);

  it('asks with PKCE, state and nonce, and takes no answer that does not belong to its question', async () => {
    const asked = await visitor().visit(`${server.url}/login/oidc`);
    const question = new URL(asked.headers.get('location') ?? '');
    expect(Object.fromEntries(question.searchParams)).toMatchObject({ response_type: 'code', code_challenge_method: 'S256', redirect_uri: callback(), state: expect.any(String), nonce: expect.any(String) });
    expect(asked.headers.getSetCookie()[0]).toMatch(/^culprit_oidc=[\w-]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/);

    const victim = visitor();
    const answer = await victim.follow(`${server.url}/login/oidc`, { person: 'mira', until: callback() });
    // Somebody else's answer in a browser that asked nothing, or something else (login CSRF).
    expect((await visitor().visit(answer)).status).toBe(403);
    const other = visitor();
    await other.visit(`${server.url}/login/oidc`);
    expect((await other.visit(answer)).status).toBe(403);
    // A changed state, nonce or verifier.
    const forge = async (change: (waiting: Json) => void, address = (at: string) => at): Promise<number> => {
      const browser = visitor();
      const at = await browser.follow(`${server.url}/login/oidc`, { person: 'mira', until: callback() });
      const jar = browser.cookies(server.url);
      const waiting = JSON.parse(Buffer.from(jar.get('culprit_oidc') ?? '', 'base64url').toString()) as Json;
      change(waiting);
      jar.set('culprit_oidc', Buffer.from(JSON.stringify(waiting)).toString('base64url'));
      return (await browser.visit(address(at))).status;
    };
    expect(await forge(() => undefined)).toBe(303);
    expect(await forge((waiting) => (waiting['nonce'] = 'another'))).toBe(403);
    expect(await forge((waiting) => (waiting['verifier'] = 'x'.repeat(43)))).toBe(403);
    expect(await forge((waiting) => (waiting['state'] = 'another'))).toBe(403);
    expect(await forge(() => undefined, (at) => at.replace(/state=[^&]+/, 'state=another'))).toBe(403);
    expect(await forge(() => undefined, (at) => at.replace(/iss=[^&]+/, 'iss=https%3A%2F%2Fevil.example'))).toBe(403);
    expect((await visitor().visit(`${callback()}?error=access_denied&error_description=<script>`)).status).toBe(403);
  }, 30_000);

  it('and the page has the way there', async () => {
    expect(await (await server.ask('/login?next=/alerts')).text()).toContain('href="/login/oidc?next=%2Falerts"');
  });
});

describe('a provider that is away', () => {
  let server: Guarded | null = null;
  afterEach(() => server?.close());
  it('does not keep Culprit from starting; its login says so', async () => {
    const issuer = `http://127.0.0.1:${await freePort()}`;
    server = await startGuarded({ access: { keys: [admin.entry], oidc: { issuer, client_id: 'culprit', roles: [{ claim: 'x', role: 'viewer' }] } } });
    const answer = await server.ask('/login/oidc');
    expect([answer.status, (await json(answer))['detail']]).toEqual([503, expect.stringContaining('does not answer')]);
    expect((await server.ask('/v1/me', { key: admin.secret })).status).toBe(200);
  }, 60_000);
});

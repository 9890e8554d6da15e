import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { EVERY_PROJECT } from '../../schemas/access.ts';
import { ProblemError, problemResponse } from '../problem.ts';
import type { Access } from './access.ts';
import type { Actor } from './audit.ts';
import type { RequestBindings } from './identity.ts';
import { loginPage, type LoginFault } from './login-page.ts';
import { createOidc } from './oidc.ts';
import { isFromElsewhere, pathOnThisServer } from './origin.ts';
import type { SessionBody } from './records.ts';
import { countedFor } from './throttle.ts';

/** Logging in and out: with a password, an API key, or at an OpenID provider. Plain forms, so it works without JavaScript. */
export type LoginDeps = {
  readonly access: Access;
  /** How people reach this server, without a slash at the end. */
  readonly publicUrl: () => string;
};

const OIDC_MINUTES = 10;

type LoginContext = Context<{ Bindings: RequestBindings }>;

export function createLogin({ access, publicUrl }: LoginDeps): Hono<{ Bindings: RequestBindings }> {
  const { attempts } = access;
  const { section, project, isHttps } = access.configuration;
  const oidc = section.oidc === undefined ? null : createOidc(section.oidc, { publicUrl });
  // As with the login's own cookie: where it can be, no other host may set it.
  const oidcCookie = isHttps ? '__Host-culprit_oidc' : 'culprit_oidc';
  const app = new Hono<{ Bindings: RequestBindings }>();

  const from = (context: LoginContext): string => access.addressOf((header) => context.req.header(header), context.env?.incoming?.socket.remoteAddress);
  const actor = (context: LoginContext, kind: Actor['kind'], who: { id: string; name: string }): Actor => ({ kind, ...who, address: from(context), project: '' });
  const page = (status: 200 | 401 | 403 | 429 | 503, { next, fault, headers = {} }: { next: string; fault: LoginFault | null; headers?: Record<string, string> }): Response =>
    loginPage(status, { next, fault, hasPeople: access.people.list().length > 0, provider: oidc === null ? null : new URL(section.oidc?.issuer ?? '').hostname, headers });

  async function enter(context: LoginContext, holder: SessionBody['holder'], { name, next, ofProject }: { name: string; next: string; ofProject: string }): Promise<Response> {
    // Whatever login the browser had before is over: nobody goes on with a secret that another may have planted.
    const old = access.cookieOf((header) => context.req.header(header));
    if (old !== null) await access.sessions.end(old, holder.id);
    const secret = await access.sessions.begin(holder, ofProject === EVERY_PROJECT ? project : ofProject);
    await access.audit({ actor: actor(context, holder.kind === 'key' ? 'key' : 'person', { id: holder.id, name }), action: 'login', detail: holder.kind });
    context.header('set-cookie', access.cookieWith(secret), { append: true });
    context.header('cache-control', 'no-store');
    return context.redirect(next, 303);
  }

  app.use('/login', bodyLimit({ maxSize: 8 * 1024, onError: () => problemResponse(413, 'The form is larger than 8 KiB.') }));

  app.get('/login', (context) => {
    const next = pathOnThisServer(context.req.query('next'));
    const identified = access.identify((header) => context.req.header(header), context.env?.incoming?.socket.remoteAddress);
    return 'identity' in identified ? context.redirect(next, 303) : page(200, { next, fault: null });
  });

  app.post('/login', async (context) => {
    if (isFromElsewhere((header) => context.req.header(header))) throw new ProblemError(403, 'This form was sent by a page of another origin.');
    // What is no form is answered like an empty one.
    const form: Record<string, unknown> = await context.req.parseBody().catch(() => ({}));
    const text = (name: string): string => (typeof form[name] === 'string' ? form[name].slice(0, 1024) : '');
    const next = pathOnThisServer(text('next'));
    const [name, password, key] = [text('name').trim(), text('password'), text('key').trim()];
    const counted = countedFor(from(context), key === '' ? name : null);
    const waitS = attempts.waitS(counted);
    if (waitS > 0) return page(429, { next, fault: { kind: 'wait', seconds: waitS }, headers: { 'retry-after': String(waitS) } });

    // Counted before the slow part, so that attempts made at the same time do not all pass.
    attempts.failed(counted);
    const held = key === '' ? null : access.keys.holder(key);
    if (held !== null) {
      attempts.succeeded(counted);
      return enter(context, { kind: 'key', id: held.id }, { name: held.name, next, ofProject: held.project });
    }
    const person = key === '' && name !== '' && (await access.people.verify(name, password)) ? access.people.find(name) : null;
    if (person !== null) {
      attempts.succeeded(counted);
      return enter(context, { kind: 'person', id: person.id }, { name: person.id, next, ofProject: person.body.project });
    }
    // The name is kept only where somebody has it: people type passwords into the wrong field.
    const known = access.people.find(name) === null ? '' : name;
    await access.audit({ actor: actor(context, 'anyone', { id: known, name: known }), action: 'login', target: known, result: 'refused', detail: key === '' ? 'wrong name or password' : 'unknown key' });
    return page(401, { next, fault: { kind: key === '' ? 'password' : 'key' } });
  });

  app.get('/login/oidc', async (context) => {
    if (oidc === null) throw new ProblemError(404, 'No OpenID provider is configured (access.oidc).');
    const { url, cookie } = await oidc.begin(pathOnThisServer(context.req.query('next')));
    setCookie(context, oidcCookie, cookie, { httpOnly: true, sameSite: 'Lax', secure: isHttps, path: '/', maxAge: OIDC_MINUTES * 60 });
    context.header('cache-control', 'no-store');
    return context.redirect(url, 303);
  });

  app.get('/login/callback', async (context) => {
    if (oidc === null) throw new ProblemError(404, 'No OpenID provider is configured (access.oidc).');
    const finished = await oidc.finish(new URL(context.req.url).search, getCookie(context, oidcCookie) ?? '');
    deleteCookie(context, oidcCookie, { path: '/', secure: isHttps });
    if (finished.kind === 'person') {
      const { id, name, role, next } = finished;
      return enter(context, { kind: 'oidc', id, name, role, project: finished.project }, { name, next, ofProject: finished.project });
    }
    await access.audit({ actor: actor(context, 'anyone', { id: finished.id, name: finished.name }), action: 'login', result: 'refused', detail: `oidc: ${finished.why}` });
    return page(403, { next: '/', fault: { kind: 'provider', why: finished.why } });
  });

  app.post('/logout', async (context) => {
    const header = (name: string): string | undefined => context.req.header(name);
    if (isFromElsewhere(header)) throw new ProblemError(403, 'This was sent by a page of another origin.');
    const secret = access.cookieOf(header);
    const identity = secret === null ? null : access.sessions.holder(secret, from(context));
    if (secret !== null && identity !== null) {
      await access.sessions.end(secret, identity.id);
      await access.audit({ actor: identity, action: 'logout' });
    }
    deleteCookie(context, access.cookieName, { path: '/', secure: isHttps });
    return context.redirect('/login', 303);
  });

  return app;
}

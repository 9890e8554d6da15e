import { Hono } from 'hono';
import { grants, type Scope } from '../../schemas/access.ts';
import { onlyForHosts } from '../host.ts';
import { errorResponse, ProblemError, problemResponse } from '../problem.ts';
import type { Access, Identified } from './access.ts';
import type { AuditNote, RequestBindings } from './identity.ts';
import { actionOf, targetOf } from './audit.ts';
import { createLogin, type LoginDeps } from './login.ts';
import { isFromElsewhere } from './origin.ts';

/**
 * What stands before the API and the page. Everything is closed unless it is said here to be open, so a path that nobody thought of is
 * closed; and the API behind it is one of the project of whoever asks, so no handler can see another.
 */
type Api = { fetch(request: Request, bindings: RequestBindings): Response | Promise<Response> };

export type GateDeps = LoginDeps & {
  readonly access: Access;
  /** Builds the API of one project; kept by the gate. */
  readonly apiOf: (project: string) => Api;
  /** Names that this server answers to while it is open (host.ts). */
  readonly hosts: readonly string[];
  readonly onFailure: (error: unknown, request: { method: string; path: string }) => void;
};

export type Gate = {
  readonly app: Hono<{ Bindings: RequestBindings }>;
  /** Ends streams whose key or login has ended. */
  cutEnded(): void;
};

/** The page's own files hold nothing of anybody's. */
const PUBLIC_FILE = /^\/assets\/[a-z-]+\.(css|js|svg)$/;

/** First that fits says what is needed; else reading needs `read`, and everything else `act`. */
const NEEDED: readonly { readonly path: RegExp; readonly scope: Scope | 'anyone known' | 'signature' }[] = [
  { path: /^\/v1\/(keys|users|projects|audit-log)(\/|$)/, scope: 'admin' },
  { path: /^\/v1\/me(\/|$)/, scope: 'anyone known' },
  // Questions that are asked by POST.
  { path: /^\/v1\/(query|flagger\/(gate|rollback))$|^\/ofrep\/v1\/evaluate\//, scope: 'read' },
  // Webhooks of registries have no key of ours; their handler takes them by their signature only (api/registry-hooks.ts).
  { path: /^\/v1\/hooks\/[a-z]+$/, scope: 'signature' },
];

const MAX_KEPT_APIS = 256;
const READING = new Set(['GET', 'HEAD', 'OPTIONS']);

export function createGate(deps: GateDeps): Gate {
  const { access } = deps;
  const { project } = access.configuration;
  const apis = new Map<string, Api>();
  const streams = new Set<{ readonly isStillValid: () => boolean; readonly cut: () => void }>();
  const onlyOurHosts = onlyForHosts(new Set(deps.hosts));
  const app = new Hono<{ Bindings: RequestBindings }>();

  function apiOf(name: string): Api {
    const api = apis.get(name) ?? deps.apiOf(name);
    apis.delete(name);
    apis.set(name, api);
    for (const stalest of apis.keys()) {
      if (apis.size <= MAX_KEPT_APIS) break;
      apis.delete(stalest);
    }
    return api;
  }

  // Where nobody has to say who they are, a page elsewhere could pass for one of ours by its name (host.ts).
  app.use('*', (context, next) => (access.isOpen() ? onlyOurHosts(context, next) : next()));
  app.route('/', createLogin(deps));

  app.all('*', async (context) => {
    const { method, path } = context.req;
    const header = (name: string): string | undefined => context.req.header(name);
    const bindings: RequestBindings = { ...context.env };
    if (READING.has(method) && PUBLIC_FILE.test(path)) return apiOf(project).fetch(context.req.raw, bindings);

    const isWrite = !READING.has(method);
    const needed = NEEDED.find((rule) => rule.path.test(path))?.scope ?? (isWrite ? 'act' : 'read');
    if (needed === 'signature') {
      const note: AuditNote = {};
      const response = await apiOf(project).fetch(context.req.raw, { ...bindings, note });
      const actor = { kind: 'system', id: '', name: targetOf(path), project, address: access.addressOf(header, bindings.incoming?.socket.remoteAddress) } as const;
      if (response.ok) await access.audit({ actor, action: actionOf(method, path), target: note.target ?? targetOf(path), detail: note.detail ?? '' });
      return response;
    }

    // 1. Who it is.
    const identified = access.identify(header, bindings.incoming?.socket.remoteAddress);
    if ('status' in identified) {
      if (method === 'GET' && identified.reason === 'no_key' && (header('accept') ?? '').includes('text/html')) return context.redirect(`/login?next=${encodeURIComponent(path + new URL(context.req.url).search)}`, 303);
      return problemResponse(identified.status, `${identified.message[0]?.toUpperCase()}${identified.message.slice(1)}.`, undefined, identified.status === 401 ? { 'www-authenticate': 'Bearer' } : {});
    }
    const { identity } = identified;

    // 2. Whether it may, and whether a browser was made to ask by a page of somebody else.
    if (needed !== 'anyone known' && !grants(identity.scopes, needed)) {
      if (isWrite) await access.audit({ actor: identity, action: actionOf(method, path), target: targetOf(path), result: 'refused', detail: `needs ${needed}` });
      return problemResponse(403, `${identity.name} has the scope ${identity.scopes.join(', ')}; this needs ${needed}.`);
    }
    if (isWrite && identified.by !== 'key' && isFromElsewhere(header)) return problemResponse(403, 'This was sent by a page of another origin.');

    // 3. The API of its project answers.
    const note: AuditNote = {};
    const response = await apiOf(identity.project).fetch(context.req.raw, { ...bindings, identity, note });

    // 4. What was done is written down before anybody is told that it was done.
    if (isWrite && needed !== 'read' && response.status !== 404 && response.status !== 405) {
      const result = response.ok ? 'done' : response.status < 500 ? 'refused' : 'failed';
      await access.audit({ actor: identity, action: actionOf(method, path), target: note.target ?? targetOf(path), result, detail: note.detail ?? '' });
    }
    return response.headers.get('content-type')?.startsWith('text/event-stream') === true ? whileValid(response, identified) : response;
  });

  app.onError((error, context) => {
    if (!(error instanceof ProblemError)) deps.onFailure(error, { method: context.req.method, path: context.req.path });
    return errorResponse(error);
  });

  /** Hands a stream through for as long as its key or login is valid. */
  function whileValid(response: Response, { isStillValid }: Identified): Response {
    const reader = response.body?.getReader();
    if (reader === undefined) return response;
    const stream = { isStillValid, cut: (): void => {} };
    const body = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          stream.cut = () => {
            streams.delete(stream);
            void reader.cancel().catch(() => undefined);
            controller.close();
          };
          streams.add(stream);
        },
        async pull(controller) {
          const { done, value } = await reader.read();
          if (!streams.has(stream)) return;
          if (!done) return controller.enqueue(value);
          streams.delete(stream);
          controller.close();
        },
        cancel(reason) {
          streams.delete(stream);
          return reader.cancel(reason);
        },
      },
      // What waits, waits in the stream behind, which knows when it is too much.
      new CountQueuingStrategy({ highWaterMark: 0 }),
    );
    return new Response(body, response);
  }

  return {
    app,
    cutEnded() {
      for (const stream of streams) if (!stream.isStillValid()) stream.cut();
    },
  };
}

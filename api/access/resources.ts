import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { EVERY_PROJECT, HolderName, ProjectName, Role, Scope } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import { LEDGER } from '../../schemas/ledger.ts';
import type { Store } from '../../schemas/store.ts';
import { notFoundResponse, Problem, ProblemError, problemResponses } from '../problem.ts';
import type { Access } from './access.ts';
import { identityOf, noteFor, requireScope, type Identity } from './identity.ts';
import { countedFor } from './throttle.ts';

/** Keys, people and projects, for administrators; and who one is, for everybody. */

const Key = z
  .object({
    id: z.string(),
    name: z.string(),
    project: z.string(),
    scopes: z.array(Scope),
    hint: z.string().nullable().openapi({ description: 'how the key begins; null where only its hash is known' }),
    source: z.enum(['made', 'configuration']),
    state: z.enum(['active', 'expired', 'revoked']),
    created_ms: z.number().nullable(),
    expires_ms: z.number().nullable(),
    last_used_ms: z.number().nullable().openapi({ description: 'to the hour' }),
    replaces: z.string().nullable().openapi({ description: 'the key that this one takes over from' }),
  })
  .openapi('Key');
const Made = z.object({ key: Key, secret: z.string().openapi({ description: 'the key itself; it is not kept, and not shown again' }) }).openapi('MadeKey');
const Person = z.object({ name: z.string(), role: Role, project: z.string().openapi({ description: '*: every project' }), added_ms: z.number() }).openapi('Person');
const Password = z.string().min(12, 'must have 12 characters at least').max(1024);

export const NewKey = z.strictObject({
  name: HolderName,
  project: ProjectName.optional().describe('default: the project of whoever asks'),
  scopes: z.array(Scope).min(1).max(4),
  expires_days: z.number().positive().max(36_500).optional().openapi({ description: 'default: never' }),
});
export const NewPerson = z.strictObject({ name: HolderName, role: Role, project: z.union([z.literal(EVERY_PROJECT), ProjectName]).default(EVERY_PROJECT), password: Password });

const json = <Schema extends z.ZodType>(schema: Schema) => ({ required: true, content: { 'application/json': { schema } } });
const answers = <Status extends 200 | 201, Schema extends z.ZodType>(status: Status, description: string, schema: Schema) =>
  // The computed key loses its literal type otherwise.
  ({ [status]: { description, content: { 'application/json': { schema } } }, ...problemResponses }) as { [Key in Status]: { description: string; content: { 'application/json': { schema: Schema } } } } & typeof problemResponses;
const conflict = { 409: { description: 'It is not in a state in which this can be done.', content: { 'application/problem+json': { schema: Problem } } } };
const id = z.object({ id: z.string().min(1).max(100).openapi({ param: { name: 'id', in: 'path' } }) });
const name = z.object({ name: HolderName });

const Me = z
  .object({
    kind: z.enum(['key', 'person', 'anyone']).openapi({ description: 'anyone: no key is needed here' }),
    name: z.string(),
    project: z.string(),
    scopes: z.array(Scope),
    projects: z.array(z.string()).openapi({ description: 'that one may change to' }),
    has_password: z.boolean().openapi({ description: 'a login with a password of Culprit\'s own, which POST /v1/me/password changes' }),
  })
  .openapi('Me');

const routes = {
  me: createRoute({ method: 'get', path: '/v1/me', summary: 'Who one is, and what one may do', responses: answers(200, 'Of the key or login of the request.', Me) }),
  changeProject: createRoute({ method: 'post', path: '/v1/me/project', summary: 'Look at another project, for a person who has all', request: { body: json(z.strictObject({ project: ProjectName })) }, responses: answers(200, 'What one is now.', Me) }),
  changeOwnPassword: createRoute({
    method: 'post',
    path: '/v1/me/password',
    summary: 'A new password of one\'s own; ends every login of the old one, and begins another for who asks',
    request: { body: json(z.strictObject({ old_password: z.string().min(1).max(1024), new_password: Password })) },
    responses: {
      ...answers(200, 'What one is. The login goes on with the cookie of this answer.', Me),
      403: { description: 'The old password is not right, or who asks has none: a key, or a login at an OpenID provider.', content: { 'application/problem+json': { schema: Problem } } },
      429: { description: 'Too many attempts failed; come back after `Retry-After`.', content: { 'application/problem+json': { schema: Problem } } },
    },
  }),
  keys: createRoute({ method: 'get', path: '/v1/keys', summary: 'API keys, those of the configuration first, then the newest', responses: answers(200, 'Without their secrets, which nobody has.', z.object({ keys: z.array(Key) })) }),
  createKey: createRoute({ method: 'post', path: '/v1/keys', summary: 'Make an API key', request: { body: json(NewKey) }, responses: { ...answers(201, 'The only time that the secret is shown.', Made), ...conflict } }),
  rotateKey: createRoute({
    method: 'post',
    path: '/v1/keys/{id}/rotate',
    summary: 'A new key with the same rights; the old one stays valid for a while',
    request: { params: id, body: json(z.strictObject({ overlap_hours: z.number().min(0).max(24 * 90).default(24) })) },
    responses: { ...answers(201, 'The only time that the secret is shown.', Made), ...notFoundResponse, ...conflict },
  }),
  revokeKey: createRoute({ method: 'delete', path: '/v1/keys/{id}', summary: 'Revoke an API key, for good; asked twice, it is done once', request: { params: id }, responses: { ...answers(200, 'The key, revoked.', Key), ...notFoundResponse, ...conflict } }),
  people: createRoute({ method: 'get', path: '/v1/users', summary: 'People who log in with a password', responses: answers(200, 'By name.', z.object({ users: z.array(Person) })) }),
  addPerson: createRoute({ method: 'post', path: '/v1/users', summary: 'Let somebody log in', request: { body: json(NewPerson) }, responses: { ...answers(201, 'Who was added.', Person), ...conflict } }),
  changePassword: createRoute({ method: 'put', path: '/v1/users/{name}/password', summary: 'A new password; ends the logins of the old one', request: { params: name, body: json(z.strictObject({ password: Password })) }, responses: { ...answers(200, 'Whose it is.', Person), ...notFoundResponse } }),
  removePerson: createRoute({ method: 'delete', path: '/v1/users/{name}', summary: 'Let somebody in no longer; ends the logins', request: { params: name }, responses: { ...answers(200, 'Who was removed.', z.object({ name: z.string() })), ...notFoundResponse } }),
  projects: createRoute({ method: 'get', path: '/v1/projects', summary: 'Every project that has a key or sent anything', responses: answers(200, 'By name.', z.object({ projects: z.array(z.string()) })) }),
};

const DAY_MS = 86_400_000;

export function registerAccess(app: OpenAPIHono, deps: { readonly store: Store; readonly clock: Clock; readonly access: Access }): void {
  const { store, clock, access } = deps;
  const { attempts, keys, people, sessions } = access;

  async function projects(): Promise<string[]> {
    const rows = await store.select<{ project: string }>(`SELECT DISTINCT project FROM ${LEDGER} WHERE project != '' ORDER BY project LIMIT 10000`);
    return [...new Set([access.configuration.project, ...keys.list().map(({ project }) => project), ...rows.map(({ project }) => project)])].sort();
  }

  const meOf = async ({ kind, name: who, project, scopes, seesEveryProject, hasPassword }: Identity): Promise<z.infer<typeof Me>> => ({ kind, name: who, project, scopes: [...scopes], projects: seesEveryProject ? await projects() : [project], has_password: hasPassword });

  app.openapi(routes.me, async (context) => {
    const identity = identityOf(context);
    if (identity === null) throw new ProblemError(401, 'Nobody is known by this request.');
    return context.json(await meOf(identity), 200);
  });

  app.openapi(routes.changeProject, async (context) => {
    const identity = identityOf(context);
    const { project } = context.req.valid('json');
    const secret = access.cookieOf((header) => context.req.header(header));
    if (identity === null || secret === null || !identity.seesEveryProject) throw new ProblemError(403, 'Only a person who has every project can change it; a key is of one project.');
    if (!(await projects()).includes(project)) throw new ProblemError(400, 'There is no such project.');
    await sessions.changeProject(secret, { project, by: identity.id });
    noteFor(context, { target: project });
    return context.json(await meOf({ ...identity, project }), 200);
  });

  app.openapi(routes.changeOwnPassword, async (context) => {
    const identity = identityOf(context);
    const secret = access.cookieOf((header) => context.req.header(header));
    if (identity === null || secret === null || !identity.hasPassword) throw new ProblemError(403, 'Only who logged in with a password of Culprit\'s own has one to change; a key is rotated, and a provider changes the passwords that it asks for.');
    const { old_password, new_password } = context.req.valid('json');
    // Counted together with failed logins: whoever found an open browser guesses no faster here than there.
    const counted = countedFor(identity.address, identity.id);
    const waitS = attempts.waitS(counted);
    if (waitS > 0) throw new ProblemError(429, `Too many attempts failed. The next one may be made in ${waitS} s.`, undefined, { 'retry-after': String(waitS) });
    if (new_password === old_password) throw new ProblemError(400, 'The new password is the old one; choose another.');
    attempts.failed(counted);
    if (!(await people.changeOwnPassword(identity.id, { old: old_password, password: new_password }))) {
      noteFor(context, { target: identity.id, detail: 'wrong old password' });
      throw new ProblemError(403, 'The old password is not right.');
    }
    attempts.succeeded(counted);
    noteFor(context, { target: identity.id });
    context.header('set-cookie', access.cookieWith(await sessions.begin({ kind: 'person', id: identity.id }, identity.project)), { append: true });
    return context.json(await meOf(identity), 200);
  });

  app.openapi(routes.keys, (context) => {
    requireScope(context, 'admin');
    return context.json({ keys: keys.list().map((key) => ({ ...key, scopes: [...key.scopes] })) }, 200);
  });

  app.openapi(routes.createKey, async (context) => {
    const identity = requireScope(context, 'admin');
    const { name: named, project = identity.project, scopes, expires_days } = context.req.valid('json');
    const { key, secret } = await keys.create({ name: named, project, scopes, expires_ms: expires_days === undefined ? null : clock() + expires_days * DAY_MS }, identity.name);
    noteFor(context, { target: key.id, detail: `${key.name}, ${key.project}: ${key.scopes.join(', ')}` });
    return context.json({ key: { ...key, scopes: [...key.scopes] }, secret }, 201);
  });

  app.openapi(routes.rotateKey, async (context) => {
    const identity = requireScope(context, 'admin');
    const { key, secret } = await keys.rotate(context.req.valid('param').id, { overlapMs: context.req.valid('json').overlap_hours * 3_600_000, by: identity.name });
    noteFor(context, { detail: `to ${key.id}` });
    return context.json({ key: { ...key, scopes: [...key.scopes] }, secret }, 201);
  });

  app.openapi(routes.revokeKey, async (context) => {
    const identity = requireScope(context, 'admin');
    const key = await keys.revoke(context.req.valid('param').id, identity.name);
    noteFor(context, { detail: key.name });
    return context.json({ ...key, scopes: [...key.scopes] }, 200);
  });

  app.openapi(routes.people, (context) => {
    requireScope(context, 'admin');
    return context.json({ users: people.list().sort((left, right) => (left.name < right.name ? -1 : 1)) }, 200);
  });

  app.openapi(routes.addPerson, async (context) => {
    const identity = requireScope(context, 'admin');
    const person = await people.add(context.req.valid('json'), identity.name);
    noteFor(context, { target: person.name, detail: `${person.role} of ${person.project}` });
    return context.json(person, 201);
  });

  app.openapi(routes.changePassword, async (context) => {
    const identity = requireScope(context, 'admin');
    return context.json(await people.changePassword(context.req.valid('param').name, { password: context.req.valid('json').password, by: identity.name }), 200);
  });

  app.openapi(routes.removePerson, async (context) => {
    const identity = requireScope(context, 'admin');
    const { name: who } = context.req.valid('param');
    await people.remove(who, identity.name);
    return context.json({ name: who }, 200);
  });

  app.openapi(routes.projects, async (context) => {
    requireScope(context, 'admin');
    return context.json({ projects: await projects() }, 200);
  });
}

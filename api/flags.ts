import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import type { HookSettingsOf } from '../schemas/hooks.ts';
import type { Clock } from '../schemas/clock.ts';
import type { Store } from '../schemas/store.ts';
import { actorOf, noteFor } from './access/identity.ts';
import type { HookMeans } from './hooks/index.ts';
import { notFoundResponse, ProblemError, problemResponses } from './problem.ts';

/**
 * Feature flags whose variants are versions of a prompt (hooks of the kind flagd), served as flagd reads them over HTTP
 * (flagd.dev/reference/flag-definitions) and over OFREP (open-feature/protocol, service/openapi.yaml). There is no targeting: everybody gets
 * the default variant, and a rollback changes that. State is append-only rows.
 */
export type FlagSettings = HookSettingsOf<'flagd'>;
type Change = { readonly flag: string; readonly sequence: number; readonly variant: string; readonly at_ms: number; readonly who: string; readonly reason: string };
export type Flag = { readonly settings: FlagSettings; readonly variant: string; readonly changed: Change | null };
export type Flags = HookMeans['flags'] & { read(project: string): Promise<Flag[]> };

/** @param settings flags of all projects; each has its own project, or that of the configuration. */
export function createFlags({ store, clock }: { readonly store: Store; readonly clock: Clock }, settings: readonly FlagSettings[], configuredProject: string): Flags {
  const newest = async (project: string): Promise<Map<string, Change>> => {
    const rows = await store.select<Change>('SELECT flag, sequence, variant, at_ms, who, reason FROM flag_changes FINAL WHERE project = {project:String} ORDER BY sequence DESC, at_ms DESC, variant LIMIT 1 BY flag', { project });
    return new Map(rows.map((row) => [row.flag, row]));
  };
  return {
    async read(project) {
      const own = settings.filter((each) => (each.project ?? configuredProject) === project);
      const changes = own.length === 0 ? new Map<string, Change>() : await newest(project);
      return own.map((each) => {
        const changed = changes.get(each.flag) ?? null;
        // A variant that is configured no more is served no more.
        return changed !== null && Object.hasOwn(each.variants, changed.variant) ? { settings: each, variant: changed.variant, changed } : { settings: each, variant: each.default_variant, changed: null };
      });
    },
    async setDefault({ project, flag, variant, who, reason }) {
      const before = (await newest(project)).get(flag);
      if (before?.variant === variant) return;
      await store.insert('flag_changes', [{ project, flag, sequence: (before?.sequence ?? 0) + 1, variant, at_ms: clock(), who, reason }]);
    },
  };
}

const FlagState = z.object({ flag: z.string(), variant: z.string(), version: z.string(), variants: z.record(z.string(), z.string()), changed_at: z.string().nullable(), by: z.string(), reason: z.string() }).openapi('Flag', {
  example: { flag: 'refund-prompt', variant: 'stable', version: 'v1', variants: { stable: 'v1', next: 'v2' }, changed_at: '2026-06-01T09:02:00.000Z', by: '', reason: 'rollback rbk_0a1b2c3d4e5f60718293' },
});
const Document = z
  .object({ $schema: z.string(), flags: z.record(z.string(), z.object({ state: z.literal('ENABLED'), variants: z.record(z.string(), z.string()), defaultVariant: z.string(), metadata: z.record(z.string(), z.string()) })) })
  .openapi('FlagdDocument', { example: { $schema: 'https://flagd.dev/schema/v0/flags.json', flags: { 'refund-prompt': { state: 'ENABLED', variants: { stable: 'v1', next: 'v2' }, defaultVariant: 'stable', metadata: {} } } } });
const Evaluated = z.object({ key: z.string(), value: z.string(), variant: z.string(), reason: z.literal('STATIC'), metadata: z.record(z.string(), z.string()) }).openapi('OfrepEvaluation', { example: { key: 'refund-prompt', value: 'v1', variant: 'stable', reason: 'STATIC', metadata: {} } });
const Unevaluated = z.object({ key: z.string(), errorCode: z.literal('FLAG_NOT_FOUND'), errorDetails: z.string() }).openapi('OfrepFailure', { example: { key: 'other', errorCode: 'FLAG_NOT_FOUND', errorDetails: 'there is no such flag' } });

const key = z.object({ key: z.string().min(1).max(256).openapi({ param: { name: 'key', in: 'path' }, example: 'refund-prompt' }) });
const documentRoute = createRoute({ method: 'get', path: '/v1/flags/flagd.json', summary: 'The flags that Culprit serves, as flagd reads them', responses: { 200: { description: 'Poll it as an HTTP source.', content: { 'application/json': { schema: Document } } }, ...problemResponses } });
const listRoute = createRoute({ method: 'get', path: '/v1/flags', summary: 'The flags that Culprit serves, and who changed them last', responses: { 200: { description: 'In the order of the configuration.', content: { 'application/json': { schema: z.object({ flags: z.array(FlagState) }) } } }, ...problemResponses } });
const changeRoute = createRoute({
  method: 'post',
  path: '/v1/flags/{key}',
  summary: 'Serve another variant of a flag',
  request: { params: key, body: { required: true, content: { 'application/json': { schema: z.strictObject({ variant: z.string().min(1).max(256), reason: z.string().trim().min(1, 'say why').max(1000), by: z.string().trim().max(100).optional() }).openapi({ example: { variant: 'next', reason: 'fixed in v3' } }) } } } },
  responses: { 200: { description: 'The flag as it is now.', content: { 'application/json': { schema: FlagState } } }, ...problemResponses, ...notFoundResponse },
});
const evaluateRoute = createRoute({
  method: 'post',
  path: '/ofrep/v1/evaluate/flags/{key}',
  summary: 'OpenFeature Remote Evaluation Protocol: one flag',
  request: { params: key, body: { required: false, content: { 'application/json': { schema: z.looseObject({ context: z.looseObject({}).optional() }).openapi({ example: { context: { targetingKey: 'user-1' } } }) } } } },
  responses: {
    200: { description: 'The default variant: there is no targeting.', content: { 'application/json': { schema: Evaluated } } },
    ...problemResponses,
    404: { description: 'There is no such flag.', content: { 'application/json': { schema: Unevaluated } } },
  },
});

export function registerFlags(app: OpenAPIHono, { flags, settings: { project } }: { readonly flags: Flags; readonly settings: { readonly project: string } }): void {
  const metadataOf = ({ changed }: Flag): Record<string, string> => (changed === null ? {} : { reason: changed.reason });
  const shown = ({ settings, variant, changed }: Flag): z.infer<typeof FlagState> => ({
    flag: settings.flag, variant, version: settings.variants[variant] ?? '', variants: settings.variants, changed_at: changed === null ? null : new Date(changed.at_ms).toISOString(), by: changed?.who ?? '', reason: changed?.reason ?? '',
  });

  app.openapi(documentRoute, async (context) => {
    const served = await flags.read(project);
    const entries = served.map((flag) => [flag.settings.flag, { state: 'ENABLED' as const, variants: flag.settings.variants, defaultVariant: flag.variant, metadata: metadataOf(flag) }] as const);
    return context.json({ $schema: 'https://flagd.dev/schema/v0/flags.json', flags: Object.fromEntries(entries) }, 200);
  });
  app.openapi(listRoute, async (context) => context.json({ flags: (await flags.read(project)).map(shown) }, 200));
  app.openapi(changeRoute, async (context) => {
    const { key: name } = context.req.valid('param');
    const { variant, reason, by } = context.req.valid('json');
    const flag = (await flags.read(project)).find(({ settings }) => settings.flag === name);
    if (flag === undefined) throw new ProblemError(404, 'There is no such flag; GET /v1/flags lists them.');
    if (!Object.hasOwn(flag.settings.variants, variant)) throw new ProblemError(400, `It has no such variant; variants are ${Object.keys(flag.settings.variants).join(', ')}.`);
    noteFor(context, { target: name, detail: `${flag.variant} to ${variant}: ${reason}` });
    await flags.setDefault({ project, flag: name, variant, who: actorOf(context, by) || 'somebody', reason });
    const after = (await flags.read(project)).find(({ settings }) => settings.flag === name) ?? flag;
    return context.json(shown(after), 200);
  });
  app.openapi(evaluateRoute, async (context) => {
    const { key: name } = context.req.valid('param');
    const flag = (await flags.read(project)).find(({ settings }) => settings.flag === name);
    if (flag === undefined) return context.json({ key: name, errorCode: 'FLAG_NOT_FOUND' as const, errorDetails: 'there is no such flag' }, 404);
    return context.json({ key: name, value: flag.settings.variants[flag.variant] ?? '', variant: flag.variant, reason: 'STATIC' as const, metadata: metadataOf(flag) }, 200);
  });
}

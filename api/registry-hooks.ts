import { z, type OpenAPIHono, type RouteConfig } from '@hono/zod-openapi';
import { RegistryKind, type Registry } from '../schemas/registry.ts';
import type { ApiDeps } from './app.ts';
import { Problem, ProblemError, problemResponses, notFoundResponse } from './problem.ts';
import { REGISTRIES } from './registries/index.ts';
import type { VersionEvents } from './version-events.ts';

/**
 * Webhooks of prompt registries, turned into the timeline of versions. A signature is their key: nobody else may write it. Anybody may send
 * here, so nothing is parsed of a body before its signature is right; the route is only described.
 */
const Kind = z.enum(RegistryKind.options).openapi({ param: { name: 'kind', in: 'path' } });
const route: RouteConfig = {
  method: 'post',
  path: '/v1/hooks/{kind}',
  summary: 'For the webhooks of Langfuse, LangSmith, PromptLayer and GitHub (`registries` in the configuration)',
  request: { params: z.object({ kind: Kind }), body: { required: true, content: { 'application/json': { schema: z.looseObject({}).openapi({ description: 'what the registry sends' }) } } } },
  responses: {
    200: { description: 'How many events were news; 0 for what is about something else.', content: { 'application/json': { schema: z.object({ events: z.number().int() }) } } },
    ...problemResponses,
    ...notFoundResponse,
    403: { description: 'The signature does not fit, or is too old.', content: { 'application/problem+json': { schema: Problem } } },
  },
};

const CLOCKS_APART_MS = 600_000;

export function registerRegistryHooks(app: OpenAPIHono, { clock, settings }: ApiDeps, events: VersionEvents): void {
  const configured = new Map<string, Registry>(settings.registries.map((registry) => [registry.kind, registry]));
  app.openAPIRegistry.registerPath(route);
  app.post('/v1/hooks/:kind', async (context) => {
    const named = RegistryKind.safeParse(context.req.param('kind'));
    if (!named.success) throw new ProblemError(404, `There is no such registry; there are ${RegistryKind.options.join(', ')}.`);
    const kind = named.data;
    const registry = configured.get(kind);
    if (registry === undefined) throw new ProblemError(404, `No ${kind} is configured; name it, with the secret of its webhook, under registries.`);
    const header = (name: string): string | undefined => context.req.header(name);
    const body = await context.req.text();
    const nowMs = clock();
    if (!REGISTRIES[kind].isGenuine({ header, body, nowMs }, registry.secret)) throw new ProblemError(403, `The signature is not that of ${kind} with the configured secret, or older than five minutes.`);
    const told = (() => {
      try {
        return REGISTRIES[kind].eventsOf(JSON.parse(body), { registry, header, nowMs });
      } catch {
        throw new ProblemError(400, `The body is not what ${kind} sends about versions.`);
      }
    })();
    // What is dated before 1970, or ahead, would be no row, or the newest word on its label for ever.
    const dated = told.map((event) => (event.at_ms >= 0 && event.at_ms <= nowMs + CLOCKS_APART_MS ? event : { ...event, at_ms: nowMs }));
    return context.json({ events: await events.append(settings.project, dated, 'dated') }, 200);
  });
}

import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { compileMatchers, labelsOf, Matcher } from '../schemas/matcher.ts';
import { readAlerts } from './alerts.ts';
import { actorOf } from './access/identity.ts';
import type { ApiDeps } from './app.ts';
import { limitOf, TimeMs } from './parameters.ts';
import { notFoundResponse, ProblemError, problemResponses } from './problem.ts';
import { MOST_SILENCES, shownSilence, Silence } from './silences.ts';

/** Silences over the API: list, preview, make, end. */

const LONGEST_MS = 90 * 86_400_000;

const Matchers = z.array(Matcher).min(1, 'name at least one matcher; nothing is silenced by accident').max(20).openapi({ example: ['prompt=support/*', 'severity=ticket'] });
const by = z.string().trim().max(100).optional().openapi({ example: 'mira' });
const reason = z.string().trim().min(1, 'say why').max(1000).openapi({ example: 'load test' });
const param = z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) });
const one = { 200: { description: 'The silence as it is now.', content: { 'application/json': { schema: Silence } } }, ...problemResponses };

const listRoute = createRoute({
  method: 'get',
  path: '/v1/silences',
  summary: 'Silences, last changed first',
  request: { query: z.strictObject({ state: z.enum(['pending', 'active', 'ended']).optional(), limit: limitOf({ fallback: 100, maximum: MOST_SILENCES }) }) },
  responses: { 200: { description: 'Ended ones are kept.', content: { 'application/json': { schema: z.object({ silences: z.array(Silence) }) } } }, ...problemResponses },
});
const previewRoute = createRoute({
  method: 'post',
  path: '/v1/silences/preview',
  summary: 'What a silence would match: alerts that are not resolved',
  request: { body: { required: true, content: { 'application/json': { schema: z.strictObject({ matchers: Matchers }) } } } },
  responses: {
    200: {
      description: 'Newest first; at most 50 are named.',
      content: { 'application/json': { schema: z.object({ matching: z.number().int(), of: z.number().int(), alerts: z.array(z.object({ id: z.string(), summary: z.string(), severity: z.string(), state: z.string() })) }) } },
    },
    ...problemResponses,
  },
});
const addRoute = createRoute({
  method: 'post',
  path: '/v1/silences',
  summary: 'Silence what matches: it is still found and shown, but nobody is told until the silence ends',
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z
            .strictObject({ matchers: Matchers, starts_at: TimeMs.optional(), ends_at: TimeMs.optional(), duration_s: z.number().int().min(60).max(LONGEST_MS / 1000).optional().openapi({ example: 7200 }), by, reason })
            .openapi({ description: 'From now on unless `starts_at` is given; until `ends_at`, or for `duration_s`.' }),
        },
      },
    },
  },
  responses: { 201: { description: 'The same silence sent twice is made once.', content: { 'application/json': { schema: Silence } } }, ...problemResponses },
});
const endRoute = createRoute({
  method: 'post',
  path: '/v1/silences/{id}/end',
  summary: 'End a silence now; what it held back and is still open is told then. Asked twice, it is done once',
  request: { params: param, body: { required: true, content: { 'application/json': { schema: z.strictObject({ by, reason }) } } } },
  responses: { ...one, ...notFoundResponse },
});

export function registerSilences(app: OpenAPIHono, deps: ApiDeps): void {
  const { silences, settings, clock } = deps;

  app.openapi(listRoute, async (context) => {
    const { state, limit = 100 } = context.req.valid('query');
    const listed = await silences.list(settings.project, MOST_SILENCES);
    return context.json({ silences: listed.filter((silence) => state === undefined || silence.state === state).slice(0, limit).map(shownSilence) }, 200);
  });

  app.openapi(previewRoute, async (context) => {
    const matches = compileMatchers(context.req.valid('json').matchers);
    const [open, acknowledged] = await Promise.all([readAlerts(deps, { state: 'open', limit: 10_000 }), readAlerts(deps, { state: 'acknowledged', limit: 10_000 })]);
    const all = [...open.alerts, ...acknowledged.alerts];
    const found = all.filter((alert) => matches(labelsOf(alert)));
    return context.json({ matching: found.length, of: all.length, alerts: found.slice(0, 50).map(({ id, summary, severity, state }) => ({ id, summary, severity, state })) }, 200);
  });

  app.openapi(addRoute, async (context) => {
    const { matchers, starts_at, ends_at, duration_s, by: named, reason: why } = context.req.valid('json');
    const who = actorOf(context, named) || 'somebody';
    const nowMs = clock();
    const starts_ms = starts_at ?? nowMs;
    const ends_ms = ends_at ?? (duration_s === undefined ? null : starts_ms + duration_s * 1000);
    const refuse = (path: string, message: string, fix: string): ProblemError => new ProblemError(400, `${path}: ${message}`, [{ path, message, fix }]);
    if (ends_ms === null || (ends_at !== undefined && duration_s !== undefined)) throw refuse('ends_at', 'a silence needs one end', 'Send either `ends_at` or `duration_s`.');
    if (ends_ms <= Math.max(starts_ms, nowMs)) throw refuse('ends_at', 'is over before it begins', 'Send an end after now and after `starts_at`.');
    if (ends_ms - nowMs > LONGEST_MS) throw refuse('ends_at', 'is more than 90 days ahead', 'Send a nearer end; a silence can be made again.');
    return context.json(shownSilence(await silences.add(settings.project, { matchers, starts_ms, ends_ms, who, reason: why })), 201);
  });

  app.openapi(endRoute, async (context) => {
    const { by: named, reason: why } = context.req.valid('json');
    const who = actorOf(context, named) || 'somebody';
    const { id } = context.req.valid('param');
    const ended = await silences.end(settings.project, id, { who, reason: why });
    if (ended === null) throw new ProblemError(404, `There is no silence ${JSON.stringify(id)}; GET /v1/silences lists them.`);
    return context.json(shownSilence(ended), 200);
  });
}

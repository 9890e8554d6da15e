import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { actorOf, noteFor } from '../access/identity.ts';
import { readAlert } from '../alerts.ts';
import type { ApiDeps } from '../app.ts';
import { limitOf } from '../parameters.ts';
import { notFoundResponse, Problem, problemResponses } from '../problem.ts';
import { shownRollback, ShownRollback } from './shown.ts';

const listRoute = createRoute({
  method: 'get',
  path: '/v1/rollbacks',
  summary: 'Rollbacks, newest first, with what was asked and answered',
  request: { query: z.strictObject({ prompt: z.string().min(1).max(512).optional(), limit: limitOf({ fallback: 100, maximum: 500 }) }) },
  responses: { 200: { description: 'Each with all of its steps.', content: { 'application/json': { schema: z.object({ rollbacks: z.array(ShownRollback) }) } } }, ...problemResponses },
});

const decideRoute = createRoute({
  method: 'post',
  path: '/v1/alerts/{id}/rollback',
  summary: 'Let the rollback hook of the prompt be asked, or veto it',
  request: {
    params: z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) }),
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z
            .strictObject({
              action: z.enum(['confirm', 'veto']),
              reason: z.string().trim().max(1000).optional(),
              by: z.string().trim().max(100).optional().openapi({ description: 'who does it; with a key or a login it is whose that is, whatever stands here' }),
            })
            .openapi({ example: { action: 'confirm', reason: 'v2 fails for everybody', by: 'mira' } }),
        },
      },
    },
  },
  responses: {
    200: { description: 'The rollbacks of the alert. What was confirmed is asked within seconds.', content: { 'application/json': { schema: z.object({ rollbacks: z.array(ShownRollback) }) } } },
    ...problemResponses,
    ...notFoundResponse,
    409: { description: 'It is too late, or no hook may be asked about this alert.', content: { 'application/problem+json': { schema: Problem } } },
  },
});

export function registerRollbacks(app: OpenAPIHono, deps: ApiDeps): void {
  const { rollbacks, settings } = deps;

  app.openapi(listRoute, async (context) => {
    const { prompt, limit } = context.req.valid('query');
    return context.json({ rollbacks: (await rollbacks.list(settings.project, { prompt, limit: limit ?? 100 })).map(shownRollback) }, 200);
  });

  app.openapi(decideRoute, async (context) => {
    const alert = await readAlert(deps, context.req.valid('param').id);
    const { action, reason = '', by } = context.req.valid('json');
    noteFor(context, { target: alert.id, detail: `${action}${reason === '' ? '' : `: ${reason}`}` });
    await rollbacks.decide(alert, { action, who: actorOf(context, by) || 'somebody', reason });
    return context.json({ rollbacks: (await rollbacks.ofAlert(settings.project, alert.id)).map(shownRollback) }, 200);
  });
}

import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { problemResponses } from './problem.ts';
import { VerdictQuery, type Judge } from './verdicts.ts';
import { Verdict } from './verdict.ts';

/**
 * Flagger's webhooks: it asks by POST, and the status alone is the answer. What is asked about stands in `metadata` of the canary's
 * webhook. Source: Flagger, docs/gitbook/usage/webhooks.md.
 *
 * `gate` fails only where the version is known to be worse, so that undecided checks do not add up to a rollback; where a promotion
 * shall wait for proof, `require: not_worse` says so. `rollback` is the other way round: 200 makes Flagger roll back.
 */
const Metadata = VerdictQuery.extend({ require: z.enum(['not_regressed', 'not_worse']).default('not_regressed') });

/** Flagger adds fields of its own, and more from version to version. */
const Asked = z.looseObject({ name: z.string().max(512).optional(), namespace: z.string().max(512).optional(), phase: z.string().max(64).optional(), metadata: Metadata }).openapi('FlaggerWebhook', {
  example: { name: 'checkout', namespace: 'shop', phase: 'Progressing', metadata: { prompt: 'refund-agent', candidate: 'v2', require: 'not_regressed' } },
});
const Answered = z.object({ verdict: Verdict, reason: z.string() }).openapi('FlaggerAnswer');

const body = { required: true, content: { 'application/json': { schema: Asked } } };
const answers = (yes: string, no: string) => ({
  200: { description: yes, content: { 'application/json': { schema: Answered } } },
  409: { description: no, content: { 'application/json': { schema: Answered } } },
  ...problemResponses,
});

const gateRoute = createRoute({
  method: 'post',
  path: '/v1/flagger/gate',
  summary: "Flagger's confirm-rollout, rollout, confirm-traffic-increase and confirm-promotion webhooks",
  request: { body },
  responses: answers('Go on.', 'Do not: the version is worse, or not proved to be no worse where that is required.'),
});
const rollbackRoute = createRoute({
  method: 'post',
  path: '/v1/flagger/rollback',
  summary: "Flagger's rollback webhook, where 200 means: roll back",
  request: { body },
  responses: answers('Roll back: the version is worse.', 'Do not roll back.'),
});

export function registerFlagger(app: OpenAPIHono, judge: Judge): void {
  app.openapi(gateRoute, async (context) => {
    const { require, ...query } = context.req.valid('json').metadata;
    const { verdict, reason } = await judge.ask(query);
    const goesOn = require === 'not_worse' ? verdict === 'not_worse' : verdict !== 'regressed';
    return context.json({ verdict, reason }, goesOn ? 200 : 409);
  });
  app.openapi(rollbackRoute, async (context) => {
    const { require: _require, ...query } = context.req.valid('json').metadata;
    const { verdict, reason } = await judge.ask(query);
    return context.json({ verdict, reason }, verdict === 'regressed' ? 200 : 409);
  });
}

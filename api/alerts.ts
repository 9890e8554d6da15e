import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { Alert, AlertEvent, alertIn, NEWEST_TRANSITION } from '../schemas/alert.ts';
import { PermanentError } from '../schemas/errors.ts';
import { compileMatchers, labelsOf } from '../schemas/matcher.ts';
import { actorOf } from './access/identity.ts';
import type { ApiDeps } from './app.ts';
import { limitOf } from './parameters.ts';
import { MOST_SILENCES, shownSilence, Silence } from './silences.ts';
import { readTold, Told } from './told.ts';
import { shownRollback, ShownRollback } from './rollbacks/shown.ts';
import { createTellUnreadable, type Unreadable } from './unreadable.ts';
import type { VersionEvents } from './version-events.ts';
import { notFoundResponse, Problem, ProblemError, problemResponses } from './problem.ts';

/** What a person does to an alert. Appends a transition and resolves when it is durable. */
export type Transition = (alertId: string, change: { state: 'acknowledged' | 'resolved'; who: string; reason: string }) => Promise<void>;

const AlertDetail = Alert.extend({
  comparison_id: z.string(),
  transitions: z.array(
    z.object({
      sequence: z.number().int(),
      state: z.enum(['open', 'acknowledged', 'resolved']),
      event: AlertEvent.openapi({ description: 'what was told: the state, what becomes of its rollback, or that only more is known of it' }),
      at_ms: z.number(),
      by: z.string().openapi({ description: 'empty: Culprit itself' }),
      reason: z.string(),
    }),
  ),
  silences: z.array(Silence).openapi({ description: 'active ones that match it' }),
  rollbacks: z.array(ShownRollback).openapi({ description: 'what its rollback hook did, or may do' }),
  can_roll_back: z.boolean().openapi({ description: 'whether a hook may be asked about it (POST /v1/alerts/{id}/rollback)' }),
  told: z.array(Told).openapi({ description: 'the newest step that each sink was told of, or why it was not' }),
}).openapi('AlertDetail');
type AlertDetail = z.infer<typeof AlertDetail>;

const id = z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) });
const one = { 200: { description: 'The alert as it is now, and how it came to be so.', content: { 'application/json': { schema: AlertDetail } } }, ...problemResponses, ...notFoundResponse };

const listRoute = createRoute({
  method: 'get',
  path: '/v1/alerts',
  summary: 'Alerts, newest first',
  request: { query: z.strictObject({ state: z.enum(['open', 'acknowledged', 'resolved']).optional(), limit: limitOf({ fallback: 100, maximum: 500 }) }) },
  responses: {
    200: {
      description: 'The newest state of each.',
      content: { 'application/json': { schema: z.object({ alerts: z.array(Alert), unreadable: z.number().int().openapi({ description: 'alerts whose stored body is not culprit.alert/1; none is expected' }) }) } },
    },
    ...problemResponses,
  },
});
const oneRoute = createRoute({ method: 'get', path: '/v1/alerts/{id}', summary: 'One alert with its history', request: { params: id }, responses: one });

const conflict = { 409: { description: 'It is resolved already.', content: { 'application/problem+json': { schema: Problem } } } };
const by = z.string().trim().max(100).optional().openapi({ description: 'who does it; with a key or a login it is whose that is, whatever stands here', example: 'mira' });
const acknowledgeRoute = createRoute({
  method: 'post',
  path: '/v1/alerts/{id}/acknowledge',
  summary: 'Say that somebody is on it; asked twice, it is done once',
  request: { params: id, body: { required: true, content: { 'application/json': { schema: z.strictObject({ reason: z.string().trim().max(1000).optional().openapi({ example: 'looking at it' }), by }) } } } },
  responses: { ...one, ...conflict },
});
const resolveRoute = createRoute({
  method: 'post',
  path: '/v1/alerts/{id}/resolve',
  summary: 'Resolve, with a reason that is kept; asked twice, it is done once',
  request: { params: id, body: { required: true, content: { 'application/json': { schema: z.strictObject({ reason: z.string().trim().min(1, 'say why').max(1000).openapi({ example: 'rolled back to v1' }), by }) } } } },
  responses: { ...one, ...conflict },
});

type TransitionRow = { transition_id: string; alert_id: string; sequence: number; comparison_id: string; state: Alert['state']; event: AlertEvent; at_ms: number; who: string; reason: string; body: string };

export function registerAlerts(app: OpenAPIHono, deps: ApiDeps, versions: VersionEvents): void {
  const { transition } = deps;
  const detailOf = async (alertId: string): Promise<AlertDetail> => {
    const alert = await readAlert(deps, alertId);
    return { ...alert, ...(await versions.complete(alert)) };
  };

  const tellUnreadable = createTellUnreadable(deps);
  app.openapi(listRoute, async (context) => {
    const { state, limit } = context.req.valid('query');
    const { alerts, unreadable } = await readAlerts(deps, { state, limit: limit ?? 100 });
    tellUnreadable(unreadable, context.req);
    return context.json({ alerts: await versions.completeAll(deps.settings.project, alerts), unreadable: unreadable.length }, 200);
  });

  app.openapi(oneRoute, async (context) => {
    return context.json(await detailOf(context.req.valid('param').id), 200);
  });

  app.openapi(acknowledgeRoute, async (context) => {
    const alert = await detailOf(context.req.valid('param').id);
    if (alert.state === 'resolved') throw new ProblemError(409, 'The alert is resolved already.');
    if (alert.state === 'acknowledged') return context.json(alert, 200);
    const { by: named, reason = '' } = context.req.valid('json');
    await transition(alert.id, { state: 'acknowledged', who: actorOf(context, named) || SOMEBODY, reason });
    return context.json(await detailOf(alert.id), 200);
  });

  app.openapi(resolveRoute, async (context) => {
    const alert = await detailOf(context.req.valid('param').id);
    if (alert.state === 'resolved') return context.json(alert, 200);
    const { by: named, reason } = context.req.valid('json');
    await transition(alert.id, { state: 'resolved', who: actorOf(context, named) || SOMEBODY, reason });
    return context.json(await detailOf(alert.id), 200);
  });
}

/** Where nobody is named, it was a person all the same. */
const SOMEBODY = 'somebody';

export async function readAlerts({ store, settings }: ApiDeps, filter: { state?: string | undefined; limit: number }): Promise<{ alerts: Alert[]; unreadable: Unreadable[] }> {
  const rows = await store.select<{ alert_id: string; last_state: Alert['state']; last_body: string }>(
    `SELECT alert_id, argMax(state, ${NEWEST_TRANSITION}) AS last_state, argMax(body, ${NEWEST_TRANSITION}) AS last_body, min(at_ms) AS raised_ms
     FROM alert_transitions WHERE project = {project:String} GROUP BY alert_id
     ${filter.state === undefined ? '' : 'HAVING last_state = {state:String}'} ORDER BY raised_ms DESC, alert_id LIMIT {limit:UInt32}`,
    { project: settings.project, limit: filter.limit, ...(filter.state === undefined ? {} : { state: filter.state }) },
  );
  const unreadable: Unreadable[] = [];
  const alerts = rows.flatMap(({ alert_id, last_state, last_body }) => {
    const alert = alertIn(last_body);
    if (alert !== null) return [{ ...alert, state: last_state }];
    unreadable.push({ id: alert_id, error: new PermanentError(`the body of alert ${alert_id} is not culprit.alert/1`) });
    return [];
  });
  return { alerts, unreadable };
}

/** Throws ProblemError 404 where the project has no such alert. */
export async function readAlert({ store, settings, silences, rollbacks, clock }: ApiDeps, alertId: string): Promise<AlertDetail> {
  const rows = await store.select<TransitionRow>(
    `SELECT transition_id, alert_id, sequence, comparison_id, state, event, at_ms, who, reason, body FROM alert_transitions FINAL
     WHERE project = {project:String} AND alert_id = {id:String} ORDER BY ${NEWEST_TRANSITION} LIMIT 1000`,
    { project: settings.project, id: alertId },
  );
  const last = rows.at(-1);
  const alert = last === undefined ? null : alertIn(last.body);
  if (last === undefined || alert === null) throw new ProblemError(404, `There is no alert ${JSON.stringify(alertId)}; GET /v1/alerts lists them.`);
  const transitions = rows.map(({ sequence, state, event, at_ms, who, reason }) => ({ sequence, state, event, at_ms, by: who, reason }));
  const labels = labelsOf(alert);
  const [listed, told, rolled] = await Promise.all([silences.list(settings.project, MOST_SILENCES), readTold(store, rows.map(({ transition_id }) => transition_id), clock()), rollbacks.ofAlert(settings.project, alertId)]);
  const silencing = listed.filter(({ state, matchers }) => state === 'active' && compileMatchers(matchers)(labels));
  return { ...alert, state: last.state, comparison_id: last.comparison_id, transitions, silences: silencing.map(shownSilence), rollbacks: rolled.map(shownRollback), can_roll_back: last.state !== 'resolved' && rollbacks.refusal(alert) === null, told };
}

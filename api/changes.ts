import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { readAlert } from './alerts.ts';
import type { ApiDeps } from './app.ts';
import { notFoundResponse, problemResponses } from './problem.ts';

/** What else was new when it began: versions, models, providers and application versions first seen around the onset, wherever they were. */

const Change = z
  .object({
    factor: z.enum(['prompt_version', 'model', 'provider', 'app_version']),
    value: z.string(),
    prompt: z.string().nullable().openapi({ description: 'where; null: on calls that name no prompt' }),
    first_seen: z.string(),
    seconds_from_onset: z.number().int().openapi({ description: 'negative: before' }),
    calls: z.number().int(),
    is_culprit: z.boolean(),
  })
  .openapi('Change', { example: { factor: 'app_version', value: 'shop-backend 2026.6.1', prompt: 'refund-agent', first_seen: '2026-06-01T08:28:00.000Z', seconds_from_onset: -120, calls: 310, is_culprit: false } });
type Change = z.infer<typeof Change>;

const route = createRoute({
  method: 'get',
  path: '/v1/alerts/{id}/changes',
  summary: 'What changed around the onset, nearest first',
  request: { params: z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) }) },
  responses: {
    200: {
      description: 'Values first seen from an hour before the onset to ten minutes after it, where the prompt itself had calls before and the value had none for six hours. At most 100.',
      content: { 'application/json': { schema: z.object({ onset: z.string(), changes: z.array(Change) }) } },
    },
    ...problemResponses,
    ...notFoundResponse,
  },
});

const MINUTE_S = 60;
const BEFORE_S = 60 * MINUTE_S;
const AFTER_S = 10 * MINUTE_S;
const HISTORY_S = 6 * 60 * MINUTE_S;
const MOST = 100;

type Row = { prompt: string; version: string; asked: string; model: string; provider: string; app: string; first_s: number; calls: number };

export function registerChanges(app: OpenAPIHono, deps: ApiDeps): void {
  app.openapi(route, async (context) => {
    const alert = await readAlert(deps, context.req.valid('param').id);
    const onsetS = Math.floor(Date.parse(alert.onset) / 1000);
    const rows = await deps.store.select<Row>(
      `SELECT coalesce(prompt_name, '') AS prompt, coalesce(prompt_version, '') AS version, coalesce(request_model, '') AS asked, coalesce(response_model, '') AS model, provider,
              if(service_version = '', '', concat(service_name, ' ', service_version)) AS app, toUnixTimestamp(min(event_time)) AS first_s, count() AS calls
       FROM calls WHERE project = {project:String} AND environment = {environment:String} AND role = 'call' AND event_time >= {from:UInt32} AND event_time <= {to:UInt32}
       GROUP BY prompt, version, asked, model, provider, app ORDER BY first_s LIMIT 20000`,
      { project: alert.project, environment: alert.environment, from: Math.max(0, onsetS - HISTORY_S), to: onsetS + AFTER_S },
    );
    const isNamed = (factor: string, value: string): boolean => value === alert.culprit.value || (factor === 'model' && rows.some(({ asked, model }) => model === value && asked === alert.culprit.value));
    const isCulprit = ({ factor, value, prompt }: Omit<Change, 'is_culprit'>): boolean => factor === alert.culprit.factor && isNamed(factor, value) && (alert.prompt === null || prompt === alert.prompt);
    const changes = changesIn(rows, onsetS).map((change): Change => ({ ...change, is_culprit: isCulprit(change) }));
    return context.json({ onset: alert.onset, changes: changes.slice(0, MOST) }, 200);
  });
}

/** A value is new on a prompt where the prompt had calls before it, and it is seen for the first time near the onset. */
function changesIn(rows: readonly Row[], onsetS: number): Omit<Change, 'is_culprit'>[] {
  const began = new Map<string, number>();
  const values = new Map<string, { factor: Change['factor']; value: string; prompt: string; firstS: number; calls: number }>();
  for (const { prompt, version, model, provider, app, first_s, calls } of rows) {
    began.set(prompt, Math.min(began.get(prompt) ?? first_s, first_s));
    for (const [factor, value] of [['prompt_version', version], ['model', model], ['provider', provider], ['app_version', app]] as const) {
      if (value === '') continue;
      const key = JSON.stringify([factor, prompt, value]);
      const known = values.get(key);
      if (known === undefined) values.set(key, { factor, value, prompt, firstS: first_s, calls });
      else values.set(key, { ...known, firstS: Math.min(known.firstS, first_s), calls: known.calls + calls });
    }
  }
  return [...values.values()]
    .filter(({ prompt, firstS }) => firstS >= onsetS - BEFORE_S && firstS > (began.get(prompt) ?? firstS) + MINUTE_S)
    .map(({ factor, value, prompt, firstS, calls }) => ({ factor, value, prompt: prompt === '' ? null : prompt, first_seen: new Date(firstS * 1000).toISOString(), seconds_from_onset: firstS - onsetS, calls }))
    .sort((one, other) => Math.abs(one.seconds_from_onset) - Math.abs(other.seconds_from_onset) || other.calls - one.calls);
}

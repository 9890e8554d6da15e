import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { readAlert } from './alerts.ts';
import type { ApiDeps } from './app.ts';
import { notFoundResponse, problemResponses } from './problem.ts';

/** What else was new when it began: values of every factor first seen around the onset, wherever they were, and what somebody moved then: flags that Culprit serves, labels of versions. */

const Change = z
  .object({
    factor: z.string().openapi({ description: 'prompt_version, model, provider, app_version, prompt_content, an attribute that `factors.attributes` names; or flag, label: somebody moved it' }),
    value: z.string().openapi({ description: 'of a flag or label also to what it was moved' }),
    prompt: z.string().nullable().openapi({ description: 'where; null: on calls that name no prompt, or a flag' }),
    first_seen: z.string(),
    seconds_from_onset: z.number().int().openapi({ description: 'negative: before' }),
    calls: z.number().int().nullable().openapi({ description: 'null: of what was moved' }),
    by: z.string().nullable().openapi({ description: 'who moved it; null: nobody is known to have' }),
    is_culprit: z.boolean(),
  })
  .openapi('Change', { example: { factor: 'app_version', value: 'shop-backend 2026.6.1', prompt: 'refund-agent', first_seen: '2026-06-01T08:28:00.000Z', seconds_from_onset: -120, calls: 310, by: null, is_culprit: false } });
type Change = z.infer<typeof Change>;

const route = createRoute({
  method: 'get',
  path: '/v1/alerts/{id}/changes',
  summary: 'What changed around the onset, nearest first',
  request: { params: z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) }) },
  responses: {
    200: {
      description: 'Values first seen from an hour before the onset to ten minutes after it, where the prompt itself had calls before and the value had none for six hours; and what was moved in that time. At most 100.',
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

type Row = { prompt: string; version: string; asked: string; model: string; provider: string; app: string; content: string; attributes: Record<string, string>; first_s: number; calls: number };
type Moved = { factor: 'flag' | 'label'; value: string; prompt: string; at_ms: number; by: string };

export function registerChanges(app: OpenAPIHono, deps: ApiDeps): void {
  app.openapi(route, async (context) => {
    const alert = await readAlert(deps, context.req.valid('param').id);
    const onsetS = Math.floor(Date.parse(alert.onset) / 1000);
    const rows = await deps.store.select<Row>(
      `SELECT coalesce(prompt_name, '') AS prompt, coalesce(prompt_version, '') AS version, coalesce(request_model, '') AS asked, coalesce(response_model, '') AS model, provider,
              if(service_version = '', '', concat(service_name, ' ', service_version)) AS app,
              coalesce(prompt_content, '') AS content, factor_attributes AS attributes, toUnixTimestamp(min(event_time)) AS first_s, count() AS calls
       FROM calls WHERE project = {project:String} AND environment = {environment:String} AND role = 'call' AND event_time >= {from:UInt32} AND event_time <= {to:UInt32}
       GROUP BY prompt, version, asked, model, provider, app, content, attributes ORDER BY first_s LIMIT 20000`,
      { project: alert.project, environment: alert.environment, from: Math.max(0, onsetS - HISTORY_S), to: onsetS + AFTER_S },
    );
    const isNamed = (factor: string, value: string): boolean => value === alert.culprit.value || (factor === 'model' && rows.some(({ asked, model }) => model === value && asked === alert.culprit.value));
    const isCulprit = ({ factor, value, prompt }: Omit<Change, 'is_culprit'>): boolean => factor === alert.culprit.factor && isNamed(factor, value) && (alert.prompt === null || prompt === alert.prompt);
    const changes = [...changesIn(rows, onsetS), ...(await movesAround(deps, alert.project, onsetS))].sort((one, other) => Math.abs(one.seconds_from_onset) - Math.abs(other.seconds_from_onset) || (other.calls ?? 0) - (one.calls ?? 0));
    return context.json({ onset: alert.onset, changes: changes.slice(0, MOST).map((change): Change => ({ ...change, is_culprit: isCulprit(change) })) }, 200);
  });
}

async function movesAround({ store }: ApiDeps, project: string, onsetS: number): Promise<Omit<Change, 'is_culprit'>[]> {
  const moved = await store.select<Moved>(
    `SELECT factor, value, prompt, at_ms, by FROM (
       SELECT 'flag' AS factor, concat(flag, ' → ', variant) AS value, '' AS prompt, at_ms, who AS by FROM flag_changes FINAL WHERE project = {project:String}
       UNION ALL SELECT 'label' AS factor, concat(label, if(kind = 'label_set', ' → ', ' no longer '), version) AS value, prompt_name AS prompt, at_ms, actor AS by FROM version_events FINAL WHERE project = {project:String} AND kind IN ('label_set', 'label_removed')
     ) WHERE at_ms >= {from:UInt64} AND at_ms <= {to:UInt64} ORDER BY abs(toInt64(at_ms) - {onset:Int64}), value LIMIT ${MOST}`,
    { project, from: Math.max(0, (onsetS - BEFORE_S) * 1000), to: (onsetS + AFTER_S) * 1000, onset: onsetS * 1000 },
  );
  return moved.map(({ factor, value, prompt, at_ms, by }) => ({ factor, value, prompt: prompt === '' ? null : prompt, first_seen: new Date(at_ms).toISOString(), seconds_from_onset: Math.round(at_ms / 1000) - onsetS, calls: null, by: by === '' ? null : by }));
}

/** A value is new on a prompt where the prompt had calls before it, and it is seen for the first time near the onset. */
function changesIn(rows: readonly Row[], onsetS: number): Omit<Change, 'is_culprit'>[] {
  const began = new Map<string, number>();
  const values = new Map<string, { factor: Change['factor']; value: string; prompt: string; firstS: number; calls: number }>();
  for (const { prompt, version, model, provider, app, content, attributes, first_s, calls } of rows) {
    began.set(prompt, Math.min(began.get(prompt) ?? first_s, first_s));
    for (const [factor, value] of [['prompt_version', version], ['model', model], ['provider', provider], ['app_version', app], ['prompt_content', content], ...Object.entries(attributes)] as const) {
      if (value === '') continue;
      const key = JSON.stringify([factor, prompt, value]);
      const known = values.get(key);
      if (known === undefined) values.set(key, { factor, value, prompt, firstS: first_s, calls });
      else values.set(key, { ...known, firstS: Math.min(known.firstS, first_s), calls: known.calls + calls });
    }
  }
  return [...values.values()]
    .filter(({ prompt, firstS }) => firstS >= onsetS - BEFORE_S && firstS > (began.get(prompt) ?? firstS) + MINUTE_S)
    .map(({ factor, value, prompt, firstS, calls }) => ({ factor, value, prompt: prompt === '' ? null : prompt, first_seen: new Date(firstS * 1000).toISOString(), seconds_from_onset: firstS - onsetS, calls, by: null }));
}

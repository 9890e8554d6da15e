import { z } from '@hono/zod-openapi';
import { PermanentError } from '../../schemas/errors.ts';
import { NO_TARGET, type ScoreTarget } from '../../schemas/score.ts';
import { Name, ScoreId, SpanId, Time, TraceId } from '../../schemas/score-submission.ts';
import { changeOf, judgementOf, nanosecondsOf, parse, spoken, type RestScore, type Vendor } from './route.ts';

/**
 * Langfuse: `POST /api/public/scores` (one, or since SDK 5 an array), the batches of `POST /api/public/ingestion` of the SDKs
 * before, `DELETE /api/public/scores/{id}`, and what the SDKs ask first. Source: langfuse-python 3.15 and 5.0,
 * `_task_manager` and the generated `api` client; requests as captured from both.
 */
const Body = z.object({
  id: ScoreId.nullish(),
  traceId: Name.nullish(),
  observationId: Name.nullish(),
  sessionId: Name.nullish(),
  datasetRunId: Name.nullish(),
  name: Name,
  value: z.union([z.number(), z.string(), z.boolean()]),
  dataType: z.enum(['NUMERIC', 'BOOLEAN', 'CATEGORICAL', 'TEXT', 'CORRECTION']).nullish(),
  comment: z.string().nullish(),
  configId: Name.nullish(),
  source: z.string().nullish(),
  timestamp: Time.nullish(),
});

const MOST = 10_000;
const Batch = z.object({ batch: z.array(z.looseObject({ id: z.string().max(256).catch(''), type: z.string() })).max(MOST) });

const DATA_TYPES = { NUMERIC: 'numeric', BOOLEAN: 'boolean', CATEGORICAL: 'categorical', TEXT: null, CORRECTION: null, UNDECLARED: null } as const;
const SOURCES = new Map([['api', 'api'], ['annotation', 'human'], ['eval', 'llm']] as const);

function scoreOf(project: string, body: unknown, sent: z.infer<typeof Time> | null = null): RestScore {
  const score = parse(Body, body);
  const target = targetOf(score);
  if (target === null) throw new PermanentError('one of traceId, observationId, sessionId, datasetRunId must be given');
  const data_type = DATA_TYPES[score.dataType ?? 'UNDECLARED'];
  // Free text is content, and no judgement that could be compared.
  const isText = score.dataType === 'TEXT' || score.dataType === 'CORRECTION';
  const said = isText ? { value: null, label: null } : spoken(score.value);
  const [, kind = null] = [...SOURCES].find(([source]) => source === score.source?.toLowerCase()) ?? [];
  return judgementOf(
    project,
    {
      ...said,
      value: data_type === 'boolean' && said.value !== null ? said.value === true || said.value === 1 : said.value,
      name: score.name,
      data_type,
      explanation: score.comment ?? null,
      evaluator: { name: score.configId ?? null, kind, version: null },
      target,
      time_ns: nanosecondsOf(score.timestamp ?? sent),
    },
    score.id,
  );
}

/** SDKs since 3 write OpenTelemetry ids; the ids of older ones are UUIDs, or whatever the user chose, and stay as they are. */
function targetOf({ traceId, observationId, sessionId, datasetRunId }: z.infer<typeof Body>): ScoreTarget | null {
  const trace = TraceId.safeParse(traceId?.replaceAll('-', ''));
  const span = SpanId.safeParse(observationId);
  const foreign = (span.success ? null : observationId) ?? (trace.success ? null : traceId) ?? datasetRunId ?? null;
  const target = { ...NO_TARGET, trace_id: trace.data ?? null, span_id: span.data ?? null, target_session_id: sessionId ?? null, run_id: foreign };
  return Object.values(target).some((id) => id !== null) ? target : null;
}

type Outcome = { readonly score: RestScore } | { readonly problem: string };

function tryScore(read: () => RestScore): Outcome {
  try {
    return { score: read() };
  } catch (error) {
    if (error instanceof PermanentError) return { problem: error.message };
    throw error;
  }
}

const scoresOf = (outcomes: readonly Outcome[]): RestScore[] => outcomes.flatMap((outcome) => ('score' in outcome ? [outcome.score] : []));

export const langfuse: Vendor = {
  routes: [
    {
      method: 'POST',
      path: /\/api\/public\/scores\/?$/,
      read({ project, body }) {
        if (!Array.isArray(body)) {
          const score = scoreOf(project, body);
          return { kind: 'scores', scores: [score], status: 200, answer: { id: score.id } };
        }
        if (body.length > MOST) throw new PermanentError(`at most ${MOST} scores in one request`);
        const outcomes = body.map((entry: unknown) => tryScore(() => scoreOf(project, entry)));
        const scores = scoresOf(outcomes);
        if (scores.length === outcomes.length) return { kind: 'scores', scores, status: 202, answer: { message: 'Accepted' } };
        const errors = outcomes.flatMap((outcome, index) => ('problem' in outcome ? [{ index, message: outcome.problem, error: 'InvalidRequestError' }] : []));
        return { kind: 'scores', scores, status: 207, answer: { accepted: scores.length, rejected: errors.length, errors } };
      },
    },
    {
      method: 'POST',
      path: /\/api\/public\/ingestion\/?$/,
      read({ project, body }) {
        const events = parse(Batch, body).batch.map((event) => ({ id: event.id, outcome: outcomeOf(project, event) }));
        const successes = events.flatMap(({ id, outcome }) => ('problem' in outcome ? [] : [{ id, status: 201 }]));
        const errors = events.flatMap(({ id, outcome }) => ('problem' in outcome ? [{ id, status: 400, message: outcome.problem, error: 'InvalidRequestError' }] : []));
        return { kind: 'scores', scores: scoresOf(events.map(({ outcome }) => outcome)), status: 207, answer: { successes, errors } };
      },
    },
    {
      method: 'DELETE',
      path: /\/api\/public\/scores\/([^/]{1,384})\/?$/,
      read: ({ groups: [id = ''] }) => ({ kind: 'scores', scores: [changeOf(id, 'deletion')], status: 202, answer: { message: 'Score deletion request has been received' } }),
    },
    { method: 'GET', path: /\/api\/public\/health\/?$/, read: () => ({ kind: 'scores', scores: [], status: 200, answer: { status: 'OK', version: '0.0.0' } }) },
    {
      // `auth_check()` wants one project at least.
      method: 'GET',
      path: /\/api\/public\/projects\/?$/,
      read: ({ project }) => ({ kind: 'scores', scores: [], status: 200, answer: { data: [{ id: project, name: project, organization: { id: project, name: project }, metadata: {} }] } }),
    },
    {
      // The SDK takes its fallback prompt, where its user gave one.
      method: 'GET',
      path: /\/api\/public\/v2\/prompts\/(.+)$/,
      read: () => ({ kind: 'unserved', message: 'Culprit keeps no prompts; fetch them from Langfuse, with a client of its own' }),
    },
  ],
  refusal: (status, message) => ({ message, error: status === 404 ? 'LangfuseNotFoundError' : status === 400 ? 'InvalidRequestError' : 'Error' }),
};

/** SDKs before 3 also sent traces here: those are refused by name, since their loss must not look like success. */
function outcomeOf(project: string, event: { readonly type: string; readonly [key: string]: unknown }): Outcome {
  if (event.type !== 'score-create') return { problem: `${event.type} is not read here; send traces as OpenTelemetry spans (SDK 3 or later)` };
  const sent = Time.safeParse(event['timestamp']);
  return tryScore(() => scoreOf(project, event['body'], sent.data ?? null));
}

import { z } from '@hono/zod-openapi';
import { PermanentError } from '../../schemas/errors.ts';
import type { EvaluatorKind, ScoreTarget } from '../../schemas/score.ts';
import { NO_TARGET } from '../../schemas/score.ts';
import { Name, Time } from '../../schemas/score-submission.ts';
import { changeOf, judgementOf, nanosecondsOf, parse, type RestScore, type Vendor } from './route.ts';

/**
 * LangSmith: feedback. A run is a span: the first 8 bytes of its UUID are the span's id, and its trace's UUID is the trace's. The Python SDK
 * means so (`_internal/otel/_otel_exporter.py`), but gives its own spans ids of OpenTelemetry's and their runs' to none (seen with 0.4.30 and
 * 0.15.1): only spans that others open inside of a run are its trace's, and below it. What works with it too is the id of the
 * OpenTelemetry trace in the place of a run's: a run that is named as its trace is all of it (analyzer/ingest/scope.ts). The JavaScript SDK gives a
 * root run, as run and as trace, the id of its span behind 8 bytes of zeros (`experimental/otel/utils.mjs`), as LangSmith itself does with
 * spans that are not its own. Sources: langsmith 0.15.1, `client.py`; langsmith 0.12.0 (npm), `traceable.mjs`.
 */
const Judged = z.union([z.number(), z.boolean(), z.string(), z.looseObject({}), z.array(z.unknown())]).nullish();
const Feedback = z.object({
  id: z.uuid().nullish(),
  // Of any version: the id of an OpenTelemetry trace has none.
  run_id: z.guid().nullish(),
  trace_id: z.guid().nullish(),
  key: Name,
  score: Judged,
  value: Judged,
  comment: z.string().nullish(),
  feedback_source: z.looseObject({ type: z.string().nullish() }).nullish(),
  created_at: Time.nullish(),
});
const Update = z.object({ score: Judged, value: Judged, comment: z.string().nullish() });

const KINDS: ReadonlyMap<string, EvaluatorKind> = new Map([['api', 'api'], ['model', 'llm'], ['app', 'human'], ['auto_eval', 'llm']]);

/** The score, else the value where that is one; a value in words is a label. */
function said({ score, value }: z.infer<typeof Update>): Pick<RestScore, 'value' | 'label'> {
  const number = [score, value].find((one) => typeof one === 'number' || typeof one === 'boolean');
  const word = [value, score].find((one) => typeof one === 'string');
  return { value: typeof number === 'string' || typeof number === 'object' ? null : (number ?? null), label: typeof word === 'string' ? word : null };
}

function targetOf(feedback: z.infer<typeof Feedback>): ScoreTarget {
  const run = feedback.run_id?.replaceAll('-', '').toLowerCase() ?? null;
  const trace = feedback.trace_id?.replaceAll('-', '').toLowerCase() ?? null;
  if (run === null && trace === null) throw new PermanentError('run_id: feedback on a whole project is not taken; name the run or the trace that is judged');
  const isSpan = trace?.startsWith(PADDING) === true;
  const judged = run ?? (isSpan ? trace : null);
  return { ...NO_TARGET, trace_id: isSpan ? null : trace, span_id: judged === null ? null : spanOf(judged), run_id: feedback.run_id ?? null };
}

function spanOf(run: string): string {
  return run.startsWith(PADDING) ? run.slice(PADDING.length) : run.slice(0, 16);
}

/** Before the id of a span, where that is made a UUID. */
const PADDING = '0'.repeat(16);

const FEEDBACK = /(?:\/api\/v1)?\/feedback\/?$/;
const ONE_FEEDBACK = /(?:\/api\/v1)?\/feedback\/([0-9a-fA-F-]{36})\/?$/;

export const langsmith: Vendor = {
  routes: [
    {
      method: 'POST',
      path: FEEDBACK,
      read({ project, body }) {
        const feedback = parse(Feedback, body);
        const kind = KINDS.get(feedback.feedback_source?.type ?? '') ?? null;
        const score = judgementOf(
          project,
          { ...said(feedback), name: feedback.key, explanation: feedback.comment ?? null, evaluator: { name: null, kind, version: null }, target: targetOf(feedback), time_ns: nanosecondsOf(feedback.created_at) },
          feedback.id?.toLowerCase(),
        );
        // What clients read back is what they sent.
        const { id, run_id = null, trace_id = null, key, score: value = null, value: shown = null, comment = null, feedback_source = null, created_at = null } = feedback;
        return { kind: 'scores', scores: [score], status: 200, answer: { id: id ?? score.id, run_id, trace_id, key, score: value, value: shown, comment, correction: null, feedback_source, created_at, modified_at: created_at } };
      },
    },
    {
      method: 'PATCH',
      path: ONE_FEEDBACK,
      read({ groups: [id = ''], body }) {
        const update = parse(Update, body);
        return { kind: 'scores', scores: [changeOf(id.toLowerCase(), 'update', { ...said(update), explanation: update.comment ?? null })], status: 200, answer: { id } };
      },
    },
    { method: 'DELETE', path: ONE_FEEDBACK, read: ({ groups: [id = ''] }) => ({ kind: 'scores', scores: [changeOf(id.toLowerCase(), 'deletion')], status: 200, answer: { message: 'Feedback deleted' } }) },
    {
      // Clients ask it for what the server can do: with this answer feedback is not hidden in uploads of runs.
      method: 'GET',
      path: /(?:\/api\/v1)?\/info\/?$/,
      read: () => ({ kind: 'scores', scores: [], status: 200, answer: { version: '0.0.0', batch_ingest_config: { use_multipart_endpoint: false, ...BATCHES }, instance_flags: {} } }),
    },
    {
      method: 'POST',
      path: /\/runs(?:\/batch|\/multipart)?\/?$/,
      read: () => ({ kind: 'unserved', message: 'runs are not read; set LANGSMITH_OTEL_ENABLED=true and LANGSMITH_OTEL_ONLY=true, so that they come as OpenTelemetry spans' }),
    },
  ],
  refusal: (_status, detail) => ({ detail }),
};

/** What clients index without asking whether it is there. */
const BATCHES = { size_limit: 100, size_limit_bytes: 20 * 1024 * 1024, scale_up_qsize_trigger: 1000, scale_up_nthreads_limit: 16, scale_down_nempty_trigger: 4 };

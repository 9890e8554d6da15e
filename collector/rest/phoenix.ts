import { z } from '@hono/zod-openapi';
import { NO_TARGET, type EvaluatorKind, type ScoreTarget } from '../../schemas/score.ts';
import { Name, SpanId, TraceId } from '../../schemas/score-submission.ts';
import { judgementOf, parse, type Route, type Vendor } from './route.ts';

/**
 * Phoenix: annotations of spans, traces and sessions. One of the same target, name and identifier is updated. Source:
 * arize-phoenix-client 3.5, `resources/{spans,traces,sessions}`, and Phoenix's OpenAPI document.
 */
const KINDS: Readonly<Record<string, EvaluatorKind>> = { HUMAN: 'human', LLM: 'llm', AGENT: 'llm', CODE: 'code', DECISION: 'code' };

const Annotation = {
  name: Name,
  annotator_kind: z.string().transform((kind) => KINDS[kind.toUpperCase()] ?? null),
  result: z.object({ label: z.string().nullish(), score: z.number().nullish(), explanation: z.string().nullish() }).nullish(),
  identifier: z.string().trim().max(256).nullish(),
};
const MOST = 10_000;
const Data = <Subject extends z.ZodRawShape>(subject: Subject) => z.object({ data: z.array(z.object({ ...Annotation, ...subject })).max(MOST) });

/** @param targetOf reads the target of one annotation; throws PermanentError where it names none. */
function annotations(kind: 'span' | 'trace' | 'session', read: (body: unknown) => readonly { readonly annotation: z.infer<z.ZodObject<typeof Annotation>>; readonly target: ScoreTarget }[]): Route {
  return {
    method: 'POST',
    path: new RegExp(`/v1/${kind}_annotations/?$`),
    read({ project, body }) {
      const scores = read(body).map(({ annotation: { name, annotator_kind, result, identifier }, target }) =>
        judgementOf(
          project,
          { name, value: result?.score ?? null, label: result?.label ?? null, explanation: result?.explanation ?? null, evaluator: { name: identifier || null, kind: annotator_kind, version: null }, target },
          null,
        ),
      );
      return { kind: 'scores', scores, status: 200, answer: { data: scores.map(({ id }) => ({ id })) } };
    },
  };
}

const OfSpans = Data({ span_id: SpanId });
const OfTraces = Data({ trace_id: TraceId });
const OfSessions = Data({ session_id: Name });

/** The client asks before it sends annotations of sessions, and raises below 12.0.0, which has just these routes. */
const SPOKEN_VERSION = '12.0.0';

export const phoenix: Vendor = {
  routes: [
    annotations('span', (body) => parse(OfSpans, body).data.map((annotation) => ({ annotation, target: { ...NO_TARGET, span_id: annotation.span_id } }))),
    annotations('trace', (body) => parse(OfTraces, body).data.map((annotation) => ({ annotation, target: { ...NO_TARGET, trace_id: annotation.trace_id } }))),
    annotations('session', (body) => parse(OfSessions, body).data.map((annotation) => ({ annotation, target: { ...NO_TARGET, target_session_id: annotation.session_id } }))),
    { method: 'GET', path: /\/arize_phoenix_version\/?$/, read: () => ({ kind: 'text', text: SPOKEN_VERSION }) },
  ],
  refusal: (_status, detail) => ({ detail }),
};

import { hash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { NO_TARGET } from '../../schemas/score.ts';
import { Name, SpanId } from '../../schemas/score-submission.ts';
import { judgementOf, parse, type Route, type Vendor } from './route.ts';

/**
 * PromptLayer: scores from 0 to 100 of a request, by the number that the server gave it when the request was logged. Culprit
 * answers the log with the span's id in the place of a number, so that a score of it finds the span. Nothing else of a
 * logged request is read: it holds prompts and answers. Source: promptlayer 1.5, `utils.py`, as captured.
 */
const Score = z.object({
  request_id: z.union([z.number(), Name]),
  score: z.number(),
  name: Name.nullish(),
  score_name: Name.nullish(),
});
const LoggedRequest = z.object({ span_id: z.string().nullish() });

const UNNAMED = 'score';

const logged = (path: RegExp, status: number): Route => ({
  method: 'POST',
  path,
  read({ body }) {
    const { span_id } = parse(LoggedRequest, body);
    const span = SpanId.safeParse(span_id);
    const request_id = span.data ?? hash('sha256', JSON.stringify(body), 'hex').slice(0, 24);
    return { kind: 'scores', scores: [], status, answer: { success: true, success_metadata: true, request_id, id: request_id, prompt_blueprint: null } };
  },
});

/** What only describes a request further is on its span too. */
const acknowledged = (path: RegExp): Route => ({ method: 'POST', path, read: () => ({ kind: 'scores', scores: [], status: 200, answer: { success: true } }) });

export const promptlayer: Vendor = {
  routes: [
    {
      method: 'POST',
      path: /\/(?:library-track-score|rest\/track-score)\/?$/,
      read({ project, body }) {
        const { request_id, score, name, score_name } = parse(Score, body);
        const span = SpanId.safeParse(request_id);
        const target = span.success ? { ...NO_TARGET, span_id: span.data } : { ...NO_TARGET, run_id: String(request_id) };
        return { kind: 'scores', scores: [judgementOf(project, { name: name ?? score_name ?? UNNAMED, value: score, target }, null)], status: 200, answer: { success: true } };
      },
    },
    // What logs by itself takes 200 for done, `log_request` only 201.
    logged(/\/track-request\/?$/, 200),
    logged(/\/log-request\/?$/, 201),
    acknowledged(/\/library-track-(?:metadata|prompt)\/?$/),
    acknowledged(/\/track-group\/?$/),
    {
      method: 'POST',
      path: /\/prompt-templates\/[^/]+\/?$/,
      read: () => ({ kind: 'unserved', message: 'Culprit keeps no prompts; fetch them from PromptLayer, with a client of its own' }),
    },
  ],
  refusal: (_status, message) => ({ success: false, message, error: message }),
};

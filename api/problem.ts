import type { Context } from 'hono';
import { z } from '@hono/zod-openapi';
import { RetryableError } from '../schemas/errors.ts';
import { validationFaults } from '../schemas/validation-faults.ts';

/** Errors as RFC 9457 problem details. `errors` names each bad parameter, what was wrong and what to send instead. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string(), fix: z.string() })).optional(),
  })
  .openapi('Problem');
export type Problem = z.infer<typeof Problem>;

const titles = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Body too large',
  415: 'Unsupported media type',
  421: 'Misdirected request',
  429: 'Too many attempts',
  500: 'Internal error',
  503: 'Not available now',
} as const;
export type ProblemStatus = keyof typeof titles;

/** An expected refusal, thrown by a leaf and answered by `app.onError`. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly status: ProblemStatus;
  readonly errors: Problem['errors'];
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: ProblemStatus, detail: string, errors?: Problem['errors'], headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.errors = errors;
    this.headers = headers;
  }
}

export function problemResponse(status: ProblemStatus, detail: string, errors?: Problem['errors'], headers: Readonly<Record<string, string>> = {}): Response {
  const problem: Problem = { type: `urn:culprit:problem:${status}`, title: titles[status], status, detail, ...(errors ? { errors } : {}) };
  return new Response(JSON.stringify(problem), { status, headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headers } });
}

/** What a route answers besides its own 200, for the OpenAPI document. */
export const problemResponses = {
  400: { description: 'A parameter is wrong; `errors` names it and the fix.', content: { 'application/problem+json': { schema: Problem } } },
  401: { description: 'Who asks is not known: send an API key, or log in.', content: { 'application/problem+json': { schema: Problem } } },
  403: { description: 'Who asks may not do this: `detail` names the scope that is needed.', content: { 'application/problem+json': { schema: Problem } } },
  503: { description: 'The store is away or busy; come back after `Retry-After`.', content: { 'application/problem+json': { schema: Problem } } },
} as const;
export const notFoundResponse = {
  404: { description: 'Nothing has this id or name.', content: { 'application/problem+json': { schema: Problem } } },
} as const;

/** The default hook of every validated route. Hono's hook hands over zod's issues; `target` is query, param or json. */
export function validationHook(result: { success: boolean; target: string; error?: { issues: readonly z.core.$ZodIssue[] } }, _context: Context): Response | undefined {
  if (result.success) return undefined;
  const errors = validationFaults(result.error?.issues ?? []).slice(0, 20).map(({ path: steps, message, isMissing, unknownKeys }) => {
    const unknown = unknownKeys.map((key) => key.slice(0, 80)).join(', ');
    const path = unknown || steps.map(String).join('.').slice(0, 200) || result.target;
    return unknown === ''
      ? { path, message, fix: `${isMissing ? 'Add' : 'Correct'} \`${path}\` (${result.target}); /openapi.json describes it.` }
      : { path, message: 'There is no such parameter.', fix: `Remove \`${path}\` or correct its spelling; /openapi.json lists the parameters.` };
  });
  return problemResponse(400, errors.map((error) => `${error.path}: ${error.message}`).join('; ') || 'The request does not fit.', errors);
}

/** Any thrown error as an answer. What a stranger may not see (SQL, paths) stays with `onFailure`. */
export function errorResponse(error: unknown): Response {
  if (error instanceof ProblemError) return problemResponse(error.status, error.message, error.errors, error.headers);
  if (error instanceof RetryableError) {
    return problemResponse(503, 'The store cannot answer now.', undefined, { 'retry-after': String(error.retryAfterSeconds) });
  }
  return problemResponse(500, 'The server failed to answer; its log has the reason.');
}

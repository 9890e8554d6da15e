import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { AuditResult } from '../schemas/audit.ts';
import type { ApiDeps } from './app.ts';
import { NameText } from './parameters.ts';
import { Problem, ProblemError, problemResponses } from './problem.ts';

/** A/A audits (culprit.audit/1): the false-page rate of the user's own traffic beside the promised one. */

export type AuditOrder = { readonly prompt: string; readonly environment: string | null; readonly runs: number; readonly seed: number };
export type Audits = {
  /** Begins one in the background, unless one is running. */
  start(order: AuditOrder): 'started' | 'busy';
  state(): { readonly running: (AuditOrder & { readonly since_ms: number }) | null; readonly failed: { readonly prompt: string; readonly at_ms: number; readonly message: string } | null };
};

const Running = z.object({ prompt: z.string(), environment: z.string().nullable(), runs: z.number().int(), seed: z.number().int(), since_ms: z.number() });
const State = z.object({
  running: Running.nullable(),
  failed: z.object({ prompt: z.string(), at_ms: z.number(), message: z.string() }).nullable().openapi({ description: 'the last one, where it could not be done' }),
  audits: z.array(AuditResult.extend({ at_ms: z.number() })).openapi({ description: 'the newest of each prompt and environment' }),
});

const readRoute = createRoute({
  method: 'get',
  path: '/v1/audit',
  summary: 'False pages measured on the own history, beside the promise',
  request: { query: z.strictObject({ prompt: NameText.optional() }) },
  responses: { 200: { description: 'Newest first, at most 100.', content: { 'application/json': { schema: State } } }, ...problemResponses },
});
const startRoute = createRoute({
  method: 'post',
  path: '/v1/audit',
  summary: 'Begin an audit of a prompt in the background',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: z.strictObject({ prompt: NameText, environment: NameText.optional(), runs: z.number().int().min(1).max(1000).optional(), seed: z.number().int().min(0).max(2 ** 31).optional() }) } },
    },
  },
  responses: { 202: { description: 'Begun: it takes two minutes at most; GET /v1/audit has its result.', content: { 'application/json': { schema: z.object({ running: Running }) } } }, 409: { description: 'One is running already.', content: { 'application/problem+json': { schema: Problem } } }, ...problemResponses },
});

export const USUAL_AUDIT = { runs: 200, seed: 1 } as const;

export function registerAudit(app: OpenAPIHono, { store, settings, audits }: ApiDeps): void {
  app.openapi(readRoute, async (context) => {
    const { prompt = '' } = context.req.valid('query');
    const rows = await store.select<{ at_ms: number; body: string }>(
      `SELECT at_ms, body FROM (SELECT * FROM aa_audits WHERE project = {project:String} AND ({prompt:String} = '' OR prompt_name = {prompt:String}) ORDER BY at_ms DESC LIMIT 1 BY environment, prompt_name)
       ORDER BY at_ms DESC LIMIT 100`,
      { project: settings.project, prompt },
    );
    return context.json({ ...audits.state(), audits: rows.map(({ at_ms, body }) => ({ ...AuditResult.parse(JSON.parse(body)), at_ms })) }, 200);
  });

  app.openapi(startRoute, async (context) => {
    const { prompt, environment = null, runs = USUAL_AUDIT.runs, seed = USUAL_AUDIT.seed } = context.req.valid('json');
    if (audits.start({ prompt, environment, runs, seed }) === 'busy') throw new ProblemError(409, `An audit of ${audits.state().running?.prompt ?? 'a prompt'} is running; ask again when GET /v1/audit has its result.`);
    const { running } = audits.state();
    if (running === null) throw new ProblemError(503, 'The audit ended before it could be told.');
    return context.json({ running }, 202);
  });
}

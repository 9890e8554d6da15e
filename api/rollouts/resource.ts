import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { BUILT_IN_METRICS } from '../../schemas/metric-settings.ts';
import { actorOf, noteFor } from '../access/identity.ts';
import type { ApiDeps } from '../app.ts';
import { limitOf, NameText } from '../parameters.ts';
import { notFoundResponse, Problem, ProblemError, problemResponses } from '../problem.ts';
import { misfitOf, Tolerances } from '../tolerances.ts';
import type { Judge } from '../verdicts.ts';
import { createRolloutReader } from './reading.ts';
import { isOver, stateOf, type DeclaredRollout } from './records.ts';
import { Rollout, ShownState } from './shown.ts';

/** Rollouts: somebody else moves the traffic and says so here; what is answered is whether to go on. */

const LONGEST_STEP_S = 14 * 86_400;
const by = z.string().trim().max(100).optional().openapi({ description: 'who does it; with a key or a login it is whose that is, whatever stands here' });
const reason = z.string().trim().max(1000).optional();
const StepNumber = z.number().int().min(1).max(50);

const Declaration = z.strictObject({
  prompt: NameText,
  candidate: NameText,
  baseline: NameText.optional().openapi({ description: 'left out: what serves' }),
  environment: NameText.optional().openapi({ description: 'left out: that in which the prompt has most calls' }),
  steps: z
    .array(
      z.strictObject({
        name: z.string().trim().min(1).max(100).optional(),
        share_percent: z.number().gt(0).max(100).openapi({ description: "of the prompt's traffic; never less than in the step before" }),
        minimum_s: z.number().int().min(0).max(LONGEST_STEP_S).default(0).openapi({ description: 'no `go` before the step has lasted so long' }),
      }),
    )
    .min(1)
    .max(50),
  metrics: z.array(NameText).min(1).max(50).optional().openapi({ description: 'what has to be proved no worse for a `go`; left out: all that are bet on. A regression of any metric is a `back` all the same.' }),
  tolerances: Tolerances.default({}).openapi({ description: 'how much worse is still a `go`, by metric; left out: the usual', example: { error_rate: { odds_ratio: 2 }, latency: { ratio: 1.2 }, quality: { shift: 0.05 } } }),
  by,
  reason,
});

const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: { 'application/json': { schema } } });
const param = z.object({ id: z.string().min(1).max(200).openapi({ param: { name: 'id', in: 'path' } }) });
const one = (description: string) => ({ description, content: { 'application/json': { schema: Rollout } } });
const conflict = (description: string) => ({ 409: { description, content: { 'application/problem+json': { schema: Problem } } } });

const declareRoute = createRoute({
  method: 'post',
  path: '/v1/rollouts',
  summary: 'Declare a rollout: its steps, and what has to be proved. Declared twice, it is one',
  request: { body: body(Declaration) },
  responses: { 201: one('The rollout, at its first step, or where it is if it is under way already.'), ...problemResponses, ...conflict('Another rollout of the same version is under way.') },
});
const listRoute = createRoute({
  method: 'get',
  path: '/v1/rollouts',
  summary: 'Rollouts, newest first: declared, or recognised by a version that takes a growing share',
  request: { query: z.strictObject({ prompt: NameText.optional(), environment: NameText.optional(), state: ShownState.optional(), origin: z.enum(['declared', 'recognised']).optional(), limit: limitOf({ fallback: 20, maximum: 100 }) }) },
  responses: { 200: { description: 'Each with its steps, and go, hold or back.', content: { 'application/json': { schema: z.object({ rollouts: z.array(Rollout) }) } } }, ...problemResponses },
});
const oneRoute = createRoute({
  method: 'get',
  path: '/v1/rollouts/{id}',
  summary: 'One rollout: where it stands, and go, hold or back with the reason and when it will be known',
  request: { params: param },
  responses: { 200: one('The verdict is that of /v1/verdict: `regressed` is back, `not_worse` is go once the step has lasted long enough, all else is hold.'), ...problemResponses, ...notFoundResponse },
});
const advanceRoute = createRoute({
  method: 'post',
  path: '/v1/rollouts/{id}/advance',
  summary: 'Say that a step has begun. Said twice, it is done once; one that has lapsed goes on',
  request: { params: param, body: body(z.strictObject({ step: StepNumber.openapi({ description: 'its number, from 1; steps between are skipped' }), by, reason })) },
  responses: { 200: one('The rollout, at that step.'), ...problemResponses, ...notFoundResponse, ...conflict('It has ended, is past that step, nobody declared it, or it has lapsed and another one is under way.') },
});
const endRoute = createRoute({
  method: 'post',
  path: '/v1/rollouts/{id}/end',
  summary: 'Say that a rollout is over. Said twice, it is done once',
  request: { params: param, body: body(z.strictObject({ outcome: z.enum(['completed', 'aborted']), by, reason })) },
  responses: { 200: one('The rollout as it ended.'), ...problemResponses, ...notFoundResponse, ...conflict('It has ended otherwise, or nobody declared it.') },
});

export function registerRollouts(app: OpenAPIHono, deps: ApiDeps, judge: Judge): void {
  const { store, clock, settings } = deps;
  const { project } = settings;
  const reader = createRolloutReader(deps, judge);
  const { records } = reader;

  app.openapi(declareRoute, async (context) => {
    const { prompt, candidate, baseline, environment, steps, metrics, tolerances, by: named, reason: why = '' } = context.req.valid('json');
    const shrinking = steps.findIndex(({ share_percent }, index) => share_percent < (steps[index - 1]?.share_percent ?? 0));
    if (shrinking !== -1) throw refusal(`steps.${shrinking}.share_percent`, 'is less than in the step before', 'Order the steps by their share; a rollout that goes back is ended.');
    if (candidate === baseline) throw refusal('baseline', 'is the candidate', 'Name the version that serves, or leave it out.');
    for (const [name, tolerance] of Object.entries(tolerances)) {
      const misfit = Object.hasOwn(BUILT_IN_METRICS, name) ? misfitOf(name, BUILT_IN_METRICS[name as keyof typeof BUILT_IN_METRICS].kind, tolerance) : null; // it has this key
      if (misfit !== null) throw refusal(`tolerances.${name}`, misfit, 'Send odds_ratio for a rate, ratio for a distribution, shift for a score.');
    }
    const rollout = await records.declare(
      { project, environment: environment ?? (await busiestEnvironment(prompt)), prompt, candidate, baseline: baseline ?? null },
      { steps: steps.map(({ name, ...step }) => ({ name: name ?? null, ...step })), metrics: metrics ?? null, tolerances },
      { at_ms: clock(), who: actorOf(context, named) || 'somebody', reason: why },
    );
    noteFor(context, { target: rollout.id, detail: `${candidate} of ${prompt}, ${steps.length} steps${why === '' ? '' : `: ${why}`}` });
    return context.json(await reader.shownDeclared(rollout), 201);
  });

  app.openapi(listRoute, async (context) => {
    const { limit, ...filter } = context.req.valid('query');
    return context.json({ rollouts: await reader.list({ ...filter, limit: limit ?? 20 }) }, 200);
  });

  app.openapi(oneRoute, async (context) => context.json(await reader.one(context.req.valid('param').id), 200));

  app.openapi(advanceRoute, async (context) => {
    const { step, by: named, reason: why = '' } = context.req.valid('json');
    const rollout = await declared(context.req.valid('param').id);
    const { steps } = rollout.plan;
    noteFor(context, { target: rollout.id, detail: `step ${step} of ${steps.length}${why === '' ? '' : `: ${why}`}` });
    const state = stateOf(rollout, clock());
    if (isOver(state)) throw new ProblemError(409, `The rollout is ${state} already; declare another.`);
    if (step > steps.length) throw refusal('step', `it has ${steps.length} steps`, 'End it as completed after the last one.');
    if (step < rollout.last.step) throw new ProblemError(409, `The rollout is at step ${rollout.last.step} already; one that goes back is ended, and declared anew.`);
    if (state === 'lapsed') await refuseSecond(rollout);
    const after = step === rollout.last.step && state === 'under_way' ? rollout : await records.add(rollout, { state: 'advanced', step, at_ms: clock(), who: actorOf(context, named) || 'somebody', reason: why, left: await reader.adviceOnDeclared(rollout) });
    return context.json(await reader.shownDeclared(after), 200);
  });

  app.openapi(endRoute, async (context) => {
    const { outcome, by: named, reason: why = '' } = context.req.valid('json');
    const rollout = await declared(context.req.valid('param').id);
    noteFor(context, { target: rollout.id, detail: `${outcome}${why === '' ? '' : `: ${why}`}` });
    const state = stateOf(rollout, clock());
    if (isOver(state) && state !== outcome) throw new ProblemError(409, `The rollout is ${state} already.`);
    const after = !isOver(state) ? await records.add(rollout, { state: outcome, step: rollout.last.step, at_ms: clock(), who: actorOf(context, named) || 'somebody', reason: why, left: await reader.adviceOnDeclared(rollout) }) : rollout;
    return context.json(await reader.shownDeclared(after), 200);
  });

  /** Throws ProblemError 404, or 409 where it was recognised and nobody declared it. */
  async function declared(id: string): Promise<DeclaredRollout> {
    const rollout = await records.one(project, id);
    if (rollout !== null) return rollout;
    const { prompt, candidate } = await reader.one(id);
    throw new ProblemError(409, `Nobody declared the rollout of ${candidate} on ${prompt}, it was recognised; POST /v1/rollouts declares one.`);
  }

  /** Throws ProblemError 409 where another one of the same version is under way by now. */
  async function refuseSecond({ id, prompt, environment, candidate }: DeclaredRollout): Promise<void> {
    const others = await records.list(project, { prompt, environment, candidate, limit: 100 });
    const other = others.find((each) => each.id !== id && stateOf(each, clock()) === 'under_way');
    if (other !== undefined) throw new ProblemError(409, `The rollout has lapsed, and another one of ${candidate} is under way: ${other.id}.`);
  }

  async function busiestEnvironment(prompt: string): Promise<string> {
    const [row] = await store.select<{ environment: string }>(
      `SELECT environment FROM versions WHERE project = {project:String} AND prompt_name = {prompt:String} AND factor = 'prompt_version' GROUP BY environment ORDER BY sum(calls) DESC, environment LIMIT 1`,
      { project, prompt },
    );
    return row?.environment ?? 'default';
  }
}

function refusal(path: string, message: string, fix: string): ProblemError {
  return new ProblemError(400, `${path}: ${message}`, [{ path, message, fix }]);
}

import { z } from '@hono/zod-openapi';
import { NO_TARGET } from '../../schemas/score.ts';
import { Name } from '../../schemas/score-submission.ts';
import { judgementOf, parse, spoken, type Vendor } from './route.ts';

/**
 * Traceloop: annotations of an entity, whose id is one of the association properties of spans. It finds calls where it is
 * their session, as the chat of Traceloop's own examples is (analyzer/dialects/tags.ts). Each tag is a score `task.tag`. What the SDK polls for is answered with nothing, since it stops the
 * application's start otherwise. Source: traceloop-sdk 0.62, `annotation/`, `fetcher.py`, as captured.
 */
const Tag = z.union([z.number(), z.boolean(), z.string(), z.array(z.string()).transform((words) => words.join(', '))]);
const Annotation = z.object({
  entity_instance_id: Name,
  tags: z.record(Name, Tag),
  flow: z.string().nullish(),
});

export const traceloop: Vendor = {
  routes: [
    {
      method: 'POST',
      path: /\/v2\/annotation-tasks\/([^/]{1,384})\/annotations\/?$/,
      read({ project, groups: [task = ''], body }) {
        const { entity_instance_id, tags, flow } = parse(Annotation, body);
        const evaluator = { name: null, kind: flow === 'user_feedback' ? ('human' as const) : null, version: null };
        const target = { ...NO_TARGET, target_session_id: entity_instance_id, run_id: entity_instance_id };
        const scores = Object.entries(tags).map(([tag, value]) => judgementOf(project, { ...spoken(value), name: `${task}.${tag}`, evaluator, target }, null));
        return { kind: 'scores', scores, status: 200, answer: { status: 'success' } };
      },
    },
    { method: 'GET', path: /\/v1\/traceloop\/prompts\/?$/, read: () => ({ kind: 'scores', scores: [], status: 200, answer: { prompts: [] } }) },
    { method: 'GET', path: /\/v1\/traceloop\/pii\/tracing-allow-list\/?$/, read: () => ({ kind: 'scores', scores: [], status: 200, answer: { associationPropertyAllowList: [] } }) },
  ],
  refusal: (_status, message) => ({ error: message }),
};

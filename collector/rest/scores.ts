import { ScoreSubmissions } from '../../schemas/score-submission.ts';
import { changeOf, judgementOf, nanosecondsOf, parse, type Vendor } from './route.ts';

/** Culprit's own: POST /v1/scores (schemas/score-submission.ts) and DELETE /v1/scores/{score_id}. Refusals are RFC 9457, as the API's. */
export const scores: Vendor = {
  routes: [
    {
      method: 'POST',
      path: /\/v1\/scores\/?$/,
      read({ project, body }) {
        const judgements = parse(ScoreSubmissions, body).map((score) =>
          judgementOf(
            project,
            {
              name: score.name,
              value: score.value ?? null,
              label: score.label ?? null,
              data_type: score.data_type ?? null,
              explanation: score.explanation ?? null,
              error_type: score.error_type ?? null,
              evaluator: { name: score.evaluator?.name ?? null, kind: score.evaluator?.kind ?? null, version: score.evaluator?.version ?? null },
              target: {
                trace_id: score.trace_id ?? null,
                span_id: score.span_id ?? null,
                response_id: score.response_id ?? null,
                target_session_id: score.session_id ?? null,
                run_id: score.run_id ?? null,
              },
              time_ns: nanosecondsOf(score.time),
            },
            score.id,
          ),
        );
        return { kind: 'scores', scores: judgements, status: 200, answer: { scores: judgements.map(({ id }) => ({ score_id: id })) } };
      },
    },
    {
      method: 'DELETE',
      path: /\/v1\/scores\/([^/]{1,384})\/?$/,
      read: ({ groups: [id = ''] }) => ({ kind: 'scores', scores: [changeOf(id, 'deletion')], status: 200, answer: { scores: [{ score_id: id }] } }),
    },
  ],
  refusal: (status, detail) => ({ type: `urn:culprit:problem:${status}`, title: 'The scores were not taken', status, detail }),
};

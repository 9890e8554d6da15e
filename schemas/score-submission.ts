import { z } from '@hono/zod-openapi';
import { MAX_SCORE_ID_CHARACTERS } from './score.ts';

/** `POST /v1/scores`: the contract of a score that is sent to Culprit in its own words. */

export const Name = z.string().trim().min(1).max(256);
const Hex = (digits: number) => z.string().trim().toLowerCase().regex(new RegExp(`^[0-9a-f]{${digits}}$`), `is not ${digits} hex digits`);
export const TraceId = Hex(32);
export const SpanId = Hex(16);
export const ScoreId = z.string().trim().min(1).max(MAX_SCORE_ID_CHARACTERS);
/** Milliseconds since the epoch, or ISO 8601. */
export const Time = z.union([z.number().int().min(0).max(8.64e15), z.iso.datetime({ offset: true, local: true })]);

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

const ScoreSubmission = z
  .strictObject({
    id: ScoreId.nullish().openapi({ description: 'Sent again with another value it corrects the score. Default: derived from target, name and evaluator.' }),
    name: Name.openapi({ description: 'Becomes a metric of this name.' }),
    value: z.union([z.number(), z.boolean()]).nullish(),
    label: Name.nullish().openapi({ description: 'pass, fail and their like count as a rate; other labels are shown as the share of each, unless `metrics.NAME.good` or `.bad` lists them.' }),
    data_type: z.enum(['numeric', 'boolean', 'categorical']).nullish(),
    explanation: z.string().nullish(),
    evaluator: z
      .strictObject({ name: Name.nullish(), kind: z.enum(['human', 'llm', 'code', 'api']).nullish(), version: Name.nullish() })
      .nullish()
      .openapi({ description: 'Who judged. A changed judge is not mistaken for a changed prompt.' }),
    error_type: Name.nullish().openapi({ description: 'Set where the evaluation itself failed.' }),
    trace_id: TraceId.nullish(),
    span_id: SpanId.nullish(),
    response_id: Name.nullish().openapi({ description: 'of the provider, such as chatcmpl-…' }),
    session_id: Name.nullish(),
    run_id: Name.nullish().openapi({ description: 'a LangSmith run, or another id of a vendor' }),
    time: Time.nullish().openapi({ description: 'When it was judged: milliseconds since the epoch, or ISO 8601. Default: its arrival.' }),
  })
  .refine((score) => [score.trace_id, score.span_id, score.response_id, score.session_id, score.run_id].some(isGiven), {
    message: 'names nothing that is judged; set one of trace_id, span_id, response_id, session_id, run_id',
  })
  .refine((score) => [score.value, score.label, score.error_type].some(isGiven), { message: 'says nothing; set value, label or error_type', path: ['value'] })
  .openapi('ScoreSubmission');

const MOST = 10_000;
export const ScoreSubmissions = z
  .union([z.array(ScoreSubmission).min(1).max(MOST), ScoreSubmission.transform((score) => [score]), z.strictObject({ scores: z.array(ScoreSubmission).min(1).max(MOST) }).transform(({ scores }) => scores)])
  .openapi('ScoreSubmissions', { description: `One score, an array of them, or { "scores": […] }; at most ${MOST}.` });

export const ScoreReceipt = z.object({ scores: z.array(z.object({ score_id: z.string() })) }).openapi('ScoreReceipt', { description: 'In the order of the request.' });

import type { z } from '@hono/zod-openapi';
import { PermanentError } from '../../schemas/errors.ts';
import { derivedScoreId, type Evaluator, type ScoreDataType, type ScoreTarget } from '../../schemas/score.ts';
import { validationFaults } from '../../schemas/validation-faults.ts';

/**
 * Scores over REST, at the paths that people's SDKs call, so that changing the host is enough. One vendor is one file, one
 * line in `index.ts` and one test. A route turns a request into scores; what becomes of them is the same for all
 * (`intake.ts`): one OTLP log record each, appended before the answer.
 */
export type Vendor = {
  readonly routes: readonly Route[];
  /** A refusal as the vendor's SDKs read it, as JSON. */
  refusal(status: number, message: string): unknown;
};

export type Route = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Matches the end of a path, whatever stands before it; groups are handed on. */
  readonly path: RegExp;
  /** Pure. Throws PermanentError for a body that is not what the vendor's API takes. */
  read(request: RestRequest): RestReading;
};

export type RestRequest = {
  readonly project: string;
  /** Groups of `path`, percent-decoded. */
  readonly groups: readonly string[];
  /** Parsed JSON; undefined: no body. */
  readonly body: unknown;
};

export type RestReading =
  | { readonly kind: 'scores'; readonly scores: readonly RestScore[]; readonly status: number; readonly answer: unknown }
  | { readonly kind: 'text'; readonly text: string }
  /** What Culprit does not do, answered 404 with a sentence that says what to do instead. */
  | { readonly kind: 'unserved'; readonly message: string };

/** A score, or a change of one by its id, in the words of the log (schemas/score-event.ts). */
export type RestScore = {
  readonly id: string;
  readonly change: 'judgement' | 'update' | 'deletion';
  readonly name: string | null;
  readonly value: number | boolean | null;
  readonly label: string | null;
  readonly data_type: ScoreDataType | null;
  readonly explanation: string | null;
  readonly error_type: string | null;
  readonly evaluator: Evaluator;
  readonly target: ScoreTarget;
  /** When it was judged; null: when it arrives. */
  readonly time_ns: bigint | null;
};

export const NOBODY: Evaluator = { name: null, kind: null, version: null };

/** What a vendor's API calls a judgement: `id` where its sender gave one, else it is derived. */
export function judgementOf(project: string, score: Partial<RestScore> & Pick<RestScore, 'target'> & { readonly name: string }, id: string | null | undefined): RestScore {
  const whole = { change: 'judgement', value: null, label: null, data_type: null, explanation: null, error_type: null, evaluator: NOBODY, time_ns: null, ...score } as const;
  return { ...whole, id: id ?? derivedScoreId({ project, target: score.target, name: score.name, evaluator: whole.evaluator }) };
}

/** A correction or deletion by id: it names neither score nor target. */
export function changeOf(id: string, change: 'update' | 'deletion', said: Partial<Pick<RestScore, 'value' | 'label' | 'explanation'>> = {}): RestScore {
  return {
    id, change, name: null, value: null, label: null, data_type: null, explanation: null, error_type: null, evaluator: NOBODY, time_ns: null, ...said,
    target: { trace_id: null, span_id: null, response_id: null, target_session_id: null, run_id: null },
  };
}

/** Throws PermanentError naming the first fields that are wrong. */
export function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const faults = validationFaults(result.error.issues).slice(0, 5).map(({ path, message }) => `${path.map(String).join('.') || 'body'}: ${message}`);
  throw new PermanentError(faults.join('; '));
}

/** Milliseconds since the epoch, or ISO 8601; without an offset it is UTC. */
export function nanosecondsOf(time: number | string | null | undefined): bigint | null {
  if (time === null || time === undefined) return null;
  const ms = typeof time === 'number' ? time : Date.parse(/(z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`);
  return Number.isFinite(ms) && ms > 0 ? BigInt(Math.round(ms)) * 1_000_000n : null;
}

/** A value that may be a number, a truth or a word: words are labels. */
export function spoken(value: number | boolean | string | null | undefined): Pick<RestScore, 'value' | 'label'> {
  if (typeof value === 'string') return { value: null, label: value };
  return { value: value ?? null, label: null };
}

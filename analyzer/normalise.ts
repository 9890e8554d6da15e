import { hash } from 'node:crypto';
import type { LlmCall, PromptAttribution, PromptVersionSource } from '../schemas/call.ts';
import type { TagKeys } from '../schemas/tag-keys.ts';
import type { Attributes, OtlpLogRecord, OtlpScope, OtlpSpan } from '../schemas/otlp.ts';
import type { Score } from '../schemas/score.ts';
import { dialects, type Dialect, type Inference, type RelativeReason, type SpanSource } from './dialects/index.ts';
import { standardEvaluation } from './dialects/agentcore.ts';
import { createFeatureFlags, type Assignment } from './dialects/feature-flags.ts';
import { createLogReader } from './dialects/log-events.ts';
import { UNREADABLE } from './dialects/structured.ts';
import { createTagReader, environmentOf, type TagReader } from './dialects/tags.ts';
import { firstText, text } from './dialects/values.ts';
import { createGenerations } from './ingest/generations.ts';
import { finishReason, providerName } from './dialects/vocabulary.ts';
import { providersResponseId } from './response-ids.ts';
import type { LabelRules } from './score-values.ts';
import { scoreOfRecord, scoresOfSpan } from './scores.ts';
import { readAnswer, type Answer } from './signals/answer.ts';
import type { CallContent, ContentKeeper } from './signals/content.ts';
import { createPricer, type Pricer } from './signals/cost.ts';
import { fingerprintOf } from './signals/fingerprint.ts';
import { isEmpty, isFormatValid } from './signals/format.ts';
import { believableMs, believableTook, durationMs, startBefore, ttftMs } from './signals/times.ts';
import { inclusiveUsage, type Usage } from './signals/tokens.ts';

/**
 * OTLP in, canonical records out. One dialect reads a span; what its values mean is decided here, the same for all. Every
 * function is total: whatever is on the wire, it answers with a record or a reason, and never throws.
 */
export type NormaliseContext = { readonly project: string; /** Arrival at the collector, ms since the epoch. */ readonly received_ms: number };

/** A span that is no call: a call below it may inherit its tags. */
export type Relative = {
  project: string;
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  prompt_name: string | null;
  prompt_version: string | null;
  prompt_version_source: PromptVersionSource;
  prompt_label: string | null;
  prompt_attribution: PromptAttribution;
  session_id: string | null;
  /** Hashed, as in `LlmCall`. */
  user_id: string | null;
  received_ms: number;
  reason: RelativeReason;
  /** Nanoseconds since the epoch, as decimal text. */
  start_time_ns: string;
};

/** `ignored_scores`: why evaluation events of this span gave no score, one reason each. `content`: null unless it is to be stored. */
export type NormalisedSpan = { readonly scores: readonly Score[]; readonly ignored_scores: readonly string[]; readonly content: CallContent | null } & (
  | { readonly kind: 'call'; readonly call: LlmCall }
  | {
      readonly kind: 'relative';
      readonly reason: RelativeReason;
      readonly relative: Relative;
      /** The wrapper as a call of its own: it counts where no inference below it ever arrives. */
      readonly candidate: LlmCall | null;
      /** What was odd about the span, as in `LlmCall.flags`: its tags may have been lost with it. */
      readonly flags: readonly string[];
    }
);

/** `call`: an event that tells of one; a span may do so, too. `assignment`: what a feature flag that was logged says of its span. */
export type NormalisedRecord = { readonly kind: 'score'; readonly score: Score } | { readonly kind: 'call'; readonly call: LlmCall } | { readonly kind: 'ignored'; readonly reason: string; readonly assignment?: Assignment };

export type NormaliserSettings = {
  /** Attributes that strata are kept apart by, looked for on the span, then on its resource. */
  readonly stratumAttributes: readonly string[];
  /** Attributes whose values are compared with each other, looked for in the same way. Default: none. */
  readonly factorAttributes?: readonly string[];
  /** Attributes that describe the traffic. */
  readonly mixAttributes?: readonly string[];
  /** A project's own names for what tags a span. Default: none. */
  readonly keys?: TagKeys;
  /** The prompt whose version a feature flag picks, by flag key. Default: none. */
  readonly featureFlags?: Readonly<Record<string, string>>;
  /** Longest message content that is read for signals; longer is flagged `content_over_limit`. Default 256 KiB. */
  readonly maxTextBytes?: number;
  /** Takes the messages of a call to be stored. Absent: content is off. */
  readonly keepContent?: ContentKeeper;
  /** Labels of scores that count as good or bad. Default: the usual words. */
  readonly labels?: LabelRules;
};

export type Normaliser = {
  span(context: NormaliseContext, resource: Attributes, scope: OtlpScope, span: OtlpSpan): NormalisedSpan;
  record(context: NormaliseContext, resource: Attributes, scope: OtlpScope, record: OtlpLogRecord): NormalisedRecord;
};

export function createNormaliser(settings: NormaliserSettings): Normaliser {
  const featureFlags = createFeatureFlags(new Map(Object.entries(settings.featureFlags ?? {})), FLAGGED_SPANS);
  const tags = createTagReader(settings.keys ?? NO_KEYS, featureFlags);
  const readLogged = createLogReader(FLAGGED_SPANS);
  const labels = settings.labels ?? (() => null);
  const calls: CallReading = { ...settings, maxTextBytes: settings.maxTextBytes ?? 256 * 1024, pricer: createPricer(), tags };

  return {
    span(context, resource, scope, span) {
      const source: SpanSource = { resource, scope, span, flags: new Set() };
      const dialect = dialects.find((candidate) => candidate.matches(source));
      const reading = dialect?.read(source) ?? { kind: 'relative', reason: 'not_an_llm_call' };
      const role = reading.kind === 'relative' && reading.reason === 'evaluator' ? 'judge' : 'judged';
      const inAttributes = dialect?.scores?.(source) ?? [];
      const scores = span.events.length === 0 && inAttributes.length === 0 ? NO_SCORES : scoresOfSpan({ ...context, labels }, { span, role, session_id: tags.session(source), inAttributes });
      if (dialect === undefined || reading.kind === 'relative') {
        const reason = reading.kind === 'relative' ? reading.reason : 'not_an_llm_call';
        const aggregate = reading.kind === 'relative' ? reading.aggregate : undefined;
        const candidate = dialect === undefined || aggregate === undefined ? null : callOf(context, source, dialect, aggregate, calls);
        const content = aggregate === undefined ? null : (settings.keepContent?.(aggregate, span) ?? null);
        const relative = relativeOf(context, source, { reason, tags });
        return { kind: 'relative', reason, relative, candidate, flags: [...source.flags], content, ...scores };
      }
      const call = callOf(context, source, dialect, reading.inference, calls);
      return { kind: 'call', call, content: settings.keepContent?.(reading.inference, span) ?? null, ...scores };
    },
    record(context, resource, scope, record) {
      const logged = readLogged(context, { resource, scope, record });
      if (logged?.kind === 'call') return { kind: 'call', call: callOf(context, logged.source, { name: logged.dialect }, logged.inference, calls) };
      if (logged !== null) return { kind: 'ignored', reason: 'agent_event' };
      const evaluation = featureFlags.learn(context.project, record);
      if (evaluation !== null) return { kind: 'ignored', reason: 'feature_flag', ...(evaluation.assignment === null ? {} : { assignment: evaluation.assignment }) };
      return scoreOfRecord({ ...context, labels }, standardEvaluation(record));
    },
  };
}

/** Spans of which a flag was logged and which have not come yet, in each of two generations. */
const FLAGGED_SPANS = 50_000;
const NO_SCORES: ReturnType<typeof scoresOfSpan> = { scores: [], ignored_scores: [] };
const NO_KEYS: TagKeys = { prompt_name: [], prompt_version: [], prompt_label: [], session: [], user: [] };

function relativeOf(context: NormaliseContext, source: SpanSource, { reason, tags }: { readonly reason: RelativeReason; readonly tags: TagReader }): Relative {
  const { span } = source;
  return {
    project: context.project,
    trace_id: span.trace_id,
    span_id: span.span_id,
    parent_span_id: span.parent_span_id,
    ...tags.prompt(context.project, source),
    session_id: tags.session(source),
    user_id: hashedUser(tags.user(source)),
    received_ms: context.received_ms,
    reason,
    start_time_ns: String(span.start_ns),
  };
}

/** What a call is read with. */
type CallReading = NormaliserSettings & { readonly maxTextBytes: number; readonly pricer: Pricer; readonly tags: TagReader };

function callOf(context: NormaliseContext, source: SpanSource, dialect: Pick<Dialect, 'name'>, inference: Inference, settings: CallReading): LlmCall {
  const { pricer, tags } = settings;
  const { resource, scope, span, flags } = source;
  const { attributes } = span;
  const prompt = tags.prompt(context.project, source);
  const provider = providerName(inference.provider, inference.response_model ?? inference.request_model);
  const took_ms = inference.took_ms === undefined ? undefined : believableTook(inference.took_ms);
  // Where the span is only a moment of the call.
  const start_ns = took_ms === undefined ? span.start_ns : startBefore(span.end_ns, took_ms);
  const duration_ms = took_ms === undefined ? durationMs(span, flags) : took_ms;
  const at_ms = believableMs(start_ns, context.received_ms, flags);
  const usage = inclusiveUsage(inference.usage, provider, flags);
  // A failed call owes no answer: what came back of it is judged as an error, not as empty or malformed as well.
  const answer = inference.error === null ? answerWithin(inference, settings.maxTextBytes, flags) : null;
  const finish = inference.finish_reason ?? answer?.finishReason ?? null;
  const error = inference.error ?? (finish === 'error' && usage.output === null ? UNTOLD : null);
  const judged = error === null ? answer : null;
  const cost = costOf(inference, provider, usage, at_ms, pricer);
  const ttft_ms = ttftMs(inference.ttft, start_ns, duration_ms, flags);
  const stratum_attributes = attributesNamed(settings.stratumAttributes, attributes, resource, flags);
  const { factorAttributes = [], mixAttributes = [] } = settings;
  // Field by field: a literal that spreads others takes as long as the rest of this function.
  const call: LlmCall = {
    project: context.project,
    trace_id: span.trace_id,
    span_id: span.span_id,
    parent_span_id: span.parent_span_id,
    start_time_ns: String(start_ns),
    end_time_ns: String(span.end_ns),
    received_time_ms: context.received_ms,
    duration_ms,
    dialect: dialect.name,
    scope_name: text(scope.name, flags) ?? '',
    service_name: firstText(resource, SERVICE_NAME, flags) ?? '',
    service_version: firstText(resource, SERVICE_VERSION, flags) ?? '',
    environment: environmentOf(attributes, resource, flags),
    operation: inference.operation,
    prompt_name: prompt.prompt_name,
    prompt_version: prompt.prompt_version,
    prompt_version_source: prompt.prompt_version_source,
    prompt_label: prompt.prompt_label,
    prompt_attribution: prompt.prompt_attribution,
    prompt_fingerprint: fingerprintOf(inference.prompt_text, settings.maxTextBytes, flags),
    asker: firstText(attributes, ASKER, flags),
    provider,
    request_model: inference.request_model,
    response_model: inference.response_model,
    response_id: providersResponseId(inference.response_id),
    finish_reason: finish === null ? null : finishReason(finish),
    is_error: error !== null,
    error_type: error?.type ?? null,
    status_message: error?.message ?? null,
    is_stream: inference.is_stream,
    is_cache_hit: inference.is_cache_hit,
    is_experiment: inference.is_experiment,
    ttft_ms,
    input_tokens: usage.input,
    output_tokens: usage.output,
    cache_read_tokens: usage.cache_read,
    cache_write_tokens: usage.cache_write,
    reasoning_tokens: usage.reasoning,
    cost_usd: cost.cost_usd,
    cost_source: cost.cost_source,
    session_id: tags.session(source),
    user_id: hashedUser(tags.user(source)),
    is_empty: inference.operation === 'embeddings' ? null : isEmpty(judged),
    is_format_valid: isFormatValid(judged, inference.asks_json ? 'asks_json' : 'asks_text'),
    stratum_attributes,
    flags: NO_FLAGS,
  };
  if (factorAttributes.length > 0) call.factor_attributes = attributesNamed(factorAttributes, attributes, resource, flags);
  if (mixAttributes.length > 0) call.mix_attributes = attributesNamed(mixAttributes, attributes, resource, flags);
  if (flags.size > 0) call.flags = [...flags];
  return call;
}

const NO_FLAGS: readonly string[] = [];

/** The status is OK, and the call ended in an error without a word of output: agno's message is then the error's. */
const UNTOLD: Inference['error'] = { type: null, message: null };

/** What a prompt is called where nobody named it. Not span names: a model or a route is no prompt. */
const ASKER = ['ai.telemetry.functionId', 'gen_ai.agent.name', 'agent.name'];
const SERVICE_NAME = ['service.name'];
const SERVICE_VERSION = ['service.version'];

function answerWithin(inference: Inference, maxTextBytes: number, flags: Set<string>): Answer | null {
  const answer = readAnswer(inference.output, maxTextBytes);
  if (answer !== 'over_limit' && answer !== 'unreadable') return answer;
  flags.add(answer === 'over_limit' ? 'content_over_limit' : UNREADABLE);
  return null;
}

/**
 * What the library reported, else computed from the response's model (the request's where that has no price). A reported 0
 * beside tokens is what libraries write for a model they do not know: it stands only where there is no better.
 */
function costOf(inference: Inference, provider: string, usage: Usage, at_ms: number, pricer: Pricer): Pick<LlmCall, 'cost_usd' | 'cost_source'> {
  const reported = inference.cost_usd !== null && inference.cost_usd >= 0 ? inference.cost_usd : null;
  if (reported !== null && reported > 0) return { cost_usd: reported, cost_source: 'reported' };
  for (const model of [inference.response_model, inference.request_model]) {
    const cost_usd = model === null ? null : pricer.price({ provider, model, usage, at_ms });
    if (cost_usd !== null) return { cost_usd, cost_source: 'computed' };
  }
  return reported === null ? { cost_usd: null, cost_source: null } : { cost_usd: reported, cost_source: 'reported' };
}

function attributesNamed(keys: readonly string[], attributes: Attributes, resource: Attributes, flags: Set<string>): Readonly<Record<string, string>> {
  const present: Record<string, string> = {};
  for (const key of keys) {
    const value = text(attributes.get(key), flags) ?? text(resource.get(key), flags);
    if (value !== null) present[key] = value;
  }
  return present;
}

/**
 * Users are counted, never named: the first 16 hex digits of the SHA-256 of their id. Without a secret, so that two analyzers
 * agree; someone who has the id can still find its hash, and a guessable id (an e-mail) can be guessed.
 */
function hashedUser(id: string | null): string | null {
  if (id === null) return null;
  const known = hashedUsers.get(id);
  if (known !== undefined) return known;
  // Not the start of the whole text, which would be kept for it.
  const hashed = hash('sha256', id, 'buffer').toString('hex', 0, 8);
  hashedUsers.set(id, hashed);
  return hashed;
}

/** One who calls has called just before, mostly: a conversation has several calls, an agent dozens. Ids are of 256 characters at most. */
const hashedUsers = createGenerations<string, string>(2_000);

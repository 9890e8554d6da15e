import type { OtlpScope, OtlpSpan, Attributes, AttributeValue } from '../../schemas/otlp.ts';
import { adk } from './adk.ts';
import { ag2 } from './ag2.ts';
import { agenta } from './agenta.ts';
import { anthropicSdk } from './anthropic-sdk.ts';
import { braintrust } from './braintrust.ts';
import { claudeCode } from './claude-code.ts';
import { codex } from './codex.ts';
import { datadog } from './datadog.ts';
import { genkit } from './genkit.ts';
import { haystack } from './haystack.ts';
import { humanloop } from './humanloop.ts';
import { laminar } from './laminar.ts';
import { langfuse, langfuseByKeys } from './langfuse.ts';
import { langsmith } from './langsmith.ts';
import { langWatch } from './langwatch.ts';
import { litellm } from './litellm.ts';
import { liveKit } from './livekit.ts';
import { llamaIndex } from './llamaindex.ts';
import { mastra } from './mastra.ts';
import { mirascope } from './mirascope.ts';
import { mlflow } from './mlflow.ts';
import { openInference } from './openinference.ts';
import { openLit } from './openlit.ts';
import { otel136, otel137, otelGenAi } from './otel-genai.ts';
import { pipecat } from './pipecat.ts';
import { promptfoo } from './promptfoo.ts';
import { promptLayer } from './promptlayer.ts';
import { pydanticAi } from './pydantic-ai.ts';
import { semanticKernel } from './semantic-kernel.ts';
import { springAi } from './spring-ai.ts';
import { strands } from './strands.ts';
import { traceAi } from './traceai.ts';
import { traceloop } from './traceloop.ts';
import { vercelAi7 } from './vercel-ai-7.ts';
import { vercelAiLegacy } from './vercel-ai-legacy.ts';
import { voltAgent } from './voltagent.ts';
import { weave } from './weave.ts';

/**
 * Every instrumentation library has its own words for the same call. A dialect reads one of them into an `Inference`; what the
 * values mean after that (units, vocabularies, inclusive counts) is decided once, in `normalise.ts` and `signals/`.
 *
 * A new dialect is one file, one line in `dialects` and one test. Order matters: the first that matches reads the span, so
 * what is recognised by its scope stands before what is recognised by a marker that other libraries write too.
 */
export type SpanSource = {
  readonly resource: Attributes;
  readonly scope: OtlpScope;
  readonly span: OtlpSpan;
  /** What was odd, collected while reading (`LlmCall.flags`). */
  readonly flags: Set<string>;
};

/** Why a span is no call. `agent`: one agent's own span; an inference above it and one below it are two calls, as with `tool`. */
export type RelativeReason =
  | 'not_an_llm_call'
  | 'wrapper'
  | 'agent'
  | 'tool'
  | 'retrieval'
  | 'memory'
  | 'fetch_response'
  | 'mcp'
  | 'mcp_prompt_fetch'
  | 'evaluator';

/** Token counts as on the wire. */
export type WireUsage = {
  readonly input: number | null;
  readonly output: number | null;
  readonly cache_read: number | null;
  readonly cache_write: number | null;
  readonly reasoning: number | null;
  /** Only a check on the others. */
  readonly total: number | null;
  /** Does `input` count cached tokens? `unstated` where the dialect leaves it to the provider: then the numbers decide. */
  readonly cache_counting: 'inclusive' | 'exclusive' | 'unstated';
};

/** What one inference span says, in the words of its own library. Null: not on the wire. */
export type Inference = {
  /** Lower case: chat, text_completion, embeddings, … */
  readonly operation: string;
  readonly provider: string | null;
  readonly request_model: string | null;
  readonly response_model: string | null;
  readonly response_id: string | null;
  /** Of the first choice. */
  readonly finish_reason: string | null;
  readonly is_stream: boolean | null;
  readonly error: { readonly type: string | null; readonly message: string | null } | null;
  /** How long after the start, or (`at_ns`) when, by the sender's clock. */
  readonly ttft: { readonly value: number; readonly unit: 's' | 'ms' } | { readonly at_ns: bigint } | null;
  /** How long it took until the span's end, ms, where the span is only a moment of it; null: it does not say. */
  readonly took_ms?: number | null;
  readonly usage: WireUsage;
  /** As reported by the library, in US dollars. */
  readonly cost_usd: number | null;
  /** The messages that were sent, where the dialect reads them; else `signals/content.ts` looks for them where they are to be stored. */
  readonly input?: AttributeValue | undefined;
  /** The messages that came back, structured or as JSON text: `signals/answer.ts` has the shapes. Undefined: not on the wire. */
  readonly output: AttributeValue | undefined;
  /** JSON was asked for. */
  readonly asks_json: boolean;
  /** The prompt's text as far as it is on the wire: it becomes a fingerprint and is dropped (`signals/fingerprint.ts`). */
  readonly prompt_text: PromptText;
  /** Answered from a cache. */
  readonly is_cache_hit: boolean;
  /** Belongs to an offline experiment or evaluation run. */
  readonly is_experiment: boolean;
};

/**
 * Text, or messages structured or as JSON text. A map with the one key `messages` is a whole conversation: only its system message
 * counts, and text in its place is a user's. Undefined: not on the wire.
 */
export type PromptText = {
  /** With its placeholders, as it was written. */
  readonly template: AttributeValue | undefined;
  /** The system prompt as it was sent. */
  readonly system: AttributeValue | undefined;
};

/**
 * `aggregate`: what a wrapper says of the inferences below it, in a shape that can stand for them: it counts only where none of
 * them ever arrives. Absent where it says nothing that could (no model, no usage).
 */
export type Reading =
  | { readonly kind: 'inference'; readonly inference: Inference }
  | { readonly kind: 'relative'; readonly reason: RelativeReason; readonly aggregate?: Inference };

/** A judgement that stands in the attributes of a span, in the words of its library. */
export type WireScore = {
  readonly name: string;
  readonly value: AttributeValue | undefined;
  readonly label: string | null;
  readonly explanation: string | null;
  /** Who judged: name or kind of the judge. */
  readonly evaluator: string | null;
  /** Tells two of one name, judge and target apart. */
  readonly identifier?: string | null;
  /** What it judges. `span`: the span that it stands on; for a judge's own span see `scores.ts`. */
  readonly target: 'span' | 'trace' | 'session';
};

export type Dialect = {
  /** `LlmCall.dialect`. */
  readonly name: string;
  matches(source: SpanSource): boolean;
  /** Never throws, whatever the types on the wire. */
  read(source: SpanSource): Reading;
  /** Judgements in the span's attributes, where the library writes them there. Never throws. */
  scores?(source: SpanSource): readonly WireScore[];
};

export const dialects: readonly Dialect[] = [
  // By scope, or a marker that is theirs alone.
  langfuse,
  vercelAi7,
  vercelAiLegacy,
  strands,
  adk,
  genkit,
  claudeCode,
  codex,
  voltAgent,
  llamaIndex,
  haystack,
  mirascope,
  traceAi,
  ag2,
  liveKit,
  pipecat,
  anthropicSdk,
  pydanticAi,
  litellm,
  openLit,
  laminar,
  mastra,
  openInference,
  // By markers that also reach the spans of other libraries.
  langWatch,
  langfuseByKeys,
  langsmith,
  traceloop,
  mlflow,
  weave,
  braintrust,
  agenta,
  humanloop,
  promptfoo,
  promptLayer,
  datadog,
  // In the conventions' words, and around them.
  semanticKernel,
  springAi,
  otelGenAi,
  otel137,
  otel136,
];

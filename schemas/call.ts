/**
 * LlmCall: one LLM inference, as one canonical record. Wrappers around it (agent, chain) are not calls.
 * Field names and units are the public contract of `GET /v1/calls`.
 */
export type FinishReason = 'stop' | 'length' | 'tool_call' | 'content_filter' | 'error' | 'compaction' | 'other' | 'unknown';
export type PromptVersionSource = 'explicit' | 'commit' | 'hash' | 'label' | 'template_fp' | 'system_fp' | 'app_version' | 'none';
export type PromptAttribution = 'direct' | 'inherited' | 'ambiguous' | 'none';

/** What a reader of one dialect makes of one inference span. Null: not on the wire. */
export type LlmCall = {
  project: string;
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  /** Nanoseconds since the epoch, as decimal text. */
  start_time_ns: string;
  end_time_ns: string;
  /** Arrival at the collector, ms since the epoch. */
  received_time_ms: number;
  /** Null where the end is absent or before the start (flagged `clock_skew`). */
  duration_ms: number | null;
  dialect: string;
  scope_name: string;
  service_name: string;
  service_version: string;
  environment: string;
  operation: string;
  prompt_name: string | null;
  prompt_version: string | null;
  prompt_version_source: PromptVersionSource;
  /** A mutable name (production, canary) that pointed at this version at the time; never a version itself. */
  prompt_label: string | null;
  /** What the prompt's text was, without keeping it: `t:` (template) or `s:` (system prompt) and 16 hex digits. */
  prompt_fingerprint: string | null;
  /** The fingerprint again where it tells an edit under an unchanged version from texts that live beside each other; else absent. */
  prompt_content?: string | null;
  /** `none`: no tag; a name beside it is that of what asked, and its version the fingerprint. */
  prompt_attribution: PromptAttribution;
  /** What asked, by its own name (function, agent): the prompt's name where nothing else is. Not stored. */
  asker?: string | null;
  provider: string;
  request_model: string | null;
  response_model: string | null;
  response_id: string | null;
  /** Null where the wire has no finish reason. */
  finish_reason: FinishReason | null;
  is_error: boolean;
  error_type: string | null;
  status_message: string | null;
  is_stream: boolean | null;
  /** Answered from a cache: says nothing of the model's latency and cost. */
  is_cache_hit: boolean;
  /** Of an offline experiment or evaluation run: shown, never compared as production traffic. */
  is_experiment: boolean;
  /** Time to first token, ms. */
  ttft_ms: number | null;
  /** Inclusive: cache is part of input, reasoning part of output. */
  input_tokens: number | null;
  output_tokens: number | null;
  cache_read_tokens: number | null;
  cache_write_tokens: number | null;
  reasoning_tokens: number | null;
  cost_usd: number | null;
  cost_source: 'reported' | 'computed' | null;
  session_id: string | null;
  user_id: string | null;
  /** Empty answer: true, false, or null where the output is not on the wire. */
  is_empty: boolean | null;
  /** Valid JSON where JSON was asked for and the output is on the wire; else null. */
  is_format_valid: boolean | null;
  /** Configured attributes that strata are kept apart by (app.route, …), present ones only. */
  stratum_attributes: Readonly<Record<string, string>>;
  /** Configured attributes that are compared by their values (deployment.ring, …), present ones only. Absent: none are. */
  factor_attributes?: Readonly<Record<string, string>>;
  /** Configured attributes that describe the traffic (app.tenant, …), present ones only. Absent: none are. */
  mix_attributes?: Readonly<Record<string, string>>;
  /** What was odd: "attribute_unreadable", "clock_skew", "tokens_adjusted", …; docs/TAGGING.md says what each means. */
  flags: readonly string[];
};

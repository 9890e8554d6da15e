import type { FinishReason } from '../../schemas/call.ts';

/** The words of providers and libraries, mapped to one set. */

const FINISH_REASONS: readonly (readonly [FinishReason, readonly string[]])[] = [
  ['stop', ['stop', 'end_turn', 'stop_sequence', 'eos', 'eos_token', 'complete', 'completed', 'finish', 'finish_reason_stop']],
  ['length', ['length', 'max_tokens', 'max_output_tokens', 'model_length', 'model_context_window_exceeded']],
  ['tool_call', ['tool_call', 'tool_calls', 'tool_use', 'function_call', 'function_calls']],
  ['content_filter', ['content_filter', 'content_filtered', 'safety', 'refusal', 'recitation', 'blocklist', 'prohibited_content', 'spii', 'image_safety', 'guardrail_intervened']],
  ['error', ['error', 'failed', 'cancelled', 'malformed_function_call', 'network_error', 'unexpected_tool_call']],
  ['compaction', ['compaction']],
  ['unknown', ['none', 'null', 'unknown', 'finish_reason_unspecified']],
];

const FINISH_REASON_OF: ReadonlyMap<string, FinishReason> = new Map(FINISH_REASONS.flatMap(([reason, words]) => words.map((word) => [word, reason] as const)));

/** Any spelling: upper case (Gemini), an enum prefix (`FinishReason.TOOL_CALLS`), hyphens (AI SDK), camel case (Strands). */
export function finishReason(raw: string): FinishReason {
  const known = FINISH_REASON_OF.get(raw);
  if (known !== undefined) return known;
  const word = raw.replace(CAMEL, '$1_$2').toLowerCase().replace(/^finish_?reason\./, '').replaceAll('-', '_');
  return FINISH_REASON_OF.get(word) ?? 'other';
}

const CAMEL = /([a-z])([A-Z])/g;

const PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  openai: ['openai_responses'],
  anthropic: ['anthropic.messages'],
  'azure.ai.openai': ['az.ai.openai', 'azure', 'azure_openai', 'azure-openai'],
  'azure.ai.inference': ['az.ai.inference', 'azure_ai'],
  'gcp.gemini': ['gemini', 'google', 'google_genai', 'google.generative-ai', 'google_generativeai'],
  'gcp.vertex_ai': ['vertex_ai', 'vertexai', 'google.vertex', 'vertex'],
  'gcp.gen_ai': [],
  'aws.bedrock': ['bedrock', 'amazon-bedrock', 'bedrock_converse', 'aws_bedrock', 'aws'],
  mistral_ai: ['mistral', 'mistralai'],
  x_ai: ['xai'],
  cohere: [],
  groq: [],
  deepseek: [],
  perplexity: [],
  'ibm.watsonx.ai': ['watsonx'],
  moonshot_ai: ['moonshot'],
  ollama: [],
  huggingface: ['hugging_face'],
  together_ai: ['together'],
  fireworks: [],
  openrouter: [],
  litellm: [],
};

const PROVIDER_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(PROVIDERS).flatMap(([provider, aliases]) => [provider, ...aliases].map((alias) => [alias, provider] as const)),
);

/** Of the address that was asked, where a library takes that for the provider (LiveKit). */
const PROVIDER_BY_HOST: readonly (readonly [RegExp, string])[] = [
  [/(?:^|\.)openai\.azure\.com$/, 'azure.ai.openai'],
  [/(?:^|\.)(?:services\.ai|inference\.ai|cognitiveservices)\.azure\.com$/, 'azure.ai.inference'],
  [/(?:^|\.)openai\.com$/, 'openai'],
  [/(?:^|\.)anthropic\.com$/, 'anthropic'],
  [/^generativelanguage\.googleapis\.com$/, 'gcp.gemini'],
  [/(?:^|-)aiplatform\.googleapis\.com$/, 'gcp.vertex_ai'],
  [/^bedrock[\w-]*\..*\.amazonaws\.com$/, 'aws.bedrock'],
  [/(?:^|\.)groq\.com$/, 'groq'],
  [/(?:^|\.)mistral\.ai$/, 'mistral_ai'],
  [/(?:^|\.)cohere\.(?:com|ai)$/, 'cohere'],
  [/(?:^|\.)deepseek\.com$/, 'deepseek'],
  [/(?:^|\.)x\.ai$/, 'x_ai'],
  [/(?:^|\.)perplexity\.ai$/, 'perplexity'],
  [/(?:^|\.)together\.(?:xyz|ai)$/, 'together_ai'],
  [/(?:^|\.)fireworks\.ai$/, 'fireworks'],
  [/(?:^|\.)openrouter\.ai$/, 'openrouter'],
];

/** Libraries that write their own name where the provider's belongs. */
const FRAMEWORKS: ReadonlySet<string> = new Set([
  'langchain', 'langgraph', 'llama_index', 'llamaindex', 'haystack', 'crewai', 'agno', 'openai_agents', 'pydantic_ai', 'smolagents',
  'spring_ai', 'strands-agents', 'strands_agents', 'gcp.vertex.agent', 'google_adk', 'unknown', '_other',
]);

const PROVIDER_BY_MODEL: readonly (readonly [RegExp, string])[] = [
  [/^(gpt-|o[1-9]|chatgpt-|text-embedding-)/, 'openai'],
  [/^claude-/, 'anthropic'],
  [/^gemini-/, 'gcp.gemini'],
  [/^command-/, 'cohere'],
  [/^mistral-/, 'mistral_ai'],
];

/**
 * The provider's name in the words of the conventions; a word that nobody knows stays as it is, in lower case. "unknown"
 * where the wire names none (or only a framework) and the model's name does not tell.
 */
export function providerName(raw: string | null, model: string | null): string {
  const word = raw?.toLowerCase() ?? '';
  const known = PROVIDER_OF.get(word) ?? PROVIDER_OF.get(word.split('.', 1)[0] ?? '');
  if (known !== undefined) return known;
  const host = word.includes('.') ? word.replace(/:\d{1,5}$/, '') : '';
  const hosted = host === '' ? undefined : PROVIDER_BY_HOST.find(([pattern]) => pattern.test(host))?.[1];
  if (hosted !== undefined) return hosted;
  if (word !== '' && !FRAMEWORKS.has(word)) return word;
  const lower = model?.toLowerCase() ?? '';
  return PROVIDER_BY_MODEL.find(([pattern]) => pattern.test(lower))?.[1] ?? 'unknown';
}

import type { SpanSubject } from './probes.ts';

/**
 * Which library wrote a span, and how one tags prompt name and version in it: what a person needs who sees a call without
 * a version. Recognised by scope or keys, also where no dialect reads the span. `section` is the anchor in docs/TAGGING.md.
 */
export type Sdk = { readonly name: string; readonly section: string; readonly tag: string };

type Known = Sdk & {
  /** Beginnings of the scope's name. */
  readonly scopes: readonly string[];
  /** Beginnings of attribute keys. */
  readonly keys: readonly string[];
};

/** First match wins: what writes keys of its own stands before what many write. */
export const SDKS: readonly Known[] = [
  { name: 'Langfuse', section: 'langfuse', scopes: ['langfuse-sdk'], keys: ['langfuse.'], tag: 'pass the prompt object to the generation: prompt=langfuse.get_prompt(…) (langfuse_prompt= with its OpenAI wrapper)' },
  { name: 'LangSmith', section: 'langsmith', scopes: ['langsmith'], keys: ['langsmith.'], tag: 'add metadata prompt_name and prompt_version to the run: langsmith_extra={"metadata": {…}}' },
  { name: 'PromptLayer', section: 'promptlayer', scopes: ['promptlayer'], keys: ['promptlayer.'], tag: 'run the prompt through promptlayer.run(prompt_name=…): it tags the call with the version it resolved' },
  { name: 'Promptfoo', section: 'promptfoo', scopes: ['promptfoo'], keys: ['promptfoo.'], tag: 'its spans have only a label ("refund-agent v2"): set gen_ai.prompt.name and gen_ai.prompt.version on a span above' },
  { name: 'Humanloop', section: 'humanloop', scopes: ['humanloop'], keys: ['humanloop.'], tag: 'its spans name the prompt (path) and no version: set gen_ai.prompt.version on a span above' },
  { name: 'Vercel AI SDK', section: 'vercel-ai-sdk', scopes: [], keys: ['ai.operationId', 'ai.telemetry.', 'ai.settings.'], tag: 'experimental_telemetry: { isEnabled: true, metadata: { promptName, promptVersion } }; from version 7 runtimeContext: { promptName, promptVersion }' },
  { name: 'LiteLLM', section: 'litellm', scopes: ['litellm'], keys: ['litellm.', 'metadata.spend_logs_metadata'], tag: 'send metadata.spend_logs_metadata: { prompt_name, prompt_version } with the request' },
  { name: 'Braintrust', section: 'braintrust', scopes: ['braintrust'], keys: ['braintrust.'], tag: 'add metadata prompt_name and prompt_version to the span' },
  { name: 'Agenta', section: 'agenta', scopes: ['agenta'], keys: ['ag.'], tag: 'ag.tracing.store_refs({"application.slug": …, "variant.version": …})' },
  { name: 'Datadog', section: 'datadog', scopes: ['ddtrace', 'datadog'], keys: ['_dd.ml_obs.', '_dd.llmobs.'], tag: 'set the attribute _dd.ml_obs.prompt_tracking to JSON: {"id": …, "version": …}' },
  { name: 'MLflow', section: 'mlflow', scopes: ['mlflow'], keys: ['mlflow.'], tag: 'load the prompt with mlflow.genai.load_prompt("prompts:/NAME/VERSION") inside the trace' },
  { name: 'Google ADK', section: 'google-adk', scopes: ['gcp.vertex.agent'], keys: ['gcp.vertex.agent.'], tag: 'set gen_ai.prompt.name and gen_ai.prompt.version on a span above, or as baggage' },
  { name: 'Strands', section: 'strands', scopes: ['strands'], keys: ['strands.'], tag: 'Agent(trace_attributes={"gen_ai.prompt.name": …, "gen_ai.prompt.version": …})' },
  { name: 'Semantic Kernel', section: 'semantic-kernel', scopes: ['semantic_kernel', 'Microsoft.SemanticKernel'], keys: ['semantic_kernel.'], tag: 'set gen_ai.prompt.name and gen_ai.prompt.version on a span above, or as baggage' },
  { name: 'Spring AI', section: 'spring-ai', scopes: ['org.springframework'], keys: ['spring.ai.'], tag: 'add gen_ai.prompt.name and gen_ai.prompt.version as key values of the observation' },
  { name: 'pydantic-ai', section: 'pydantic-ai-and-logfire', scopes: ['pydantic-ai', 'logfire'], keys: ['logfire.', 'pydantic_ai.'], tag: 'with logfire.set_baggage(**{"gen_ai.prompt.name": …, "gen_ai.prompt.version": …}) around the run' },
  { name: 'Genkit', section: 'genkit', scopes: ['genkit-tracer'], keys: ['genkit:'], tag: 'in the flow: setCustomMetadataAttributes({ promptName, promptVersion, sessionId }) from genkit/tracing' },
  { name: 'VoltAgent', section: 'voltagent', scopes: ['@voltagent/'], keys: ['voltagent.'], tag: 'give instructions with metadata: { name, version }, as its prompt management does; or tag a span above the agent' },
  { name: 'Claude Code', section: 'coding-agents', scopes: ['com.anthropic.claude_code'], keys: [], tag: 'OTEL_RESOURCE_ATTRIBUTES="gen_ai.prompt.name=…,gen_ai.prompt.version=…": it writes them on every span and event' },
  { name: 'Gemini CLI', section: 'coding-agents', scopes: ['gemini-cli'], keys: [], tag: 'OTEL_RESOURCE_ATTRIBUTES="gen_ai.prompt.name=…,gen_ai.prompt.version=…": its log events have them, and a span takes them from its event' },
  { name: 'Codex', section: 'coding-agents', scopes: ['codex'], keys: [], tag: 'in config.toml: [otel.span_attributes] with "gen_ai.prompt.name" and "gen_ai.prompt.version"; its events take them from OTEL_RESOURCE_ATTRIBUTES' },
  { name: 'LlamaIndex', section: 'llamaindex', scopes: ['llamaindex.'], keys: [], tag: 'set gen_ai.prompt.name and gen_ai.prompt.version on a span above, or as baggage' },
  { name: 'Haystack', section: 'haystack', scopes: [], keys: ['haystack.'], tag: 'set gen_ai.prompt.name and gen_ai.prompt.version on a span above pipeline.run; model and tokens need HAYSTACK_CONTENT_TRACING_ENABLED=true' },
  { name: 'AG2', section: 'ag2', scopes: ['opentelemetry.instrumentation.ag2'], keys: ['ag2.'], tag: 'TelemetryMiddleware(span_attributes={"gen_ai.prompt.name": …, "gen_ai.prompt.version": …})' },
  { name: 'Mirascope', section: 'mirascope', scopes: ['mirascope.'], keys: ['mirascope.'], tag: '@ops.version(name=…) on the function; or gen_ai.prompt.name and gen_ai.prompt.version on a span above' },
  { name: 'Langtrace', section: 'langtrace', scopes: ['langtrace_python_sdk', '@langtrase/'], keys: ['langtrace.'], tag: 'inject_additional_attributes(call, {"prompt_name": …, "prompt_version": …})' },
  { name: 'traceAI', section: 'traceai', scopes: ['traceai', '@traceai/'], keys: [], tag: 'with using_attributes(prompt_template_version=…, metadata={"prompt_name": …}) around the call' },
  { name: 'Pipecat', section: 'voice-agents', scopes: ['pipecat'], keys: [], tag: 'PipelineTask(additional_span_attributes={"gen_ai.prompt.name": …, "gen_ai.prompt.version": …})' },
  { name: 'LiveKit Agents', section: 'voice-agents', scopes: ['livekit'], keys: ['lk.'], tag: 'start the session within a span that has gen_ai.prompt.name and gen_ai.prompt.version' },
  { name: 'Laminar', section: 'laminar', scopes: ['lmnr', '@lmnr-ai/'], keys: ['lmnr.'], tag: '@observe(metadata={"prompt_name": …, "prompt_version": …}) around the call' },
  { name: 'Mastra', section: 'mastra', scopes: ['@mastra/'], keys: ['mastra.'], tag: 'agent.generate(…, { tracingOptions: { metadata: { promptName, promptVersion } } })' },
  { name: 'OpenLIT', section: 'openlit', scopes: ['openlit'], keys: ['openlit.'], tag: 'with openlit.using_attributes({"gen_ai.prompt.name": …, "gen_ai.prompt.version": …}) around the call' },
  { name: 'OpenInference', section: 'openinference', scopes: ['openinference'], keys: ['openinference.'], tag: 'with using_attributes(prompt_template_version=…, metadata={"prompt_name": …}) around the call' },
  { name: 'LangWatch', section: 'langwatch', scopes: ['langwatch'], keys: ['langwatch.'], tag: '@langwatch.trace(metadata={"prompt_name": …, "prompt_version": …}); prompts of its registry tag the call' },
  { name: 'Traceloop', section: 'traceloop', scopes: ['traceloop', '@traceloop/', 'opentelemetry.instrumentation.openai.v', 'opentelemetry.instrumentation.bedrock', 'opentelemetry.instrumentation.groq', 'opentelemetry.instrumentation.ollama', 'opentelemetry.instrumentation.litellm'], keys: ['traceloop.', 'llm.request.type'], tag: 'get_prompt(key=…) tags it; else Traceloop.set_association_properties({"prompt_name": …, "prompt_version": …})' },
];

const OPENTELEMETRY: Sdk = {
  name: 'OpenTelemetry',
  section: 'opentelemetry',
  tag: 'set the attributes gen_ai.prompt.name and gen_ai.prompt.version on the call or on any span above it, or carry them as baggage',
};

/** Null where nothing on the span has to do with a language model. */
export function sdkOf({ scope, span, resource }: SpanSubject): Sdk | null {
  const keys = [...span.attributes.keys()].slice(0, MAX_KEYS);
  // The AI SDK's tracers are called "ai" (to 6) and "gen_ai" (7): too short to be beginnings.
  if (scope.name === 'ai' || scope.name === 'gen_ai') return sdkNamed('Vercel AI SDK');
  if (resource.get('telemetry.sdk.name') === 'openlit') return sdkNamed('OpenLIT');
  const known = sdkOfScope(scope.name) ?? SDKS.find((sdk) => sdk.keys.some((beginning) => keys.some((key) => key.startsWith(beginning))));
  return known ?? (keys.some((key) => OF_A_MODEL.test(key)) ? OPENTELEMETRY : null);
}

/** Who writes under this scope, where the scope tells. */
export function sdkOfScope(scope: string): Sdk | null {
  return SDKS.find(({ scopes }) => scopes.some((beginning) => scope.startsWith(beginning))) ?? null;
}

const MAX_KEYS = 1_000;
/** Not prompt, conversation or agent: an application sets those on spans of its own. */
const OF_A_MODEL = /^(?:llm\.|gen_ai\.(?:system|provider|operation|request|response|usage)\b)/;

function sdkNamed(name: string): Sdk | null {
  return SDKS.find((sdk) => sdk.name === name) ?? null;
}

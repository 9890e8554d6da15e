import type { PromptVersionSource } from '../../schemas/call.ts';
import type { TagKeys } from '../../schemas/tag-keys.ts';
import type { Attributes } from '../../schemas/otlp.ts';
import { agentaPrompt } from './agenta.ts';
import { agreed, orAssigned } from './agreement.ts';
import { datadogPrompt } from './datadog.ts';
import type { FeatureFlags } from './feature-flags.ts';
import { genkitPrompt } from './genkit.ts';
import { humanloopPrompt } from './humanloop.ts';
import type { SpanSource } from './index.ts';
import { langfusePrompt } from './langfuse.ts';
import { langsmithPrompt } from './langsmith.ts';
import { langWatchMetadata, langWatchPrompt } from './langwatch.ts';
import { litellmPrompt, litellmSession } from './litellm.ts';
import { metadataPrompt } from './metadata.ts';
import { mirascopePrompt } from './mirascope.ts';
import { mlflowPrompt } from './mlflow.ts';
import { openInferencePrompt } from './openinference.ts';
import { hubPrompt } from './openlit.ts';
import { promptfooPrompt } from './promptfoo.ts';
import { promptLayerPrompt } from './promptlayer.ts';
import { logfirePrompt } from './pydantic-ai.ts';
import { traceAiPrompt } from './traceai.ts';
import { traceloopPrompt } from './traceloop.ts';
import { firstText, text } from './values.ts';
import { vercelAiLangfusePrompt } from './vercel-ai-legacy.ts';

/**
 * Who asked, and with which prompt. These keys stand on any span (the application's own, a wrapper, the call) whatever
 * library wrote it, because baggage copies them; so they are read on every span, by lists that all dialects share.
 */
export type PromptTags = {
  readonly prompt_name: string | null;
  /** As on the wire: that a text such as "prod" is a label and no version is seen in one place, `agreement.ts`. */
  readonly prompt_version: string | null;
  readonly prompt_version_source: PromptVersionSource;
  readonly prompt_label: string | null;
  /** `ambiguous`: the span names several prompts, and nothing says which one this is. */
  readonly prompt_attribution: 'direct' | 'ambiguous' | 'none';
  /** The name is an id of the library's: it names the prompt where nothing better does, and contradicts no name. */
  readonly name_is_id?: boolean;
};

/** Reads one library's pair of prompt keys. Null where the span has none of them. */
export type PromptReader = (attributes: Attributes, flags: Set<string>) => PromptTags | null;

/** On an MCP span `gen_ai.prompt.name` is the template that is fetched, not the prompt of a call. */
const otelPrompt: PromptReader = (attributes, flags) => {
  if (attributes.has('mcp.method.name')) return null;
  const stated = text(attributes.get('gen_ai.prompt.name'), flags);
  // Gemini CLI numbers what its user types, from the id of the session.
  const name = stated !== null && isIdOfTurn(stated, attributes) ? null : stated;
  const version = text(attributes.get('gen_ai.prompt.version'), flags);
  return name === null && version === null ? null : { prompt_name: name, prompt_version: version, prompt_version_source: version === null ? 'none' : 'explicit', prompt_label: null, prompt_attribution: 'direct' };
};

function isIdOfTurn(name: string, attributes: Attributes): boolean {
  const conversation = attributes.get('gen_ai.conversation.id') ?? attributes.get('session.id');
  return typeof conversation === 'string' && conversation.length >= UUID_CHARACTERS && name.startsWith(conversation);
}

const UUID_CHARACTERS = 36;

/** In the order of trust: the first that has a value is kept, name and version together; the others may only agree (`agreement.ts`). */
const promptReaders: readonly PromptReader[] = [
  otelPrompt,
  langfusePrompt,
  promptLayerPrompt,
  traceloopPrompt,
  logfirePrompt,
  mlflowPrompt,
  datadogPrompt,
  agentaPrompt,
  vercelAiLangfusePrompt,
  langsmithPrompt,
  openInferencePrompt,
  humanloopPrompt,
  langWatchPrompt,
  traceAiPrompt,
  mirascopePrompt,
  genkitPrompt,
  hubPrompt,
  litellmPrompt,
  promptfooPrompt,
  metadataPrompt,
];

const SESSION = [
  'gen_ai.conversation.id',
  'session.id',
  'langfuse.session.id',
  'langsmith.metadata.thread_id',
  'langsmith.metadata.session_id',
  'langsmith.metadata.conversation_id',
  'ai.telemetry.metadata.sessionId',
  'ai.telemetry.metadata.session_id',
  'ai.settings.context.sessionId',
  'ai.settings.context.session_id',
  'litellm.metadata.session_id',
  'gcp.vertex.agent.session_id',
  'ag.session.id',
  'weave.conversation.id',
  'wandb.thread_id',
  'genkit:sessionId',
  'genkit:metadata:sessionId',
  'spring.ai.chat.client.conversation.id',
  'langwatch.thread.id',
  'langwatch.session.id',
  'voltagent.conversation_id',
  'mirascope.ops.session.id',
  'traceloop.association.properties.session_id',
  'traceloop.association.properties.sessionId',
  'traceloop.association.properties.conversation_id',
  'traceloop.association.properties.conversationId',
  'traceloop.association.properties.thread_id',
  'traceloop.association.properties.threadId',
  'traceloop.association.properties.chat_id',
  'traceloop.association.properties.chatId',
  'lmnr.association.properties.session_id',
  'mastra.metadata.threadId',
  'mastra.metadata.sessionId',
  'mlflow.trace.session',
  'promptlayer.metadata.session_id',
  'conversation.id',
];
const USER = [
  'user.id',
  'langfuse.user.id',
  'enduser.id',
  'langsmith.metadata.user_id',
  'ai.telemetry.metadata.userId',
  'ai.telemetry.metadata.user_id',
  'ai.settings.context.userId',
  'ai.settings.context.user_id',
  'litellm.end_user.id',
  'llm.user',
  'ag.user.id',
  'ag.meta.userId',
  'langwatch.user.id',
  'genkit:metadata:userId',
  'traceloop.association.properties.user_id',
  'traceloop.association.properties.userId',
  'lmnr.association.properties.user_id',
  'mastra.metadata.userId',
  'mlflow.trace.user',
  'promptlayer.metadata.user_id',
];
const ENVIRONMENT = ['langfuse.environment', 'deployment.environment.name', 'deployment.environment', 'langsmith.metadata.environment'];

/** Reads the tags of a span. */
export type TagReader = {
  prompt(project: string, source: SpanSource): PromptTags;
  session(source: SpanSource): string | null;
  /** The raw id, which must not leave the analyzer: `normalise.ts` hashes it. */
  user(source: SpanSource): string | null;
};

/** @param own a project's own attribute names, which win over all that are known here. */
export function createTagReader(own: TagKeys, featureFlags: FeatureFlags): TagReader {
  const ownPrompt = own.prompt_name.length + own.prompt_version.length + own.prompt_label.length > 0 ? ownPromptReader(own) : null;
  return {
    prompt(project, source) {
      const { attributes } = source.span;
      const tags = agreed(ownPrompt?.(source) ?? null, promptReaders, attributes, source.flags);
      return orAssigned(tags, featureFlags.promptOf(project, source.span), source.flags);
    },
    session: (source) => ownText(own.session, source) ?? knownSession(source.span.attributes, source.flags),
    user: (source) => ownText(own.user, source) ?? firstText(source.span.attributes, USER, source.flags) ?? langWatchMetadata(source.span.attributes, 'user_id', source.flags),
  };
}

/** Spring AI puts every conversation that the application gave no id into one called "default". */
function knownSession(attributes: Attributes, flags: Set<string>): string | null {
  const session = firstText(attributes, SESSION, flags) ?? langWatchMetadata(attributes, 'thread_id', flags) ?? litellmSession(attributes, flags);
  return session === 'default' && attributes.has('spring.ai.chat.client.conversation.id') ? null : session;
}

/** A project's own keys are looked for on the span, then on its resource: a service may run one version of one prompt, and say so there. */
function ownText(keys: readonly string[], { span, resource, flags }: SpanSource): string | null {
  return keys.length === 0 ? null : (firstText(span.attributes, keys, flags) ?? firstText(resource, keys, flags));
}

function ownPromptReader(own: TagKeys): (source: SpanSource) => PromptTags | null {
  return (source) => {
    const prompt_name = ownText(own.prompt_name, source);
    const prompt_version = ownText(own.prompt_version, source);
    const prompt_label = ownText(own.prompt_label, source);
    if (prompt_name === null && prompt_version === null && prompt_label === null) return null;
    return { prompt_name, prompt_version, prompt_version_source: prompt_version === null ? 'none' : 'explicit', prompt_label, prompt_attribution: 'direct' };
  };
}

/** "default" where nobody says: then all of the project's traffic is one environment. */
export function environmentOf(attributes: Attributes, resource: Attributes, flags: Set<string>): string {
  return firstText(attributes, ENVIRONMENT, flags) ?? firstText(resource, ENVIRONMENT, flags) ?? text(attributes.get('gen_ai.environment'), flags) ?? 'default';
}

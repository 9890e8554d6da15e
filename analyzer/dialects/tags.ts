import type { PromptVersionSource } from '../../schemas/call.ts';
import type { Attributes } from '../../schemas/otlp.ts';
import { humanloopPrompt } from './humanloop.ts';
import { langfusePrompt } from './langfuse.ts';
import { langsmithPrompt } from './langsmith.ts';
import { litellmPrompt } from './litellm.ts';
import { mlflowPrompt } from './mlflow.ts';
import { openInferencePrompt } from './openinference.ts';
import { hubPrompt, openLitPrompt } from './openlit.ts';
import { promptfooPrompt } from './promptfoo.ts';
import { promptLayerPrompt } from './promptlayer.ts';
import { logfirePrompt } from './pydantic-ai.ts';
import { traceloopPrompt } from './traceloop.ts';
import { firstText, text } from './values.ts';
import { vercelAiLangfusePrompt } from './vercel-ai-legacy.ts';

/**
 * Who asked, and with which prompt. These keys stand on any span (the application's own, a wrapper, the call) whatever
 * library wrote it, because baggage copies them; so they are read on every span, by lists that all dialects share.
 */
export type PromptTags = {
  readonly prompt_name: string | null;
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
  const name = text(attributes.get('gen_ai.prompt.name'), flags);
  const version = text(attributes.get('gen_ai.prompt.version'), flags);
  return name === null && version === null ? null : { prompt_name: name, prompt_version: version, prompt_version_source: sourceOf(version), prompt_label: null, prompt_attribution: 'direct' };
};

/** First that has a value wins; name and version always come from the same reader. */
const promptReaders: readonly PromptReader[] = [
  otelPrompt,
  langfusePrompt,
  promptLayerPrompt,
  traceloopPrompt,
  logfirePrompt,
  mlflowPrompt,
  vercelAiLangfusePrompt,
  langsmithPrompt,
  openInferencePrompt,
  humanloopPrompt,
  hubPrompt,
  litellmPrompt,
  openLitPrompt,
  promptfooPrompt,
];

const NO_TAGS: PromptTags = { prompt_name: null, prompt_version: null, prompt_version_source: 'none', prompt_label: null, prompt_attribution: 'none' };

export function promptTags(attributes: Attributes, flags: Set<string>): PromptTags {
  for (const read of promptReaders) {
    const tags = read(attributes, flags);
    if (tags !== null) return tags;
  }
  return NO_TAGS;
}

/** Names that are moved from one version to the next: the conventions themselves give "prod" as an example of a version. */
const LABELS: ReadonlySet<string> = new Set(['prod', 'production', 'latest', 'canary', 'staging', 'dev', 'development', '<code_default>']);

/** A label stays the version text that was sent, but is marked as one, because it may mean another prompt tomorrow. */
function sourceOf(version: string | null): PromptVersionSource {
  if (version === null) return 'none';
  return LABELS.has(version.toLowerCase()) ? 'label' : 'explicit';
}

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
  'traceloop.association.properties.session_id',
  'traceloop.association.properties.sessionId',
  'mlflow.trace.session',
  'promptlayer.metadata.session_id',
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
  'traceloop.association.properties.user_id',
  'traceloop.association.properties.userId',
  'mlflow.trace.user',
  'promptlayer.metadata.user_id',
];
const ENVIRONMENT = ['langfuse.environment', 'deployment.environment.name', 'deployment.environment', 'langsmith.metadata.environment'];

export function sessionOf(attributes: Attributes, flags: Set<string>): string | null {
  return firstText(attributes, SESSION, flags);
}

/** The raw id, which must not leave the analyzer: `normalise.ts` hashes it. */
export function userOf(attributes: Attributes, flags: Set<string>): string | null {
  return firstText(attributes, USER, flags);
}

/** "default" where nobody says: then all of the project's traffic is one environment. */
export function environmentOf(attributes: Attributes, resource: Attributes, flags: Set<string>): string {
  return firstText(attributes, ENVIRONMENT, flags) ?? firstText(resource, ENVIRONMENT, flags) ?? text(attributes.get('gen_ai.environment'), flags) ?? 'default';
}

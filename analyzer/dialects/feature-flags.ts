import type { Attributes, OtlpLogRecord, OtlpSpan } from '../../schemas/otlp.ts';
import { createGenerations } from '../ingest/generations.ts';
import type { PromptTags } from './tags.ts';
import { firstText, text } from './values.ts';

/**
 * Feature flags that pick a prompt's version: `feature_flag.evaluation` (OpenTelemetry semantic conventions, "Feature flag events"),
 * as an event on the span in which the flag was evaluated, or as a log record that names this span. Which flag belongs to
 * which prompt is configured; the variant is the version.
 *
 * A log record is mostly here before its span is: a span is sent when it has ended, and the flag was evaluated before that. One that comes
 * later says so (`Assignment`), and what is stored already is corrected (ingest/late-flags.ts).
 */
export type FeatureFlags = {
  /** Null where the record is no evaluation; `assignment` is null where no configured flag has a variant, or no span is named. */
  learn(project: string, record: OtlpLogRecord): { readonly assignment: Assignment | null } | null;
  /** What the flags say of this span. Null: nothing. `ambiguous` where they speak of several prompts, or of several variants. */
  promptOf(project: string, span: OtlpSpan): PromptTags | null;
};

/** All that logged flags have said of a span so far. */
export type Assignment = { readonly project: string; readonly trace_id: string; readonly span_id: string; readonly prompt: PromptTags };

const EVALUATION = 'feature_flag.evaluation';
/** Up to semantic conventions 1.31, on spans only. */
const OLD_EVALUATION = 'feature_flag';
const VARIANT = ['feature_flag.result.variant', 'feature_flag.variant'];

/**
 * @param prompts the prompt's name, by flag key.
 * @param capacity spans whose records are remembered, in each of two generations.
 */
export function createFeatureFlags(prompts: ReadonlyMap<string, string>, capacity: number): FeatureFlags {
  const recorded = createGenerations<string, PromptTags>(capacity);
  const isUsed = prompts.size > 0;

  const readEvaluation = (attributes: Attributes): PromptTags | null => {
    const flags = new Set<string>();
    const prompt_name = prompts.get(text(attributes.get('feature_flag.key'), flags) ?? '');
    const prompt_version = firstText(attributes, VARIANT, flags);
    if (prompt_name === undefined || prompt_version === null) return null;
    return { prompt_name, prompt_version, prompt_version_source: 'explicit', prompt_label: null, prompt_attribution: 'direct' };
  };

  return {
    learn(project, record) {
      if (record.event_name !== EVALUATION) return null;
      const { trace_id, span_id } = record;
      if (!isUsed || trace_id === null || span_id === null) return { assignment: null };
      const attributes = record.body instanceof Map ? new Map([...record.body, ...record.attributes]) : record.attributes;
      const key = keyOf(project, trace_id, span_id);
      const prompt = both(recorded.get(key) ?? null, readEvaluation(attributes));
      if (prompt === null) return { assignment: null };
      recorded.set(key, prompt);
      return { assignment: { project, trace_id, span_id, prompt } };
    },
    promptOf(project, span) {
      if (!isUsed) return null;
      let said = recorded.get(keyOf(project, span.trace_id, span.span_id)) ?? null;
      for (const event of span.events) {
        if (event.name === EVALUATION || event.name === OLD_EVALUATION) said = both(said, readEvaluation(event.attributes));
      }
      return said;
    },
  };
}

function keyOf(project: string, trace_id: string, span_id: string): string {
  return `${project}\0${trace_id}\0${span_id}`;
}

function both(first: PromptTags | null, second: PromptTags | null): PromptTags | null {
  if (first === null || second === null) return first ?? second;
  const isSame = first.prompt_name === second.prompt_name && first.prompt_version === second.prompt_version;
  return isSame ? first : { ...first, prompt_attribution: 'ambiguous' };
}

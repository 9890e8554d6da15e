import type { Attributes, OtlpLogRecord, OtlpSpan } from '../../schemas/otlp.ts';
import { createGenerations } from '../ingest/generations.ts';
import type { PromptTags } from './tags.ts';
import { firstText, text } from './values.ts';

/**
 * Feature flags that pick a prompt's version: `feature_flag.evaluation` (OpenTelemetry semantic conventions, "Feature flag events"),
 * as an event on the span in which the flag was evaluated, or as a log record that names this span. Which flag belongs to
 * which prompt is configured; the variant is the version.
 *
 * A log record counts for its span if it is here before the span is. Mostly it is: a span is sent when it has ended, and the flag was
 * evaluated before that. One that comes later changes nothing.
 */
export type FeatureFlags = {
  /** True where the record is an evaluation, of a configured flag or not. */
  learn(project: string, record: OtlpLogRecord): boolean;
  /** What the flags say of this span. Null: nothing. `ambiguous` where they speak of several prompts, or of several variants. */
  promptOf(project: string, span: OtlpSpan): PromptTags | null;
};

const EVALUATION = 'feature_flag.evaluation';
/** Up to semantic conventions 1.31, on spans only. */
const OLD_EVALUATION = 'feature_flag';
const VARIANT = ['feature_flag.result.variant', 'feature_flag.variant'];

/**
 * @param prompts the prompt's name, by flag key.
 * @param capacity spans whose records are remembered, in each of two generations.
 */
export function createFeatureFlags(prompts: ReadonlyMap<string, string>, capacity: number): FeatureFlags {
  const recorded = createGenerations<PromptTags>(capacity);
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
      if (record.event_name !== EVALUATION) return false;
      if (!isUsed || record.trace_id === null || record.span_id === null) return true;
      const attributes = record.body instanceof Map ? new Map([...record.body, ...record.attributes]) : record.attributes;
      const key = keyOf(project, record.trace_id, record.span_id);
      const said = both(recorded.get(key) ?? null, readEvaluation(attributes));
      if (said !== null) recorded.set(key, said);
      return true;
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

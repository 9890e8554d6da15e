import type { Dialect } from './index.ts';
import { classify } from './operations.ts';
import { inferenceOf } from './otel-genai.ts';
import { text } from './values.ts';
import { isWrapper, wrapper } from './wrapper.ts';

/**
 * The spans that Anthropic's own SDK writes since 2.0, beside those of whatever library instruments it. They follow the newest
 * conventions, but for the reason why the model stopped; helpers around a call (counting tokens, sessions) name no operation.
 */
const SCOPE = 'com.anthropic.sdk.';

export const anthropicSdk: Dialect = {
  name: 'anthropic_sdk',
  matches: ({ scope }) => scope.name.startsWith(SCOPE),
  read(source) {
    const { span, flags } = source;
    const operation = classify(span, flags);
    if (operation.kind === 'relative') return isWrapper(operation.reason) ? wrapper(operation.reason, inferenceOf(source, 'invoke_agent')) : operation;
    const told = inferenceOf(source, operation.name);
    return {
      kind: 'inference',
      inference: {
        ...told,
        finish_reason: told.finish_reason ?? text(span.attributes.get('anthropic.message.stop_reason'), flags),
        // The SDK adds the cached tokens to what the API returns.
        usage: { ...told.usage, cache_counting: 'inclusive' },
      },
    };
  },
};

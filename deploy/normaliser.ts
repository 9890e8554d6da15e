import { createNormaliser, type Normaliser } from '../analyzer/normalise.ts';
import { createContentKeeper } from '../analyzer/signals/content.ts';
import type { Config } from '../schemas/config.ts';
import { scoreLabelsFor } from '../schemas/metric-settings.ts';
import { createRedaction } from '../schemas/redaction.ts';

/** Of the input and of the output of a call, each. */
const MAX_CONTENT_BYTES = 256 * 1024;

/** The reader of spans as the configuration wants it: the same for a server, a replay and an inspection. */
export function createNormaliserFor(config: Config): Normaliser {
  const { content: mode, redact, strata, factors } = config;
  return createNormaliser({
    stratumAttributes: strata.attributes,
    factorAttributes: factors.attributes,
    keys: config.keys,
    featureFlags: config.feature_flags,
    labels: (name) => scoreLabelsFor(config, name),
    ...(mode === 'off' ? {} : { keepContent: createContentKeeper({ mode, redact: createRedaction(redact), maxTextBytes: MAX_CONTENT_BYTES }) }),
  });
}

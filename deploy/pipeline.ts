import { DEFAULT_LIMITS } from '../analyzer/ingest/cardinality.ts';
import { createIngest, type Ingest, type IngestDependencies } from '../analyzer/ingest/ingest.ts';
import { createLook, type Look } from '../analyzer/look/look.ts';
import { faultKinds } from '../analyzer/self/index.ts';
import { createRollUp, DEFAULT_ROLL_UP, type RollUp } from '../analyzer/roll-up/roll-up.ts';
import { createSelfWatch, type SelfWatch } from '../analyzer/self/self-watch.ts';
import { decode } from '../collector/otlp/decode.ts';
import { publicUrlOf, type Config } from '../schemas/config.ts';
import { metricSettingsFor, promptSettingsFor, scoreTypeFor } from '../schemas/metric-settings.ts';
import type { Store } from '../schemas/store.ts';
import { createNormaliserFor } from './normaliser.ts';
import type { ServerDependencies } from './running.ts';

/** The analyzer's two loops, its roll-up and its watch over itself, over one store, set up from the configuration: the same for a server, a replay and a test. */

/** How often it looks for faults of its own, and for hours to roll up. */
export const SELF_WATCH_MS = 10_000;
export const ROLL_UP_MS = 15_000;

/** What is remembered of spans and calls, over all shards of a process. */
const REMEMBERED_SPANS = 100_000;
const REMEMBERED_CALLS = 25_000;
const LEAST_REMEMBERED = 5_000;

/** @param of the shard of the log, and how many share this process's memory. Default: all of the log. */
export function createIngestFor(store: Store, config: Config, of?: { readonly shard: number; readonly sharedBy: number }, heeds: Pick<IngestDependencies, 'beforeRevising' | 'flagged'> = {}): Ingest {
  const normaliser = createNormaliserFor(config);
  const share = (whole: number): number => Math.max(LEAST_REMEMBERED, Math.floor(whole / (of?.sharedBy ?? 1)));
  return createIngest(
    { store, decode, normaliser, ...heeds },
    {
      resolveWaitMs: config.resolve_wait_s * 1000,
      maxWaiting: 50_000,
      rememberedSpans: share(REMEMBERED_SPANS),
      rememberedCalls: share(REMEMBERED_CALLS),
      scoreType: (name) => scoreTypeFor(config, name),
      ...(of === undefined ? {} : { shard: of.shard }),
    },
  );
}

export function createLookFor(store: Store, config: Config, settings: { readonly slotsPerRead: number }): Look {
  return createLook(
    { store },
    {
      owner: 'embedded',
      alpha: config.alpha,
      sessionWindowS: config.session_window_s,
      publicUrl: publicUrlOf(config),
      slotsPerRead: settings.slotsPerRead,
      factorAttributes: config.factors.attributes,
      mix: config.mix,
      promptPolicy: (prompt) => promptSettingsFor(config, prompt),
      metricPolicy: (prompt) => (name, kind) => metricSettingsFor(config, prompt, name, kind === 'boolean' ? 'rate' : 'score'),
    },
  );
}

export function createSelfWatchFor(store: Store, config: Config, startedMs: number): SelfWatch {
  return createSelfWatch({ store }, { kinds: faultKinds(DEFAULT_LIMITS), project: config.project, publicUrl: publicUrlOf(config), startedMs });
}

export function createRollUpFor(store: Store, { retention }: Pick<Config, 'retention'>, deps: Pick<ServerDependencies, 'clock' | 'random'>): RollUp {
  return createRollUp({ store, ...deps }, { ...DEFAULT_ROLL_UP, rowsDays: retention.calls_days, cellsDays: retention.cells_days });
}

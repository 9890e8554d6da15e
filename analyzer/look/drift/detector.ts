import { derivedId } from '../../../schemas/derived-id.ts';
import type { ComparisonSettings } from '../../../schemas/evidence.ts';
import type { AlertRecord } from '../alert-record.ts';
import type { ComparisonIdentity } from '../comparison.ts';
import type { Bystander, Culprit } from './alert.ts';
import { readingOf, seriesName, seriesOf, type Series } from './series.ts';
import type { PromptKey } from '../observations.ts';
import { merged, type Place, type Pulse } from './pulse.ts';
import type { MetricPolicy } from '../references.ts';
import { SLOT_MS, slotStartMs } from '../../slots.ts';
import { addRatio, advanceDrift, driftEvidence, isGrouped, leftOutWith, noDrift, type DriftState } from '../../statistics/drift.ts';

/** One request model, or one provider with all its models, watched over all prompts. */
export type Detector = {
  readonly identity: ComparisonIdentity;
  state: DetectorSnapshot;
  /** By metric, prompt, model and route. */
  series: ReadonlyMap<string, Series>;
  /** Metrics that two prompts (and, of a provider, two models) at least have a reference of, and whether prompts are left out in groups. */
  watched: readonly string[];
  isGrouped: boolean;
  /** Who serves the model. */
  providers: ReadonlySet<string>;
  record: AlertRecord | null;
  /** What crossed in the slot that was fed last. */
  crossed: readonly { readonly metric: string; readonly e_value: number }[];
};

export type Claim = { readonly slot: number; readonly found: Culprit; readonly seen: readonly PromptKey[]; readonly heard: readonly string[]; readonly onsetMs: number; readonly own: readonly Bystander[]; readonly shared: readonly Bystander[] };

export type DetectorSnapshot = {
  readonly slot: number;
  readonly met_slot: number;
  readonly seen_slot: number;
  /** The reference is the hour before this slot, less its last five minutes. */
  readonly reference_slot: number | null;
  /** R is 0 at the beginning of this slot. */
  readonly since_slot: number;
  readonly crossed_slot: number | null;
  /** The comparison that the last alert is about: each is one of its own, so that its evidence stays what it was. */
  readonly alarm_id: string | null;
  /** Of the last alert, what it was judged from: what is seen to have changed in the same minutes may only come to be known after it. */
  readonly claim: Claim | null;
  readonly states: Readonly<Record<string, DriftState>>;
  /** Of a provider: the same with models left out. */
  readonly model_states: Readonly<Record<string, DriftState>>;
};

export const placeOf = ({ identity }: Pick<Detector, 'identity'>): Place => ({ project: identity.project, environment: identity.environment, by: isOfProvider({ identity }) ? 'provider' : 'model', of: identity.candidate });

export const isOfProvider = ({ identity }: Pick<Detector, 'identity'>): boolean => identity.factor === 'provider';

export const detectorName = ({ project, environment, by, of }: Place): string => `${project}\0${environment}\0${by}\0${of}`;

/** Where a pulse is watched. */
export function placesOf({ project, environment, request_model, provider }: Pulse): Place[] {
  const place = { project, environment };
  const ofModel: Place = { ...place, by: 'model', of: request_model };
  return provider === '' || provider === 'unknown' ? [ofModel] : [ofModel, { ...place, by: 'provider', of: provider }];
}

export function createDetector(place: Place, slot: number): Detector {
  const { project, environment, by, of } = place;
  const named = by === 'provider' ? [project, environment, 'drift', 'provider', of] : [project, environment, 'drift', of];
  const comparison_id = derivedId('cmp', JSON.stringify(named));
  const identity: ComparisonIdentity = { comparison_id, project, environment, prompt_name: '', factor: by, baseline: of, candidate: of, epoch: 0 };
  return restoreDetector(identity, { slot: slot - 1, met_slot: slot, seen_slot: slot, reference_slot: null, since_slot: slot, crossed_slot: null, alarm_id: null, claim: null, states: {}, model_states: {} }, null);
}

export function restoreDetector(identity: ComparisonIdentity, state: DetectorSnapshot, record: AlertRecord | null): Detector {
  return { identity, state, series: new Map(), watched: [], isGrouped: false, providers: new Set(), record, crossed: [] };
}

/** Takes the pulse of an hour for what is usual. */
export function learn(detector: Detector, earlier: readonly Pulse[], policyFor: (prompt: string) => MetricPolicy): void {
  detector.series = seriesOf(earlier, policyFor);
  const series = [...detector.series.values()];
  const several = (nameOf: (one: Series) => string, metric: string): boolean => new Set(series.filter((one) => one.metric === metric).map(nameOf)).size > 1;
  const metrics = [...new Set(series.map(({ metric }) => metric))].sort();
  detector.watched = metrics.filter((metric) => several(({ prompt_name }) => prompt_name, metric) && (!isOfProvider(detector) || several(({ request_model }) => request_model, metric)));
  detector.isGrouped = isGrouped(new Set(series.map(({ prompt_name }) => prompt_name)).size);
  detector.providers = new Set(earlier.map(({ provider }) => provider));
}

/** One slot. `speaks`: whether the prompt of a pulse may be heard. @param needed evidence that crosses. */
export function step(detector: Detector, slot: number, { pulses, speaks, needed }: { readonly pulses: readonly Pulse[]; readonly speaks: (pulse: Pulse) => boolean; readonly needed: () => number }): void {
  const sums = new Map<string, { readonly prompts: Map<string, number[]>; readonly models: Map<string, number[]> }>();
  for (const pulse of merged(pulses)) {
    const series = detector.series.get(seriesName(pulse));
    if (series === undefined || !speaks(pulse)) continue;
    let ofMetric = sums.get(pulse.metric);
    if (ofMetric === undefined) sums.set(pulse.metric, (ofMetric = { prompts: new Map(), models: new Map() }));
    const ratio = series.ratio(pulse);
    addRatio(ofMetric.prompts, leftOutWith(pulse.prompt_name, detector.isGrouped), ratio);
    addRatio(ofMetric.models, pulse.request_model, ratio);
  }
  const none: ReadonlyMap<string, readonly number[]> = new Map();
  const advanced = (states: Readonly<Record<string, DriftState>>, by: 'prompts' | 'models') =>
    Object.fromEntries(detector.watched.map((metric): [string, DriftState] => [metric, advanceDrift(states[metric] ?? noDrift, sums.get(metric)?.[by] ?? none)]));
  const states = advanced(detector.state.states, 'prompts');
  const model_states = isOfProvider(detector) ? advanced(detector.state.model_states, 'models') : {};
  detector.state = { ...detector.state, slot, seen_slot: pulses.length > 0 ? slot : detector.state.seen_slot, states, model_states };
  if (pulses.length > 0) detector.providers = new Set([...detector.providers, ...pulses.map(({ provider }) => provider)]);
  const least = needed();
  const evidence = (metric: string): number => driftEvidence({ prompts: states[metric] ?? noDrift, models: model_states[metric] ?? noDrift }, isOfProvider(detector) ? 'prompt_or_model' : 'prompt');
  detector.crossed = detector.watched.map((metric) => ({ metric, e_value: evidence(metric) })).filter(({ e_value }) => e_value >= least);
}

export const isOpen = ({ record }: Detector): boolean => {
  const alert = record?.current() ?? null;
  return alert !== null && alert.state !== 'resolved';
};

export type DetectorFile = { readonly identity: ComparisonIdentity; readonly settings: ComparisonSettings; readonly snapshot: DetectorSnapshot };

/** @param threshold mean slots to a false alarm. */
export function fileOf(detector: Detector, { threshold, policy }: { readonly threshold: number; readonly policy: MetricPolicy }): DetectorFile {
  const { identity, state, watched } = detector;
  const metrics = watched.map((metric): [string, ComparisonSettings['metrics'][string]] => {
    const { name, shown } = readingOf(metric, policy);
    return [name, { ...shown, weight: 0, from_slot: state.since_slot, tolerance: 0, severity: 'page', reference: null }];
  });
  return {
    identity,
    settings: {
      alpha: 1 / threshold, stake: 1, slot_seconds: SLOT_MS / 1000, opened_slot: state.met_slot, opened_ms: slotStartMs(state.met_slot), models: [], session_window_s: 0,
      metrics: Object.fromEntries(metrics), reserve: 0, group: '', carried: null, before_after: null, guards: [],
      drift: { since_slot: state.since_slot, is_grouped: detector.isGrouped, leaves_out: isOfProvider(detector) ? 'prompt_or_model' : 'prompt' },
    },
    snapshot: state,
  };
}

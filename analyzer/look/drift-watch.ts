import { createHash } from 'node:crypto';
import type { Alert } from '../../schemas/alert.ts';
import type { ComparisonSettings } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { createAlertRecord, type AlertRecord } from './alert-record.ts';
import type { ComparisonIdentity } from './comparison.ts';
import { driftAlertOf, findDrift, type Bystander } from './drift-alert.ts';
import { readingOf, seriesName, seriesOf, type Series } from './drift-series.ts';
import { loadAlertStates, loadDetectors, type AlertState, type LookRows } from './look-store.ts';
import { bySlot, type PromptKey } from './observations.ts';
import { selectPulse, selectResponseModel, type Pulse } from './pulse.ts';
import { createPulseMemory, HALF_HOUR, UNSETTLED } from './pulse-memory.ts';
import type { MetricPolicy } from './references.ts';
import { SLOT_MS, slotOf, slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';
import { advanceDrift, driftEvidence, isGrouped, leftOutWith, noDrift, type DriftState } from '../statistics/drift.ts';

/**
 * Watches every request model over all prompts that ask for it, each against its own hour before: an outage or a quietly changed model
 * is paged once, as that, with no prompt blamed (`statistics/drift.ts`). A prompt that changed itself within the hour says nothing here.
 */
export type DriftWatch = {
  /** One slot, in order, with the pulse of it. */
  feed(slot: number, pulse: readonly Pulse[]): void;
  conclude(slot: number): Promise<DriftEvent[]>;
  /** The model page that stands over prompts on one of these request models: what they show while it does, and for an hour after, is the model's. */
  pageOver(place: { readonly project: string; readonly environment: string; readonly request_models: readonly string[] }, slot: number): ModelPage | null;
  keep(): void;
  alerted(): readonly string[];
  adopt(states: ReadonlyMap<string, AlertState>): void;
  /** @param next the first slot that is not looked at yet; null: none was. */
  restore(next: number | null): Promise<void>;
};

export type DriftEvent = { readonly kind: 'alert'; readonly slot: number; readonly comparison_id: string; readonly alert: Alert };
export type ModelPage = { readonly alert_id: string; readonly model: string; readonly metric: string };

export type DriftSettings = {
  readonly publicUrl: string;
  readonly metricPolicy: (prompt: string) => MetricPolicy;
  /** What changed on a prompt within the last hour; it cannot speak for its models. */
  readonly changedOn: (prompt: PromptKey, slot: number) => readonly Bystander[];
};

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
  readonly states: Readonly<Record<string, DriftState>>;
};

type Detector = {
  readonly identity: ComparisonIdentity;
  state: DetectorSnapshot;
  /** By metric, prompt and route. */
  series: ReadonlyMap<string, Series>;
  /** Metrics that two prompts at least have a reference of, and whether prompts are left out in groups. */
  watched: readonly string[];
  isGrouped: boolean;
  record: AlertRecord | null;
  /** What crossed in the slot that was fed last. */
  crossed: readonly { readonly metric: string; readonly e_value: number }[];
};

/** Slots in thirty days: at most one false page in that time for each metric of each model, divided among them. */
const SLOTS_PER_MONTH = 30 * SLOTS_PER_DAY;
/** After the last sign of it a drift is over; and so long nothing new is paged. */
const QUIET = SLOTS_PER_HOUR;

export function createDriftWatch(deps: { readonly store: Store; readonly rows: LookRows }, settings: DriftSettings): DriftWatch {
  const { store, rows } = deps;
  const detectors = new Map<string, Detector>();
  const memory = createPulseMemory();
  const nameOf = ({ project, environment, candidate }: Pick<ComparisonIdentity, 'project' | 'environment' | 'candidate'>): string => `${project}\0${environment}\0${candidate}`;
  const placeOf = ({ identity }: Detector): { project: string; environment: string; request_model: string } => ({ project: identity.project, environment: identity.environment, request_model: identity.candidate });

  const isOpen = ({ record }: Detector): boolean => {
    const alert = record?.current() ?? null;
    return alert !== null && alert.state !== 'resolved';
  };

  /** Mean slots to a false alarm that one metric of one model must have. */
  const threshold = (): number => SLOTS_PER_MONTH * Math.max(1, [...detectors.values()].reduce((sum, { watched }) => sum + watched.length, 0));

  const fileOf = ({ identity, state, watched, isGrouped: is_grouped }: Detector): { identity: ComparisonIdentity; settings: ComparisonSettings; snapshot: DetectorSnapshot } => {
    const metrics = watched.map((metric): [string, ComparisonSettings['metrics'][string]] => {
      const { name, shown } = readingOf(metric, settings.metricPolicy(''));
      return [name, { ...shown, weight: 0, from_slot: state.since_slot, tolerance: 0, severity: 'page', reference: null }];
    });
    return {
      identity,
      settings: {
        alpha: 1 / threshold(), stake: 1, slot_seconds: SLOT_MS / 1000, opened_slot: state.met_slot, opened_ms: slotStartMs(state.met_slot), models: [], session_window_s: 0,
        metrics: Object.fromEntries(metrics), reserve: 0, group: '', before_after: null, guards: [], drift: { since_slot: state.since_slot, is_grouped },
      },
      snapshot: state,
    };
  };

  const learn = (detector: Detector, earlier: readonly Pulse[]): void => {
    detector.series = seriesOf(earlier, settings.metricPolicy);
    detector.watched = watchedMetrics(detector.series);
    detector.isGrouped = isGrouped(new Set([...detector.series.values()].map(({ prompt_name }) => prompt_name)).size);
  };

  const greet = (pulse: Pulse, slot: number): Detector => {
    const { project, environment, request_model } = pulse;
    const name = nameOf({ project, environment, candidate: request_model });
    const known = detectors.get(name);
    if (known !== undefined) return known;
    const comparison_id = detectorIdOf(pulse);
    const identity: ComparisonIdentity = { comparison_id, project, environment, prompt_name: '', factor: 'model', baseline: request_model, candidate: request_model, epoch: 0 };
    const state = { slot: slot - 1, met_slot: slot, seen_slot: slot, reference_slot: null, since_slot: slot, crossed_slot: null, alarm_id: null, states: {} };
    const detector: Detector = { identity, state, series: new Map(), watched: [], isGrouped: false, record: null, crossed: [] };
    detectors.set(name, detector);
    return detector;
  };

  const step = (detector: Detector, slot: number, pulses: readonly Pulse[]): void => {
    const ratios = new Map<string, Map<string, number[]>>();
    for (const pulse of pulses) {
      const series = detector.series.get(seriesName(pulse));
      if (series === undefined || settings.changedOn(pulse, slot).length > 0) continue;
      let ofMetric = ratios.get(pulse.metric);
      if (ofMetric === undefined) ratios.set(pulse.metric, (ofMetric = new Map()));
      const leftOut = leftOutWith(pulse.prompt_name, detector.isGrouped);
      const before = ofMetric.get(leftOut);
      ofMetric.set(leftOut, series.ratio(pulse).map((ratio, l) => ratio + (before?.[l] ?? 0)));
    }
    const states = detector.watched.map((metric): [string, DriftState] => [metric, advanceDrift(detector.state.states[metric] ?? noDrift, ratios.get(metric) ?? new Map())]);
    detector.state = { ...detector.state, slot, seen_slot: pulses.length > 0 ? slot : detector.state.seen_slot, states: Object.fromEntries(states) };
    const needed = threshold();
    detector.crossed = states.map(([metric, state]) => ({ metric, e_value: driftEvidence(state) })).filter(({ e_value }) => e_value >= needed);
  };

  const raise = async (detector: Detector, slot: number): Promise<DriftEvent | null> => {
    const { state, crossed } = detector;
    const isQuiet = state.crossed_slot !== null && slot - state.crossed_slot < QUIET;
    if (crossed.length === 0 || isOpen(detector) || isQuiet) return null;
    const range = { from: state.since_slot, to: slot + 1 };
    const place = placeOf(detector);
    const all = await selectPulse(store, range, place);
    const pulses = all.filter((pulse) => settings.changedOn(pulse, pulse.slot).length === 0);
    const finding = findDrift(crossed, pulses, { series: detector.series, range, policy: settings.metricPolicy, alpha: 1 / threshold() });
    if (finding === null) return null;
    const file = fileOf(detector);
    const identity = { ...file.identity, comparison_id: alarmIdOf(detector.identity.comparison_id, slot) };
    rows.comparison({ ...file, identity }, 'closed', 'several prompts moved at once');
    rows.strata(identity.comparison_id, slot, { strata: finding.strata, e_value: finding.e_value, metrics: finding.metrics, controls: null });
    // A name that answers as another model since then is told as that model, not as the name.
    const model = (await selectResponseModel(store, { ...place, from: Math.min(slot, slotOf(finding.onsetMs) + 1), to: slot + 1 })) ?? place.request_model;
    const earlier = await selectResponseModel(store, { ...place, from: Math.max(1, (state.reference_slot ?? slot) - SLOTS_PER_HOUR), to: state.reference_slot ?? slot });
    const seen = [...new Set(all.map(({ prompt_name }) => prompt_name))].sort();
    const bystanders = seen.flatMap((prompt_name) => settings.changedOn({ ...place, prompt_name }, slot));
    const prompts = seen.filter((prompt_name) => settings.changedOn({ ...place, prompt_name }, slot).length === 0);
    const raisedMs = slotStartMs(slot + 1);
    const alert = driftAlertOf({ identity, model, baseline: earlier === null || earlier === model ? 'the hour before' : earlier, finding, prompts, bystanders, raisedMs, publicUrl: settings.publicUrl });
    detector.record = createAlertRecord(rows, identity.comparison_id);
    detector.state = { ...detector.state, alarm_id: identity.comparison_id };
    return { kind: 'alert', slot, comparison_id: identity.comparison_id, alert: detector.record.change(alert, { atMs: raisedMs, reason: 'several prompts moved at once' }) };
  };

  const settle = (detector: Detector, slot: number): DriftEvent | null => {
    const { crossed_slot, alarm_id } = detector.state;
    const alert = detector.record?.current() ?? null;
    if (detector.record === null || alarm_id === null || alert === null || !isOpen(detector) || crossed_slot === null || slot - crossed_slot < QUIET) return null;
    const atMs = slotStartMs(slot + 1);
    const resolved = detector.record.change({ ...alert, state: 'resolved', resolved_at: new Date(atMs).toISOString(), recovery: 'recovered' }, { atMs, reason: 'back to what it was: no sign of it for an hour' });
    return { kind: 'alert', slot, comparison_id: alarm_id, alert: resolved };
  };

  return {
    feed(slot, pulse) {
      memory.record(slot, pulse);
      const seen = new Map<Detector, Pulse[]>();
      for (const each of pulse) {
        const detector = greet(each, slot);
        const pulses = seen.get(detector);
        if (pulses === undefined) seen.set(detector, [each]);
        else pulses.push(each);
      }
      for (const [name, detector] of detectors) {
        detector.crossed = [];
        if (detector.state.slot >= slot) continue;
        if (slot - detector.state.seen_slot > SLOTS_PER_DAY && !isOpen(detector)) {
          rows.comparison(fileOf(detector), 'closed', 'no call for a day');
          detectors.delete(name);
          continue;
        }
        // A reference that holds an outage would call it normal.
        const isDue = slot % SLOTS_PER_HOUR === 0 ? !isOpen(detector) : detector.state.reference_slot === null;
        if (slot % HALF_HOUR === 0 && isDue && slot - detector.state.met_slot >= HALF_HOUR) {
          learn(detector, memory.hourBefore(slot, placeOf(detector)));
          detector.state = { ...detector.state, reference_slot: slot, since_slot: slot, states: {} };
        }
        step(detector, slot, seen.get(detector) ?? []);
      }
    },
    async conclude(slot) {
      const events: DriftEvent[] = [];
      for (const detector of detectors.values()) {
        if (detector.state.slot !== slot) continue;
        for (const event of [await raise(detector, slot), settle(detector, slot)]) if (event !== null) events.push(event);
        if (detector.crossed.length > 0) detector.state = { ...detector.state, crossed_slot: slot, since_slot: slot + 1, states: {} };
      }
      return events;
    },
    pageOver({ project, environment, request_models }, slot) {
      for (const model of request_models) {
        const detector = detectors.get(nameOf({ project, environment, candidate: model }));
        const alert = detector?.record?.current() ?? null;
        const crossed = detector?.state.crossed_slot ?? null;
        if (alert !== null && crossed !== null && crossed <= slot && slot - crossed < QUIET) return { alert_id: alert.id, model: alert.culprit.value, metric: alert.metric };
      }
      return null;
    },
    keep() {
      for (const detector of detectors.values()) rows.comparison(fileOf(detector), 'open', '');
    },
    alerted: () => [...detectors.values()].flatMap(({ state }) => (state.alarm_id === null ? [] : [state.alarm_id])),
    adopt(states) {
      for (const { record, state } of detectors.values()) record?.adopt(states.get(state.alarm_id ?? ''));
    },
    async restore(next) {
      const stored = await loadDetectors(store);
      const states = await loadAlertStates(store, stored.flatMap(({ snapshot }) => (snapshot.alarm_id === null ? [] : [snapshot.alarm_id])));
      for (const { identity, snapshot } of stored) {
        const { alarm_id } = snapshot;
        const record = alarm_id === null ? null : createAlertRecord(rows, alarm_id, states.get(alarm_id) ?? null);
        const detector: Detector = { identity, state: snapshot, series: new Map(), watched: [], isGrouped: false, record, crossed: [] };
        const learnt = snapshot.reference_slot;
        if (learnt !== null) learn(detector, await selectPulse(store, { from: Math.max(1, learnt - SLOTS_PER_HOUR), to: Math.max(1, learnt - UNSETTLED) }, placeOf(detector)));
        detectors.set(nameOf(identity), detector);
      }
      if (next === null) return;
      // From an hour before the half hour that ends next on, a few slots at a time: a busy fleet has many readings.
      for (let from = Math.ceil(next / HALF_HOUR) * HALF_HOUR - SLOTS_PER_HOUR; from < next; from += UNSETTLED) {
        const range = { from: Math.max(1, from), to: Math.min(from + UNSETTLED, next) };
        for (const [slot, pulses] of bySlot(await selectPulse(store, range))) memory.record(slot, pulses);
      }
    },
  };
}

/** Metrics that two prompts at least have a reference of. */
function watchedMetrics(series: ReadonlyMap<string, Series>): string[] {
  const prompts = new Map<string, Set<string>>();
  for (const { metric, prompt_name } of series.values()) {
    const known = prompts.get(metric);
    if (known === undefined) prompts.set(metric, new Set([prompt_name]));
    else known.add(prompt_name);
  }
  return [...prompts].filter(([, names]) => names.size > 1).map(([metric]) => metric).sort();
}

const alarmIdOf = (detectorId: string, slot: number): string => `cmp_${createHash('sha256').update(`${detectorId}/${slot}`).digest('hex').slice(0, 20)}`;

function detectorIdOf({ project, environment, request_model }: Pulse): string {
  return `cmp_${createHash('sha256').update(JSON.stringify([project, environment, 'drift', request_model])).digest('hex').slice(0, 20)}`;
}

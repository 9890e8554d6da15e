import type { Alert } from '../../../schemas/alert.ts';
import { derivedId } from '../../../schemas/derived-id.ts';
import type { Store } from '../../../schemas/store.ts';
import { createAlertRecord } from '../alert-record.ts';
import { createDetector, detectorName, fileOf, isOfProvider, isOpen, learn, placeOf, placesOf, restoreDetector, step, type Claim, type Detector, type DetectorFile } from './detector.ts';
import { accused, driftAlertOf, findDrift, saysWho, type Bystander } from './alert.ts';
import { loadAlertStates, loadDetectors, type AlertState, type LookRows, type UnreadableComparison } from '../look-store.ts';
import { bySlot, type PromptKey } from '../observations.ts';
import { merged, selectPulse, selectResponseModel, type Pulse } from './pulse.ts';
import { createPulseMemory, HALF_HOUR, selectHourBefore } from './pulse-memory.ts';
import type { MetricPolicy } from '../references.ts';
import { groupBy } from '../../statistics/group-by.ts';
import { slotOf, slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../../slots.ts';

/**
 * Watches every request model over all prompts that ask for it, each against its own hour before: an outage or a quietly changed model
 * is paged once, as that, with no prompt blamed (`statistics/drift.ts`). A prompt that changed itself within the hour says nothing here.
 *
 * Every provider is watched over all its models in the same way. Where models of one provider move together it is the provider, and one alert: one that
 * was raised for a model before that was seen is revised, and what moves while it stands joins it.
 */
export type DriftWatch = {
  /** One slot, in order, with the pulse of it. */
  feed(slot: number, pulse: readonly Pulse[]): void;
  conclude(slot: number): Promise<DriftEvent[]>;
  /** The page that stands over prompts on one of these request models: what they show while it does, and for an hour after, is the model's or the provider's. */
  pageOver(place: { readonly project: string; readonly environment: string; readonly request_models: readonly string[] }, slot: number): ModelPage | null;
  keep(): void;
  alerted(): readonly string[];
  adopt(states: ReadonlyMap<string, AlertState>): void;
  /** The pulse that references are learnt from in a slot that begins a half hour. */
  hourBefore(slot: number): readonly Pulse[];
  /** @param next the first slot that is not looked at yet; null: none was. */
  restore(next: number | null): Promise<void>;
};

export type DriftEvent = { readonly kind: 'alert'; readonly slot: number; readonly comparison_id: string; readonly alert: Alert };
export type ModelPage = { readonly alert_id: string; readonly model: string; readonly metric: string };

export type DriftSettings = {
  readonly publicUrl: string;
  readonly metricPolicy: (prompt: string) => MetricPolicy;
  /** What changed on a prompt by itself within the last hour; it cannot speak for its models. */
  readonly changedOn: (prompt: PromptKey, slot: number) => readonly Bystander[];
  /** Whether it is not known what changed on a prompt: it cannot speak for its models either. */
  readonly isAside: (prompt: PromptKey, slot: number) => boolean;
  readonly giveUp: (unreadable: readonly UnreadableComparison[]) => Promise<void>;
  /** What changed within the hour that many prompts can have in common: where it is served, the application. */
  readonly sharedOn: (prompt: PromptKey, slot: number) => readonly Bystander[];
};

/** Slots in thirty days: at most one false page in that time for each metric of each model and provider, divided among them. */
const SLOTS_PER_MONTH = 30 * SLOTS_PER_DAY;
/** After the last sign of it a drift is over; and so long nothing new is paged. */
const QUIET = SLOTS_PER_HOUR;
/** Slots after an alarm in which what changed may still come to be known. */
const REVISED_FOR = 20;

export function createDriftWatch(deps: { readonly store: Store; readonly rows: LookRows }, settings: DriftSettings): DriftWatch {
  const { store, rows } = deps;
  const detectors = new Map<string, Detector>();
  const memory = createPulseMemory();

  /** Mean slots to a false alarm that one metric of one model must have. */
  const threshold = (): number => SLOTS_PER_MONTH * Math.max(1, [...detectors.values()].reduce((sum, { watched }) => sum + watched.length, 0));
  const file = (detector: Detector): DetectorFile => fileOf(detector, { threshold: threshold(), policy: settings.metricPolicy('') });
  const speaks = (prompt: PromptKey, slot: number): boolean => !settings.isAside(prompt, slot) && settings.changedOn(prompt, slot).length === 0;

  const hasCrossedWithin = ({ state }: Detector, slot: number): boolean => state.crossed_slot !== null && state.crossed_slot <= slot && slot - state.crossed_slot < QUIET;

  /** Of a model: its providers' detectors. Of a provider: its models'. */
  const kinOf = (detector: Detector): Detector[] => {
    const { project, environment, of } = placeOf(detector);
    if (!isOfProvider(detector)) return [...detector.providers].flatMap((provider) => detectors.get(detectorName({ project, environment, by: 'provider', of: provider })) ?? []);
    return [...detectors.values()].filter((other) => !isOfProvider(other) && other.providers.has(of) && other.identity.project === project && other.identity.environment === environment);
  };

  /** With what is seen by a slot to have changed; what was known before stays. */
  const withChanges = (claim: Claim, slot: number): Claim => ({
    ...claim,
    own: withNew(claim.own, claim.seen.flatMap((prompt) => settings.changedOn(prompt, slot))),
    shared: withNew(claim.shared, claim.seen.flatMap((prompt) => settings.sharedOn(prompt, slot))),
  });

  const raise = async (detector: Detector, slot: number): Promise<DriftEvent | null> => {
    const { state, crossed } = detector;
    if (crossed.length === 0 || isOpen(detector) || hasCrossedWithin(detector, slot)) return null;
    if (!isOfProvider(detector)) {
      const over = kinOf(detector).find((provider) => isOpen(provider) || hasCrossedWithin(provider, slot));
      if (over !== undefined) {
        over.state = { ...over.state, crossed_slot: slot };
        return null;
      }
    }
    const range = { from: state.since_slot, to: slot + 1 };
    const place = placeOf(detector);
    const all = merged(await selectPulse(store, range, place));
    const finding = findDrift(crossed, all.filter((pulse) => speaks(pulse, pulse.slot)), { series: detector.series, range, policy: settings.metricPolicy, alpha: 1 / threshold() });
    if (finding === null) return null;
    const { settings: frozen, snapshot, identity: own } = file(detector);
    const identity = { ...own, comparison_id: alarmIdOf(own.comparison_id, slot) };
    rows.comparison({ identity, settings: frozen, snapshot }, 'closed', 'several prompts moved at once');
    rows.strata(identity.comparison_id, slot, { strata: finding.strata, e_value: finding.e_value, metrics: finding.metrics, controls: null });
    // A name that answers as another model since then is told as that model, not as the name.
    const responseModel = (from: number, to: number): Promise<string | null> => (place.by === 'provider' ? Promise.resolve(null) : selectResponseModel(store, { ...place, from, to }));
    const model = (await responseModel(Math.min(slot, slotOf(finding.onsetMs) + 1), slot + 1)) ?? place.of;
    const earlier = await responseModel(Math.max(1, (state.reference_slot ?? slot) - SLOTS_PER_HOUR), state.reference_slot ?? slot);
    const seen = [...new Set(all.map(({ prompt_name }) => prompt_name))].sort().map((prompt_name): PromptKey => ({ project: place.project, environment: place.environment, prompt_name }));
    const heard = seen.filter((prompt) => speaks(prompt, slot));
    const found = { factor: place.by, value: model, baseline: earlier === null || earlier === model ? 'the hour before' : earlier };
    const claim = withChanges({ slot, found, seen, heard: heard.map(({ prompt_name }) => prompt_name), onsetMs: finding.onsetMs, own: [], shared: [] }, slot);
    const models = place.by === 'provider' ? [...new Set(all.map(({ request_model }) => request_model))].sort() : [];
    const raisedMs = slotStartMs(slot + 1);
    const alert = driftAlertOf({ identity, accused: accused(claim.found, claim), models, finding, prompts: claim.heard, raisedMs, publicUrl: settings.publicUrl });
    // A model of it that was paged before becomes the provider's page: one alert, revised.
    const revised = isOfProvider(detector) ? kinOf(detector).find(isOpen) : undefined;
    const before = revised?.record?.current() ?? null;
    detector.record = revised?.record ?? createAlertRecord(rows, identity.comparison_id);
    detector.record.follow(identity.comparison_id);
    detector.state = { ...detector.state, alarm_id: identity.comparison_id, claim };
    const told = before === null ? alert : { ...alert, id: before.id, state: before.state, raised_at: before.raised_at, onset: before.onset < alert.onset ? before.onset : alert.onset, links: { ...before.links, evidence: alert.links.evidence } };
    if (revised !== undefined) {
      revised.record = null;
      revised.state = { ...revised.state, alarm_id: null, claim: null };
    }
    const reason = before === null ? 'several prompts moved at once' : `revised: not ${before.culprit.value} alone, other models of ${place.of} moved as well`;
    return { kind: 'alert', slot, comparison_id: identity.comparison_id, alert: detector.record.change(told, { atMs: raisedMs, reason }) };
  };

  /** What changed in the very slot of the alarm is seen after it; then the alert is revised. */
  const revise = (detector: Detector, slot: number): DriftEvent | null => {
    const { record, state } = detector;
    const { claim } = state;
    const alert = record?.current() ?? null;
    if (claim === null || record === null || alert === null || state.alarm_id === null || alert.state === 'resolved' || slot <= claim.slot || slot - claim.slot > REVISED_FOR) return null;
    const known = withChanges(claim, slot);
    const who = saysWho(accused(known.found, known), known.heard);
    // Not all that changes says something.
    if (JSON.stringify(who) === JSON.stringify(saysWho(accused(claim.found, claim), claim.heard))) return null;
    detector.state = { ...state, claim: known };
    const { alarm_id } = state;
    return { kind: 'alert', slot, comparison_id: alarm_id, alert: record.change({ ...alert, ...who }, { atMs: slotStartMs(slot + 1), reason: 'revised: what else changed in the same minutes' }) };
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
        for (const place of placesOf(each)) {
          const name = detectorName(place);
          let detector = detectors.get(name);
          if (detector === undefined) detectors.set(name, (detector = createDetector(place, slot)));
          const pulses = seen.get(detector);
          if (pulses === undefined) seen.set(detector, [each]);
          else pulses.push(each);
        }
      }
      for (const [name, detector] of detectors) {
        detector.crossed = [];
        if (detector.state.slot >= slot) continue;
        if (slot - detector.state.seen_slot > SLOTS_PER_DAY && !isOpen(detector)) {
          rows.comparison(file(detector), 'closed', 'no call for a day');
          detectors.delete(name);
          continue;
        }
        // A reference that holds an outage would call it normal.
        const isTroubled = (): boolean => isOpen(detector) || kinOf(detector).some(isOpen);
        const isDue = (): boolean => (slot % SLOTS_PER_HOUR === 0 ? !isTroubled() : detector.state.reference_slot === null);
        if (slot % HALF_HOUR === 0 && slot - detector.state.met_slot >= HALF_HOUR && isDue()) {
          learn(detector, memory.hourBefore(slot, placeOf(detector)), settings.metricPolicy);
          detector.state = { ...detector.state, reference_slot: slot, since_slot: slot, states: {}, model_states: {} };
        }
        step(detector, slot, { pulses: seen.get(detector) ?? [], speaks: (each) => speaks(each, slot), needed: threshold });
      }
    },
    async conclude(slot) {
      const events: DriftEvent[] = [];
      const current = [...detectors.values()].filter(({ state }) => state.slot === slot);
      // Providers first: what their models show in the same slot is theirs.
      for (const detector of [...current.filter(isOfProvider), ...current.filter((each) => !isOfProvider(each))]) {
        for (const event of [await raise(detector, slot), revise(detector, slot), settle(detector, slot)]) if (event !== null) events.push(event);
        if (detector.crossed.length > 0) detector.state = { ...detector.state, crossed_slot: slot, since_slot: slot + 1, states: {}, model_states: {} };
      }
      return events;
    },
    pageOver({ project, environment, request_models }, slot) {
      const ofModels = request_models.flatMap((of) => detectors.get(detectorName({ project, environment, by: 'model', of })) ?? []);
      for (const detector of [...ofModels.flatMap(kinOf), ...ofModels]) {
        const alert = detector.record?.current() ?? null;
        if (alert !== null && hasCrossedWithin(detector, slot)) return { alert_id: alert.id, model: alert.culprit.value, metric: alert.metric };
      }
      return null;
    },
    keep() {
      for (const detector of detectors.values()) rows.comparison(file(detector), 'open', '');
    },
    alerted: () => [...detectors.values()].flatMap(({ state }) => (state.alarm_id === null ? [] : [state.alarm_id])),
    adopt(states) {
      for (const { record, state } of detectors.values()) record?.adopt(states.get(state.alarm_id ?? ''));
    },
    hourBefore: (slot) => memory.hourBefore(slot, null),
    async restore(next) {
      const { open: stored, unreadable } = await loadDetectors(store);
      await settings.giveUp(unreadable);
      const states = await loadAlertStates(store, stored.flatMap(({ snapshot }) => (snapshot.alarm_id === null ? [] : [snapshot.alarm_id])));
      // By place, as the memory has it, and as it was learnt; nearly all have learnt at the same half hour.
      const readHour = async (slot: number): Promise<Map<string, { name: string; pulse: Pulse }[]>> => {
        const pulses = await selectHourBefore(store, slot);
        return groupBy(pulses.flatMap((pulse) => placesOf(pulse).map((place) => ({ name: detectorName(place), pulse }))), ({ name }) => name);
      };
      const hours = new Map<number, ReturnType<typeof readHour>>();
      for (const { identity, snapshot } of stored) {
        const { alarm_id } = snapshot;
        const detector = restoreDetector(identity, snapshot, alarm_id === null ? null : createAlertRecord(rows, alarm_id, states.get(alarm_id) ?? null));
        const learnt = snapshot.reference_slot;
        const name = detectorName(placeOf(detector));
        if (learnt !== null) {
          const hour = hours.get(learnt) ?? readHour(learnt);
          hours.set(learnt, hour);
          learn(detector, (await hour).get(name)?.map(({ pulse }) => pulse) ?? [], settings.metricPolicy);
        }
        detectors.set(name, detector);
      }
      if (next === null) return;
      // From an hour before the half hour that ends next on.
      for (let from = Math.ceil(next / HALF_HOUR) * HALF_HOUR - SLOTS_PER_HOUR; from < next; from += HALF_HOUR) {
        const range = { from: Math.max(1, from), to: Math.min(from + HALF_HOUR, next) };
        for (const [slot, pulses] of bySlot(await selectPulse(store, range))) memory.record(slot, pulses);
      }
    },
  };
}

function withNew(known: readonly Bystander[], seen: readonly Bystander[]): Bystander[] {
  const nameOf = ({ factor, prompt, value }: Bystander): string => JSON.stringify([factor, prompt, value]);
  const names = new Set(known.map(nameOf));
  return [...known, ...seen.filter((each) => !names.has(nameOf(each)))];
}

const alarmIdOf = (detectorId: string, slot: number): string => derivedId('cmp', `${detectorId}/${slot}`);

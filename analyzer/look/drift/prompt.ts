import type { Alert } from '../../../schemas/alert.ts';
import { derivedId } from '../../../schemas/derived-id.ts';
import type { ComparisonSettings } from '../../../schemas/evidence.ts';
import type { MixSettings } from '../../../schemas/mix-settings.ts';
import type { Store } from '../../../schemas/store.ts';
import { takenBack } from '../adjudication.ts';
import type { Aside } from '../aside.ts';
import { createAlertRecord, type AlertRecord } from '../alert-record.ts';
import type { ComparisonIdentity } from '../comparison.ts';
import { findDrift } from './alert.ts';
import { readingOf, seriesName, seriesOf, type Series } from './series.ts';
import type { DriftEvent, ModelPage } from './watch.ts';
import { loadAlertStates, loadPromptAlarms, type AlertState, type LookRows } from '../look-store.ts';
import { mixOf, withMix } from '../mix.ts';
import { bySlot, promptId, type PromptKey } from '../observations.ts';
import { promptDriftAlertOf, type RecentChange } from './prompt-alert.ts';
import { merged, selectPulse, type Pulse } from './pulse.ts';
import { HALF_HOUR, selectHourBefore, UNSETTLED } from './pulse-memory.ts';
import type { MetricPolicy } from '../references.ts';
import { SLOT_MS, slotOf, slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../../slots.ts';
import { addRatio, advanceDrift, driftEvidence, driftHeadline, noDrift, type DriftState } from '../../statistics/drift.ts';
import { groupBy } from '../../statistics/group-by.ts';

/**
 * Watches every prompt by itself against its own hour before: what gets worse long after the last change, or with no change at all. It names no
 * version, as none began then; it says what else is known: that the model is innocent where other prompts on it did not move, and what changed last.
 *
 * A prompt is heard only while nothing else speaks for it: its reference lies wholly after its last change, no two values of anything run side by
 * side on it, no alert of it is open, and no page stands over its models. Versions have series of their own, so that a rollback to another
 * version is not taken for a change of the one.
 *
 * Nothing of it is stored but its alarms: R begins anew with each reference, so a restart makes it again from the hour's pulse.
 */
export type PromptDrift = {
  feed(slot: number, pulse: readonly Pulse[]): void;
  conclude(slot: number): Promise<DriftEvent[]>;
  alerted(): readonly string[];
  adopt(states: ReadonlyMap<string, AlertState>): void;
  /** Takes up what an earlier process left before slot `next`. */
  restore(next: number): Promise<void>;
};

export type PromptDriftSettings = {
  readonly publicUrl: string;
  readonly mix: MixSettings;
  readonly metricPolicy: (prompt: string) => MetricPolicy;
  /** Whether a prompt can be held against its hour before `reference_slot`: it has not changed since, and nothing is being compared or accused. */
  readonly isSettled: (prompt: PromptKey, reference_slot: number, slot: number) => boolean;
  /** Runs what is asked about one prompt; undefined: it failed, and the slot will be tried again. */
  readonly about: Aside['about'];
  readonly changesOn: (prompt: PromptKey, since: number) => readonly RecentChange[];
  /** What references are learnt from in a slot that begins a half hour. */
  readonly hourBefore: (slot: number) => readonly Pulse[];
  readonly pageOver: (place: { readonly project: string; readonly environment: string; readonly request_models: readonly string[] }, slot: number) => ModelPage | null;
};

type Watched = {
  readonly prompt: PromptKey;
  /** The reference is the hour before this slot, less its last five minutes. */
  reference_slot: number;
  since_slot: number;
  series: ReadonlyMap<string, Series>;
  metrics: readonly string[];
  request_models: readonly string[];
  states: Readonly<Record<string, DriftState>>;
  /** Of its last alarm. */
  record: { readonly comparison_id: string; readonly of: AlertRecord } | null;
  crossed_slot: number | null;
  crossed: readonly { readonly metric: string; readonly e_value: number }[];
  seen_slot: number;
};

const SLOTS_PER_MONTH = 30 * SLOTS_PER_DAY;
const QUIET = SLOTS_PER_HOUR;
/** Another prompt with this R has moved as well. */
const MOVED = 20;
/** Of other prompts, since the change: with fewer they say too little to exonerate the model. */
const CONTROL_UNITS = 50;
/** Slots that controls are waited for; and units of a mix that may explain it all. */
const LONGEST_WAIT = 20;
const LONGEST_WAIT_FOR_MIX = 40;

const ownSeries = (pulse: Pulse): string => `${seriesName(pulse)}\0${pulse.version}`;

export function createPromptDrift(deps: { readonly store: Store; readonly rows: LookRows }, settings: PromptDriftSettings): PromptDrift {
  const { store, rows } = deps;
  const watched = new Map<string, Watched>();

  /** Mean slots to a false alarm that each metric of each prompt must have: one a month for all of them. */
  const threshold = (): number => SLOTS_PER_MONTH * Math.max(1, [...watched.values()].reduce((sum, { metrics }) => sum + metrics.length, 0));
  const isOpen = ({ record }: Watched): boolean => (record?.of.current()?.state ?? 'resolved') !== 'resolved';
  const isHeard = (one: Watched, slot: number): boolean => settings.isSettled(one.prompt, one.reference_slot, slot);

  /** Every hour all that have none, or whose last may be replaced: one that holds a fault would call it normal. In between those whose last holds a change of theirs. */
  const isDueAt = (slot: number): ((one: Watched | undefined) => boolean) =>
    slot % SLOTS_PER_HOUR === 0 || watched.size === 0 ? (one) => one === undefined || !isOpen(one) : (one) => one !== undefined && !isOpen(one) && !isHeard(one, slot);

  /** New references for these prompts, all from one reading. */
  const learn = (slot: number, hour: readonly Pulse[], isDue: (one: Watched | undefined) => boolean): void => {
    for (const [name, pulses] of groupBy(hour, promptId)) {
      const [first] = pulses;
      const known = watched.get(name);
      if (first === undefined || !isDue(known)) continue;
      const { project, environment, prompt_name } = first;
      const series = seriesOf(pulses, settings.metricPolicy, ownSeries);
      const metrics = [...new Set([...series.values()].map(({ metric }) => metric))].sort();
      const request_models = [...new Set(pulses.map(({ request_model }) => request_model))].sort();
      const { record = null, crossed_slot = null } = known ?? {};
      watched.set(name, { prompt: { project, environment, prompt_name }, reference_slot: slot, since_slot: slot, series, metrics, request_models, states: {}, record, crossed_slot, crossed: [], seen_slot: slot });
    }
  };

  const step = (one: Watched, slot: number, pulses: readonly Pulse[], needed: number): void => {
    one.crossed = [];
    if (pulses.length > 0) one.seen_slot = slot;
    if (!isHeard(one, slot)) {
      Object.assign(one, { since_slot: slot + 1, states: {} });
      return;
    }
    const sums = new Map<string, number[]>();
    for (const pulse of pulses) {
      const series = one.series.get(ownSeries(pulse));
      if (series !== undefined) addRatio(sums, pulse.metric, series.ratio(pulse));
    }
    one.states = Object.fromEntries(
      one.metrics.map((metric): [string, DriftState] => {
        const ratio = sums.get(metric);
        return [metric, advanceDrift(one.states[metric] ?? noDrift, new Map(ratio === undefined ? [] : [['', ratio]]))];
      }),
    );
    one.crossed = one.metrics.map((metric) => ({ metric, e_value: evidenceOf(one, metric) })).filter(({ e_value }) => e_value >= needed);
  };

  /** Other prompts on the same models, which nothing else explains: those that have the metric. */
  const controlsOf = (one: Watched, metric: string): Watched[] =>
    [...watched.values()].filter(
      (other) =>
        other !== one && other.prompt.project === one.prompt.project && other.prompt.environment === one.prompt.environment && other.metrics.includes(metric) &&
        other.request_models.some((model) => one.request_models.includes(model)),
    );

  const raise = async (one: Watched, slot: number): Promise<DriftEvent | null> => {
    const isQuiet = one.crossed_slot !== null && slot - one.crossed_slot < QUIET;
    if (one.crossed.length === 0 || isOpen(one) || isQuiet) return null;
    const { prompt } = one;
    if (settings.pageOver({ ...prompt, request_models: one.request_models }, slot) !== null) return null;
    const headline = driftHeadline(one.crossed)?.metric ?? '';
    const controls = controlsOf(one, headline);
    // Several that move at once are the model's or the provider's, and the watch over those will tell.
    if (controls.some((other) => evidenceOf(other, headline) >= MOVED)) return null;
    const range = { from: one.since_slot, to: slot + 1 };
    const all = await selectPulse(store, range);
    const own = merged(all.filter((pulse) => promptId(pulse) === promptId(prompt)), 'version').filter((pulse) => one.series.has(ownSeries(pulse)));
    const finding = findDrift(one.crossed, own, { series: one.series, range, policy: settings.metricPolicy, alpha: 1 / threshold(), nameOf: ownSeries });
    if (finding === null) return null;
    const names = new Map(controls.map((other) => [promptId(other.prompt), other]));
    const units = all.filter((pulse) => pulse.metric === headline && pulse.slot >= slotOf(finding.onsetMs) && names.has(promptId(pulse))).reduce((sum, { counts }) => sum + counts.reduce((total, count) => total + count, 0), 0);
    if (controls.length > 0 && units < CONTROL_UNITS && slot - slotOf(finding.onsetMs) < LONGEST_WAIT) return null;

    const { name, shown } = finding.reading;
    const mix = await mixOf(store, prompt, {
      metric: name, scale: shown, tolerance: settings.metricPolicy(prompt.prompt_name)(name, headline.startsWith('score:') ? 'numeric' : headline.startsWith('pass:') ? 'boolean' : 'signal').tolerance, isInputGiven: true, parameters: {},
      before: { from: Math.max(1, one.reference_slot - SLOTS_PER_HOUR), to: Math.max(1, one.reference_slot - UNSETTLED), where: 'true' }, after: { from: slotOf(finding.onsetMs), to: slot + 1, where: 'true' },
    }, settings.mix);
    if (mix.may_explain !== null && slot - slotOf(finding.onsetMs) < LONGEST_WAIT_FOR_MIX) return null;

    const comparison_id = derivedId('cmp', JSON.stringify([prompt.project, prompt.environment, prompt.prompt_name, 'drift', slot]));
    const identity: ComparisonIdentity = { ...prompt, comparison_id, factor: 'unknown', baseline: 'the hour before', candidate: prompt.prompt_name, epoch: 0 };
    const frozen = settingsOf(one);
    rows.comparison({ identity, settings: frozen, snapshot: { slot, reference_slot: one.reference_slot } }, 'closed', 'it got worse though nothing changed');
    rows.strata(comparison_id, slot, { strata: finding.strata, e_value: finding.e_value, metrics: finding.metrics, controls: null });
    const alert = withMix(promptDriftAlertOf({
      identity, finding, version: busiest(own), publicUrl: settings.publicUrl, raisedMs: slotStartMs(slot + 1),
      models: one.request_models, controls: units < CONTROL_UNITS ? [] : controls.map((other) => other.prompt.prompt_name).sort(),
      moved: Math.max(0, ...controls.map((other) => evidenceOf(other, headline))),
      changes: settings.changesOn(prompt, Math.max(0, slotOf(finding.onsetMs) - SLOTS_PER_DAY)),
    }), mix);
    one.record = { comparison_id, of: createAlertRecord(rows, comparison_id) };
    return { kind: 'alert', slot, comparison_id, alert: one.record.of.change(alert, { atMs: slotStartMs(slot + 1), reason: 'it got worse though nothing changed' }) };
  };

  /** After a crossing that is told, or was within the hour. */
  const beginAnew = (one: Watched, slot: number): void => {
    const isTold = one.crossed.length > 0 && (isOpen(one) || (one.crossed_slot !== null && slot - one.crossed_slot < QUIET));
    if (isTold) Object.assign(one, { crossed_slot: slot, since_slot: slot + 1, states: {} });
  };

  const settingsOf = ({ prompt, metrics, since_slot }: Watched): ComparisonSettings => {
    const named = metrics.map((metric): [string, ComparisonSettings['metrics'][string]] => {
      const { name, shown } = readingOf(metric, settings.metricPolicy(prompt.prompt_name));
      return [name, { ...shown, weight: 0, from_slot: since_slot, tolerance: 0, severity: 'page', reference: null }];
    });
    return {
      alpha: 1 / threshold(), stake: 1, slot_seconds: SLOT_MS / 1000, opened_slot: since_slot, opened_ms: slotStartMs(since_slot), models: [], session_window_s: 0, metrics: Object.fromEntries(named), reserve: 0, group: '',
      carried: null, before_after: null, guards: [], drift: { since_slot, is_grouped: false, leaves_out: 'nothing' },
    };
  };

  /** Takes back what a page over its models explains, and resolves what is over. */
  const settle = (one: Watched, slot: number): DriftEvent | null => {
    const alert = one.record?.of.current() ?? null;
    if (one.record === null || alert === null || alert.state === 'resolved') return null;
    const told = (next: Alert, reason: string): DriftEvent | null =>
      one.record === null ? null : { kind: 'alert', slot, comparison_id: one.record.comparison_id, alert: one.record.of.change(next, { atMs: slotStartMs(slot + 1), reason }) };
    const page = settings.pageOver({ ...one.prompt, request_models: one.request_models }, slot);
    const revision = page === null ? null : takenBack(alert, page, slot);
    if (revision !== null) return told(revision.alert, revision.reason);
    if (one.crossed_slot === null || slot - one.crossed_slot < QUIET) return null;
    return told({ ...alert, state: 'resolved', resolved_at: new Date(slotStartMs(slot + 1)).toISOString() }, 'back to what it was: no sign of it for an hour');
  };

  const feed = (slot: number, pulse: readonly Pulse[]): void => {
    if (slot % HALF_HOUR === 0) {
      const isDue = isDueAt(slot);
      if (isDue(undefined) || [...watched.values()].some(isDue)) learn(slot, settings.hourBefore(slot), isDue);
      for (const [name, one] of watched) if (slot - one.seen_slot > SLOTS_PER_DAY && !isOpen(one)) watched.delete(name);
    }
    const pulses = groupBy(merged(pulse, 'version'), promptId);
    const needed = threshold();
    for (const [name, one] of watched) step(one, slot, pulses.get(name) ?? [], needed);
  };

  return {
    feed,
    async conclude(slot) {
      const events: DriftEvent[] = [];
      for (const one of watched.values()) {
        for (const event of [(await settings.about(one.prompt, () => raise(one, slot))) ?? null, settle(one, slot)]) if (event !== null) events.push(event);
      }
      // Controls are asked for what they show in this slot, so R begins anew only now.
      for (const one of watched.values()) beginAnew(one, slot);
      return events;
    },
    alerted: () => [...watched.values()].flatMap(({ record }) => (record === null ? [] : [record.comparison_id])),
    adopt(states) {
      for (const { record } of watched.values()) record?.of.adopt(states.get(record.comparison_id));
    },
    async restore(next) {
      watched.clear();
      const alarms = await loadPromptAlarms(store, Math.max(0, next - 14 * SLOTS_PER_DAY));
      const states = await loadAlertStates(store, alarms.map(({ comparison_id }) => comparison_id));
      const hour = Math.floor((next - 1) / HALF_HOUR) * HALF_HOUR;
      const full = Math.floor(hour / SLOTS_PER_HOUR) * SLOTS_PER_HOUR;
      learn(full, await selectHourBefore(store, full), () => true);
      if (hour % SLOTS_PER_HOUR !== 0) learn(hour, await selectHourBefore(store, hour), isDueAt(hour));
      for (const { comparison_id, slot, reference_slot, ...prompt } of alarms) {
        const state = states.get(comparison_id) ?? null;
        const one = watched.get(promptId(prompt));
        if (one === undefined || state === null) continue;
        one.record = { comparison_id, of: createAlertRecord(rows, comparison_id, state) };
        one.crossed_slot = slot;
        if (isOpen(one) && reference_slot !== one.reference_slot) learn(reference_slot, await selectHourBefore(store, reference_slot), (other) => other === one);
      }
      const from = Math.min(...[...watched.values()].map(({ since_slot }) => since_slot));
      if (!Number.isFinite(from)) return;
      const slots = bySlot(await selectPulse(store, { from: Math.max(1, from, next - SLOTS_PER_HOUR), to: next }));
      for (let slot = Math.max(1, from, next - SLOTS_PER_HOUR); slot < next; slot += 1) {
        const pulse = slots.get(slot) ?? [];
        for (const one of watched.values()) {
          if (slot < one.since_slot) continue;
          step(one, slot, merged(pulse.filter((each) => promptId(each) === promptId(one.prompt)), 'version'), threshold());
          if (slot >= (one.crossed_slot ?? slot)) beginAnew(one, slot);
        }
      }
    },
  };
}

const evidenceOf = ({ states }: Watched, metric: string): number => driftEvidence({ prompts: states[metric] ?? noDrift, models: noDrift }, 'nothing');

/** The version with most units. */
function busiest(pulses: readonly Pulse[]): string | null {
  const units = new Map<string, number>();
  for (const { version, counts } of pulses) units.set(version, (units.get(version) ?? 0) + counts.reduce((sum, count) => sum + count, 0));
  return [...units].sort(([left, ofLeft], [right, ofRight]) => ofRight - ofLeft || (left < right ? -1 : 1))[0]?.[0] ?? null;
}

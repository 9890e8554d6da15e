import { GREW, type Alert } from '../../schemas/alert.ts';
import type { ComparisonSettings, Stratum } from '../../schemas/evidence.ts';
import type { MixSettings } from '../../schemas/mix-settings.ts';
import type { Store } from '../../schemas/store.ts';
import { judge, takenBack, type Told } from './adjudication.ts';
import { createAlertRecord } from './alert-record.ts';
import { alertOf, findingOf, isPastThreshold } from './alerting.ts';
import { lastSlotOf, strataOver } from './before-after.ts';
import { MOST_CALLS_READ, recentFrom } from './busy.ts';
import { coincidenceOf, type Change } from './coincidence.ts';
import type { Comparison, Evidence } from './comparison.ts';
import { tapeNeedOf } from './cutover.ts';
import type { ModelPage } from './drift/watch.ts';
import { factorNamed, toldAs } from './factors.ts';
import { areTimesGuarded, GUARDED_EVERY, guardsOverTime, guardsTogether, type Split } from './guards.ts';
import { ALERT_RESOLVED, loadStrata, type AlertState, type LookRows } from './look-store.ts';
import { isOfMix, withMix } from './mix.ts';
import { asksMix } from './rollout-mix.ts';
import type { Newcomers } from './newcomers.ts';
import { selectBoth } from './call-rows.ts';
import { selectExamples, type Activity, type PromptKey } from './observations.ts';
import type { RangeRows } from './range-rows.ts';
import { recoveryAfter, saysRecovery } from './recovery.ts';
import { renewedAlert } from './renewal.ts';
import { slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';
import { countArms, planFromStore } from './taking-up.ts';
import type { Tape } from './tape.ts';
import type { Tapes } from './tapes.ts';
import { hashOf } from './unit-memory.ts';
import { CONTROLS_MOVED } from '../statistics/evidence.ts';

/** One comparison while it is open, and the alert that may come of it. */
export type Rollout = {
  readonly comparison: Comparison;
  /** One slot, in order; again after a restart, where nothing is bet. */
  feed(slot: number, active: readonly Activity[], rows: RangeRows): Promise<void>;
  /** What follows from the slot, when all prompts have been fed. Null: it was not fed. */
  conclude(slot: number, context: RolloutContext): Promise<Conclusion | null>;
  record: { alert(): Alert | null; adopt(state: AlertState | undefined): void };
  /** Files its state with the rows to be written, if there is more in it than that time has passed. */
  keep(): void;
  tapes(): Iterable<Tape>;
};

/** `version`: that served most calls. `together`: what else changed on the prompt in the same minutes. */
export type RolloutContext = { readonly version: string | null; readonly together: () => readonly Change[] };
export type Conclusion = {
  /** Null where no stratum was closed. */
  readonly e_value: number | null;
  readonly alerts: readonly Alert[];
  /** An alert whose evidence grew: nobody is paged for it. */
  readonly update: Alert | null;
  /** Why it is over. */
  readonly end: string | null;
};

export type RolloutSettings = {
  readonly publicUrl: string;
  readonly mix: MixSettings;
  readonly owner: string | null;
  readonly split: Split;
  /** Whether a hook is configured for the prompt that may be asked to roll it back. */
  readonly canRollBack: boolean;
  /** The page that stands over models of this project and environment. */
  readonly pageOver: (request_models: readonly string[], slot: number) => ModelPage | null;
};

/** What an earlier process left: strata that were durable before it died count as they are. */
export type Left = { readonly settled: ReadonlyMap<string, Stratum>; readonly state: AlertState | null; readonly reason: string };
export const NOTHING_LEFT: Left = { settled: new Map(), state: null, reason: '' };

const FOURTEEN_DAYS = 14 * SLOTS_PER_DAY;
/** An alert resolves when its culprit had no traffic for this long, while the baseline had. */
const RESOLVED_AFTER = SLOTS_PER_HOUR / 2;
/** A recovery that cannot be told is waited for no longer than this; one that has not come, for a day. */
const RECOVERY_AWAITED = 4 * SLOTS_PER_HOUR;
const MENDING_AWAITED = SLOTS_PER_DAY;
const EXAMPLES = 5;
/** Of the candidate: with so many it is told whether the mix explains a change. */
const MIX_UNITS = 400;
/** Slots, ten minutes: how often an open alert is looked at again. */
const RENEWED_EVERY = 20;

export async function createRollout(
  deps: { readonly store: Store; readonly rows: LookRows; readonly tapes: Tapes; readonly newcomers: Newcomers },
  key: PromptKey,
  settings: RolloutSettings,
  comparison: Comparison,
  left: Left = NOTHING_LEFT,
): Promise<Rollout> {
  const { store, rows, tapes, newcomers } = deps;
  const { comparison_id, factor: factorName, baseline, candidate } = comparison.identity;
  const factor = factorNamed(factorName);
  const arms = { factor, group: comparison.settings().group, baseline, candidate };
  /** Whose page would explain a change over time: of the prompt before, and of one that it was moved to. */
  const modelsOf = ({ before_after }: ComparisonSettings): readonly string[] => [...(before_after?.request_models ?? []), ...(before_after !== null && factorName === 'request_model' ? [candidate] : [])];
  const told = ({ factor: of, value }: Change): Told => ({ factor: toldAs(of), value });
  const record = createAlertRecord(rows, comparison_id, left.state);
  /** All of them, from the first time on that the evidence was past its threshold: an effect within its tolerance may stay so for days. */
  let kept: Stratum[] | null = null;
  /** Why it is not decided, though there is evidence. */
  let reason = left.reason;
  let fed: { readonly slot: number; readonly evidence: Evidence | null } | null = null;

  /** Of the prompt (empty name) and its controls, while times are compared. */
  const tapesFor = async (upTo: number): Promise<ReadonlyMap<string, Tape>> => {
    const plan = comparison.settings().before_after;
    if (plan === null || plan.ended_slot !== null || upTo > lastSlotOf(plan)) return new Map();
    const need = { ...tapeNeedOf(plan), upTo };
    const open = new Map([['', await tapes.open(key, need)]]);
    for (const { prompt } of plan.controls) open.set(prompt, await tapes.open({ ...key, prompt_name: prompt }, need));
    return open;
  };
  let held = await tapesFor(comparison.slot());

  /** Times are compared from the slot on in which the candidate is seen to have taken over. */
  const followTakeover = async (slot: number): Promise<void> => {
    const takeover = comparison.takeover();
    // Where very many prompts are taken over at once, some wait until others are done.
    const plan = takeover === null || tapes.isFull() ? null : await planFromStore({ store, tapes }, key, arms, comparison.settings(), { slot, ...takeover });
    if (plan === null) return;
    comparison.beginBeforeAfter(plan);
    held = await tapesFor(slot);
  };

  const readStrata = async (slot: number): Promise<readonly Stratum[]> => {
    if (kept === null) {
      await rows.flush();
      kept = await loadStrata(store, comparison_id, { after: -1, upTo: slot });
    }
    return kept;
  };

  const guard = async (slot: number, isAsked = true): Promise<void> => {
    const frozen = comparison.settings();
    const { before_after } = frozen;
    const overTime = isAsked && areTimesGuarded(before_after, slot) ? await guardsOverTime(store, key, arms, { ...frozen, before_after }, slot) : undefined;
    comparison.guard({ together: guardsTogether(arms, frozen, comparison.judged, { slot, split: settings.split }), overTime });
  };
  /** Not all comparisons ask the store in the same slot. */
  const [turn] = hashOf(comparison_id);

  const decide = async (slot: number, evidence: Evidence, { version, together }: RolloutContext): Promise<Alert | null> => {
    reason = '';
    let frozen = comparison.settings();
    const known = record.current();
    // What was found without controls may still be found with them, and what the traffic explained may outgrow that.
    const isRevisable = known !== null && known.state !== 'resolved' && (known.evidence.grade === 'alone' || (isOfMix(known) && slot % RENEWED_EVERY === 0));
    const isOpen = known === null || isRevisable;
    if (!isOpen || !isPastThreshold(evidence, frozen)) return null;
    const strata = await readStrata(slot);
    let finding = findingOf(evidence, frozen, strata);
    if (finding !== null) {
      await guard(slot);
      frozen = comparison.settings();
      finding = findingOf(evidence, frozen, strata);
    }
    if (finding === null) reason = unfoundReason(evidence, frozen);
    if (finding === null || (known !== null && finding.grade === 'alone' && !isOfMix(known))) return null;
    const page = settings.pageOver(modelsOf(frozen), slot);
    const coincidence = await coincidenceOf(store, key, arms, { changes: together(), from: finding.grade === 'concurrent' ? frozen.opened_slot + 1 : Math.max(1, frozen.opened_slot - SLOTS_PER_HOUR), to: slot + 1 });
    const judgement = judge({ grade: finding.grade, factor: toldAs(factorName), carried: frozen.carried?.versions ?? [], page, together: coincidence.same.map(told) });
    if (judgement.kind === 'hold') {
      ({ reason } = judgement);
      return null;
    }
    const mix = await asksMix(store, key, arms, { finding, settings: frozen, slot }, settings.mix);
    if (known !== null && isOfMix(known) && mix.explains !== null) return null;
    if (mix.may_explain !== null && finding.candidate.units < MIX_UNITS) {
      reason = `the mix of ${mix.may_explain.dimension} moved with it, and more units will tell whether that is all`;
      return null;
    }
    const examples = await selectExamples(store, factor, {
      ...key, group: frozen.group, value: candidate, metric: finding.metric, direction: finding.settings.direction, onset_ms: finding.onsetMs, to_slot: slot, limit: EXAMPLES,
    });
    const raisedMs = slotStartMs(slot + 1);
    const { owner, publicUrl, canRollBack } = settings;
    const found = alertOf({ identity: comparison.identity, settings: frozen, evidence, strata, finding, confounded_with: judgement.confounded_with, apart: coincidence.apart.map(told), examples, raisedMs, version, owner, publicUrl, canRollBack });
    const alert = withMix(found, mix);
    if (known !== null && isOfMix(known)) return record.change({ ...alert, state: known.state }, { atMs: raisedMs, reason: 'the mix of its traffic does not explain it any more' });
    return known === null
      ? record.change(alert, { atMs: raisedMs, reason: 'evidence past its threshold' })
      : record.change({ ...alert, state: known.state }, { atMs: raisedMs, reason: 'evidence past its threshold with controls as well' });
  };

  /** What is told of an open alert is renewed as its evidence grows, where that is looked at: every ten minutes. */
  const renew = async (slot: number): Promise<Alert | null> => {
    const alert = record.current();
    if (alert === null || isOfMix(alert) || alert.state === 'resolved' || slot % RENEWED_EVERY !== 0) return null;
    const renewed = renewedAlert(alert, { identity: comparison.identity, settings: comparison.settings(), evidence: comparison.evidence(), strata: await readStrata(slot) });
    return renewed === null ? null : record.change(renewed, { atMs: slotStartMs(slot + 1), reason: GREW, event: 'updated' });
  };

  /** A model page takes back what was said of its prompts shortly before; a shifted mix is over with what it is told by. */
  const revise = (slot: number): Alert | null => {
    const alert = record.current();
    const plan = comparison.settings().before_after;
    if (alert !== null && alert.state !== 'resolved' && isOfMix(alert) && plan !== null && slot > lastSlotOf(plan)) {
      return record.change({ ...alert, state: 'resolved', resolved_at: new Date(slotStartMs(slot + 1)).toISOString() }, { atMs: slotStartMs(slot + 1), reason: 'no earlier traffic is left to compare with, and the mix explained all of it' });
    }
    const page = alert === null ? null : settings.pageOver(modelsOf(comparison.settings()), slot);
    const revision = alert === null || page === null ? null : takenBack(alert, page, slot);
    return revision === null ? null : record.change(revision.alert, { atMs: slotStartMs(slot + 1), reason: revision.reason });
  };

  const silentFor = (value: string, slot: number): number => slot - newcomers.lastSlot(value);

  const resolveSilent = async (slot: number): Promise<Alert | null> => {
    const alert = record.current();
    if (alert === null || alert.state === 'resolved') return null;
    const silent = silentFor(candidate, slot);
    if (silent < RESOLVED_AFTER || silentFor(baseline, slot) >= RESOLVED_AFTER) return null;
    // Tested at once, and then every ten minutes while it cannot be told.
    if (silent !== RESOLVED_AFTER && slot % RENEWED_EVERY !== 0) return null;
    const atMs = slotStartMs(slot + 1);
    // What was seen since the candidate's last call, of which strata were durable long before; where that was not well, the last half hour.
    const wasUnwell = alert.recovery === 'not_recovered';
    const since = wasUnwell ? slot + 1 - RESOLVED_AFTER : newcomers.lastSlot(candidate) + 1;
    const range = { from: await recentFrom(store, key, { from: since, to: slot + 1 }, MOST_CALLS_READ), to: slot + 1 };
    const [calls, scores] = await selectBoth(store, key, range);
    const tested = recoveryAfter(alert, { arms, settings: comparison.settings(), strata: await readStrata(slot), calls, scores });
    const recovery = wasUnwell && tested === 'unknown' ? 'not_recovered' : tested;
    // Whatever it is goes on, and the page with it: taken for innocent, the culprit is not taken for mended.
    if (recovery === 'not_recovered' && silent < MENDING_AWAITED) return wasUnwell ? null : record.change({ ...alert, recovery }, { atMs, reason: saysRecovery(recovery, alert), event: 'updated' });
    if (recovery === 'unknown' && silent < RECOVERY_AWAITED) return null;
    return record.change({ ...alert, state: 'resolved', resolved_at: new Date(atMs).toISOString(), recovery }, { atMs, reason: saysRecovery(recovery, alert) });
  };

  /** Whether it is over, and why. With an open alert it goes on until that is resolved. */
  const endOf = (slot: number): string | null => {
    const alert = record.current();
    if (alert !== null) {
      // Resolved in a slot that is still to be looked at again, after a restart: not over before it.
      return alert.state === 'resolved' && slotStartMs(slot + 1) >= Date.parse(alert.resolved_at ?? '') ? ALERT_RESOLVED : null;
    }
    if (silentFor(candidate, slot) > SLOTS_PER_DAY) return `no call of ${candidate} for a day`;
    if (silentFor(baseline, slot) > SLOTS_PER_DAY) return `no call of ${baseline} for a day`;
    if (slot - comparison.settings().opened_slot > FOURTEEN_DAYS) return 'fourteen days without a verdict';
    return null;
  };

  /** What this process filed last. */
  let filed: { readonly slot: number; readonly why: string } | null = null;
  const file = (state: 'open' | 'closed', why: string): void => {
    filed = { slot: comparison.slot(), why };
    rows.comparison({ identity: comparison.identity, settings: comparison.settings(), snapshot: comparison.snapshot() }, state, why);
  };

  return {
    comparison,
    async feed(slot, active, rangeRows) {
      if (comparison.slot() >= slot) {
        comparison.refill(slot, ...(await rangeRows.both(key, slot)));
        return;
      }
      comparison.count(slot, countArms(arms, active));
      await followTakeover(slot);
      const compared = strataOver(slot, arms, comparison.settings(), held);
      const [calls, scores] = await rangeRows.both(key, slot);
      const outcome = comparison.feed(slot, calls, scores, left.settled, compared);
      fed = { slot, evidence: outcome.strata.length === 0 ? null : outcome };
      const plan = comparison.settings().before_after;
      const isTurn = (slot + turn) % GUARDED_EVERY === 0 && areTimesGuarded(plan, slot);
      if (isTurn || comparison.judged.isHeardAt(slot)) await guard(slot, isTurn);
      if (plan === null || plan.ended_slot !== null || slot >= lastSlotOf(plan)) held = new Map();
      if (outcome.strata.length === 0) return;
      rows.strata(comparison_id, slot, outcome);
      kept?.push(...outcome.strata);
    },
    async conclude(slot, context) {
      if (fed?.slot !== slot) return null;
      // A decision reads what is durable, so the strata are written first. Then take back, resolve, close.
      const decided = fed.evidence === null ? null : await decide(slot, fed.evidence, context);
      const alerts = [decided, record.untoldIn(slot), revise(slot), await resolveSilent(slot)].filter((alert) => alert !== null);
      const update = alerts.length === 0 ? await renew(slot) : null;
      const end = endOf(slot);
      if (end !== null) file('closed', end);
      return { e_value: fed.evidence?.e_value ?? null, alerts, update, end };
    },
    record: { alert: record.current, adopt: record.adopt },
    keep() {
      const why = reason === '' ? comparison.leftOut() : reason;
      if (filed === null || filed.why !== why || comparison.changed() > filed.slot) file('open', why);
    },
    tapes: () => held.values(),
  };
}

/** Evidence that accuses nobody. */
function unfoundReason({ controls }: Evidence, { guards }: ComparisonSettings): string {
  const [guard] = guards;
  if (guard !== undefined) return guard.reason;
  return controls !== null && [...controls.values()].some(({ moved }) => moved >= CONTROLS_MOVED) ? 'prompts that did not change moved as well' : 'there is a difference, but within the tolerance';
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Comparison } from '../../../analyzer/look/comparison.ts';
import { inCurrentForm } from '../../../analyzer/look/snapshot.ts';
import { factorNamed } from '../../../analyzer/look/factors.ts';
import type { CallObservation, ScoreObservation } from '../../../analyzer/look/observations.ts';
import { openComparison } from '../../../analyzer/look/opening.ts';
import { ConfigFile } from '../../../schemas/config.ts';
import { metricSettingsFor } from '../../../schemas/metric-settings.ts';
import { normal, seeded } from '../../statistics/traffic.ts';
import { atSlot, call, FIRST_SLOT, scoreOf } from './observed.ts';

/** What the first form of this program wrote down of a comparison after 41 slots of this traffic. */
const kept = JSON.parse(readFileSync(join(import.meta.dirname, 'kept', 'first-form.json'), 'utf8'));
const KEPT_SLOTS = 41;

const policy = (name: string, kind: 'signal' | 'numeric' | 'boolean') => metricSettingsFor(ConfigFile.parse({}), 'p', name, kind === 'boolean' ? 'rate' : 'score');
const random = seeded(11);

/** Calls and scores of one slot, on three models before the opening and on two after it. */
const rowsOf = (slot: number): { readonly calls: CallObservation[]; readonly scores: ScoreObservation[] } => {
  const calls = Array.from({ length: 4 }, (_, index) =>
    call(slot, {
      trace_id: `${slot}/${index}`, version: slot > 0 && index === 0 ? 'v2' : 'v1', start_ms: atSlot(slot) + index * 7000, response_model: slot < 0 && index === 3 ? 'm-3' : index % 2 === 0 ? 'm-1' : 'm-2', is_error: random() < 0.05, duration_ms: Math.round(900 * Math.exp(0.2 * normal(random))),
    }));
  return { calls, scores: calls.filter(({ is_error }) => !is_error).map((judged) => scoreOf(judged, slot, Math.round(20 * random()) / 20)) };
};
const hour = Array.from({ length: 30 }, (_, slot) => rowsOf(slot - 30));
const slots = Array.from({ length: 60 }, (_, slot) => rowsOf(slot + 1));
const opened = openComparison({
  factor: factorNamed('prompt_version'), group: '', slot: FIRST_SLOT, baseline: 'v1', candidate: 'v2', opened_ms: atSlot(0), alpha: 0.01, stake: 1, session_window_s: 0, policy,
  calls: hour.flatMap(({ calls }) => calls), scores: hour.flatMap(({ scores }) => scores),
});
/** The first form is older than bets on tails. */
const opening = { ...opened, settings: { ...opened.settings, metrics: Object.fromEntries(Object.entries(opened.settings.metrics).map(([name, metric]) => [name, { ...metric, tail: false }])) } };
const identity = { project: 'p', environment: 'e', prompt_name: 'p', factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0, comparison_id: 'c' } as const;
const feed = (comparison: Comparison, from: number, to: number): void => {
  for (const [at, { calls, scores }] of slots.slice(from, to).entries()) comparison.feed(FIRST_SLOT + from + at + 1, calls, scores, new Map());
};

/** It was kept when a power was rounded as Node.js before 24 does, one or two units in the last place away from what it is now. */
const toTwelveDigits = (value: unknown): unknown => JSON.parse(JSON.stringify(value), (_, inner: unknown) => (typeof inner === 'number' ? Number(inner.toPrecision(12)) : inner));

it('what an earlier version kept is, but for the last digits, what is kept now', () => {
  const now = new Comparison(identity, { ...opening, policy });
  feed(now, 0, KEPT_SLOTS);
  expect(toTwelveDigits(inCurrentForm(kept))).toEqual(toTwelveDigits(now.snapshot()));
  expect(inCurrentForm(JSON.parse(JSON.stringify(now.snapshot())))).toEqual(JSON.parse(JSON.stringify(now.snapshot())));
});

it('a comparison that an earlier version kept goes on as one that was never disturbed; one that this version kept, bit by bit', () => {
  const undisturbed = new Comparison(identity, { ...opening, policy });
  feed(undisturbed, 0, KEPT_SLOTS);
  const ofNow = JSON.parse(JSON.stringify(undisturbed.snapshot()));
  feed(undisturbed, KEPT_SLOTS, slots.length);
  const goneOn = (snapshot: Parameters<typeof inCurrentForm>[0]): Comparison => {
    const comparison = new Comparison(identity, { settings: opening.settings, schedule: [], policy }, inCurrentForm(snapshot));
    for (const [at, { calls, scores }] of slots.slice(0, KEPT_SLOTS).entries()) comparison.refill(FIRST_SLOT + at + 1, calls, scores);
    feed(comparison, KEPT_SLOTS, slots.length);
    return comparison;
  };
  const exact = goneOn(ofNow);
  expect(exact.snapshot()).toEqual(undisturbed.snapshot());
  expect(exact.evidence()).toEqual(undisturbed.evidence());
  const taken = goneOn(kept);
  expect(toTwelveDigits(taken.snapshot())).toEqual(toTwelveDigits(undisturbed.snapshot()));
  expect(toTwelveDigits(taken.evidence())).toEqual(toTwelveDigits(undisturbed.evidence()));
});

it('what is in no form that this version knows is refused, whatever it lacks', () => {
  const now = JSON.parse(JSON.stringify(new Comparison(identity, { ...opening, policy }).snapshot()));
  expect(() => inCurrentForm({ ...now, form: 9 })).toThrow('of form 9');
  expect(() => inCurrentForm({ ...now, evidence: undefined, slot: undefined })).toThrow('the snapshot has no slot, evidence');
});

import { SIGNAL_METRICS, isSignalMetric } from '../metrics/index.ts';
import { createCrowd } from './crowd.ts';
import type { CallObservation, ScoreObservation, Seen } from './observations.ts';
import { slotOf, SLOTS_PER_HOUR } from '../slots.ts';
import { unitIdOf } from './prompt-units.ts';

/**
 * The units of one prompt by the slot in which their call *started*, kept while times are compared with times. By start, because
 * right after a cutover only quick calls of the new version have ended: by arrival it would look faster than it is.
 *
 * A unit is a session, or a trace without one, by its first call, and counts once in an hour of the clock. An hour, because a tape can be
 * made again from any hour on, so that comparisons share it and a restart has the same one.
 */
export type Tape = {
  /** What arrived in a slot, in order of slots. */
  record(slot: number, calls: readonly CallObservation[], scores: readonly ScoreObservation[]): void;
  /** All readings of a metric whose calls started in slots [from, to) and that had arrived by a slot. */
  read(metric: string, range: { readonly from: number; readonly to: number; readonly arrivedBy: number }): Iterable<Reading>;
  /** Names of the scores on it. */
  scoreNames(): readonly string[];
  /** Slots from start to arrival that this share of calls (or scores) needed, at most `LONGEST_WAIT`. */
  waitOf(what: 'calls' | 'scores', share: number): number;
  /** The first slot that it has. */
  readonly from: number;
};

export type Reading = { readonly seen: Seen; readonly value: number };

/** One metric's readings in one start slot, in columns: a tape holds hours. */
type Column = { readonly kinds: number[]; readonly values: number[]; readonly arrived: number[] };

/** Ten minutes: what takes longer is never counted when times are compared. */
export const LONGEST_WAIT = 20;

/** @param from the first arrival slot; the beginning of an hour. */
export function createTape(from: number): Tape {
  const slots = new Map<number, Map<string, Column>>();
  const kinds: Seen[] = [];
  const kindOf = new Map<string, number>();
  const crowd = createCrowd();
  const names = new Set<string>();
  const none = (): number[] => Array.from({ length: LONGEST_WAIT + 2 }, () => 0);
  const waits = { calls: none(), scores: none() };
  let hour = -1;
  const met = new Set<string>();

  const intern = (seen: Seen): number => {
    const { version, request_model, response_model, operation, route, provider, service_name, app_version, prompt_content, attributes } = seen;
    const key = `${version}\0${request_model}\0${response_model}\0${operation}\0${route}\0${provider}\0${service_name}\0${app_version}\0${prompt_content}\0${textOf(attributes)}`;
    const known = kindOf.get(key);
    if (known !== undefined) return known;
    kinds.push(seen);
    kindOf.set(key, kinds.length - 1);
    return kinds.length - 1;
  };

  const put = (metric: string, started: number, reading: { readonly kind: number; readonly value: number; readonly arrived: number }): void => {
    let page = slots.get(started);
    if (page === undefined) slots.set(started, (page = new Map()));
    let column = page.get(metric);
    if (column === undefined) page.set(metric, (column = { kinds: [], values: [], arrived: [] }));
    column.kinds.push(reading.kind);
    column.values.push(reading.value);
    column.arrived.push(reading.arrived);
  };

  const isFirst = (id: string): boolean => met.size < met.add(id).size;
  const waited = (what: 'calls' | 'scores', needed: number): void => {
    const at = Math.max(0, Math.min(LONGEST_WAIT + 1, needed));
    waits[what][at] = (waits[what][at] ?? 0) + 1;
  };

  return {
    from,
    record(slot, calls, scores) {
      if (Math.floor(slot / SLOTS_PER_HOUR) !== hour) met.clear();
      hour = Math.floor(slot / SLOTS_PER_HOUR);
      for (const call of calls) {
        crowd.count(call.session_id);
        if (!isFirst(unitIdOf(call, crowd))) continue;
        const started = slotOf(call.start_ms);
        waited('calls', slot - started);
        const kind = intern(call.seen);
        for (const { name, among, read } of SIGNAL_METRICS) {
          if (among === 'successes' && call.is_error) continue;
          const value = read(call);
          if (value !== null) put(name, started, { kind, value, arrived: slot });
        }
      }
      for (const score of scores) {
        if (isSignalMetric(score.name) || !isFirst(`${score.name}\0${unitIdOf(score, crowd)}`)) continue;
        const started = slotOf(score.start_ms);
        waited('scores', slot - started);
        names.add(score.name);
        put(score.name, started, { kind: intern(score.seen), value: score.value, arrived: slot });
      }
    },
    *read(metric, range) {
      for (let slot = range.from; slot < range.to; slot += 1) {
        const column = slots.get(slot)?.get(metric);
        if (column === undefined) continue;
        for (const [at, value] of column.values.entries()) {
          const seen = kinds[column.kinds[at] ?? -1];
          if (seen !== undefined && (column.arrived[at] ?? 0) <= range.arrivedBy) yield { seen, value };
        }
      }
    },
    scoreNames: () => [...names].sort(),
    waitOf(what, share) {
      const total = waits[what].reduce((sum, count) => sum + count, 0);
      let seen = 0;
      for (let wait = 0; wait <= LONGEST_WAIT; wait += 1) {
        seen += waits[what][wait] ?? 0;
        if (total > 0 && seen >= share * total) return Math.max(1, wait);
      }
      return total === 0 ? 1 : LONGEST_WAIT;
    },
  };
}

function textOf(attributes: Readonly<Record<string, string>>): string {
  let text = '';
  for (const name in attributes) text += `${name}=${attributes[name] ?? ''}\0`;
  return text;
}

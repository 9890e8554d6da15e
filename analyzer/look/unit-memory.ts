import { SLOTS_PER_DAY } from '../slots.ts';

/** What is remembered of a unit: the arm that it counted for (null: none), its first call where that alone counted, the slot of its last call, the score names that it counted under. */
type Memory = { readonly arm: 'a' | 'b' | null; readonly firstSpan: string | null; readonly slot: number; readonly scored: ReadonlySet<string> };
export const NO_NAMES: ReadonlySet<string> = new Set();

/** Beyond so many, sets are not shared: names that are different each time have no use for it. */
const MOST_NAME_SETS = 1_000;

/** Adds a name to a set of names. Equal sets are one object: units are scored under the same few, and a set for each was a sixth of what a comparison holds. */
export function createNameSets(): (names: ReadonlySet<string>, name: string) => ReadonlySet<string> {
  const sets = new Map<string, ReadonlySet<string>>();
  return (names, name) => {
    if (names.has(name)) return names;
    const all = [...names, name].sort();
    const key = JSON.stringify(all);
    const known = sets.get(key);
    if (known !== undefined) return known;
    const made = new Set(all);
    if (sets.size < MOST_NAME_SETS) sets.set(key, made);
    return made;
  };
}

/** Units that a comparison remembers, some 20 MB: beyond them the one that was met longest ago is forgotten before its day is over. */
const MAX_REMEMBERED = 100_000;

/** Units that were met within the last day and are no longer watched, each with the arm that it counted for. */
export function createDayMemory(maximum = MAX_REMEMBERED) {
  const units = new Map<string, Memory>();
  let forgottenEarly = 0;
  return {
    get(id: string, slot: number): Memory | null {
      const memory = units.get(id);
      return memory === undefined || slot - memory.slot >= SLOTS_PER_DAY ? null : memory;
    },
    keep(id: string, memory: Memory): void {
      units.delete(id);
      units.set(id, memory);
    },
    /** Nearly in the order of their slots; one that stands a little behind is not found either way. */
    forget(slot: number): void {
      for (const [id, memory] of units) {
        const isOver = slot - memory.slot >= SLOTS_PER_DAY;
        if (!isOver && units.size <= maximum) break;
        if (!isOver) forgottenEarly += 1;
        units.delete(id);
      }
    },
    /** They would count again if they came again within the day. */
    forgottenEarly: () => forgottenEarly,
  };
}

export type Crowd = { readonly isCrowd: (session: string) => boolean; readonly count: (session: string | null) => void };

/** A session with more than this share of the last 1,000 calls is no session. */
export const CROWD_CALLS = 1_000;
const CROWD_SHARE = 0.05;

/** Sessions among the last 1,000 calls: an id that stands on more than 5 % of them is a constant, not a session. */
export function createCrowd(): Crowd {
  const recent: (string | null)[] = [];
  let next = 0;
  const calls = new Map<string, number>();
  return {
    isCrowd: (session) => recent.length === CROWD_CALLS && (calls.get(session) ?? 0) > CROWD_CALLS * CROWD_SHARE,
    count(session) {
      const forgotten = recent[next] ?? null;
      if (forgotten !== null) {
        const left = (calls.get(forgotten) ?? 1) - 1;
        if (left === 0) calls.delete(forgotten);
        else calls.set(forgotten, left);
      }
      recent[next] = session;
      next = (next + 1) % CROWD_CALLS;
      if (session !== null) calls.set(session, (calls.get(session) ?? 0) + 1);
    },
  };
}

/** Those among the sessions of the last 1,000 calls that are none. */
export function crowdAmong(sessions: readonly (string | null)[]): string[] {
  const crowd = createCrowd();
  for (const session of sessions) crowd.count(session);
  return [...new Set(sessions)].filter((session) => session !== null).filter(crowd.isCrowd);
}

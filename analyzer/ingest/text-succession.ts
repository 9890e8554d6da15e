/**
 * Whether texts under one name followed one another, or live beside each other.
 *
 * A system prompt as it was sent may hold a date, a user's name or a language, and a name may cover several prompts; those must not be compared as
 * if one were an edit of the other. What tells an edit from them is time: texts that live beside each other are seen within minutes of each
 * other, an edit comes after its predecessor was alone for long. So a second text counts only if the first was alone for ten minutes and 100
 * calls, and a third within the hour makes all of them count for nothing. (A share of the calls was tried instead: three languages of one agent
 * passed for versions.)
 *
 * What was seen is kept in memory, bounded. A call that waits for an ancestor is seen twice.
 */
const HOUR_MS = 3_600_000;
const ALONE_MS = 600_000;
const ALONE_CALLS = 100;
/** Texts of one name that are told apart: with the third none counts any more. */
const MOST_TEXTS = 3;

type Seen = {
  /** By fingerprint, the one that was seen longest ago first: when it was last seen. */
  readonly lastMs: Map<string, number>;
  /** Since when there is one text only, and how many calls it had. */
  alone: { readonly sinceMs: number; calls: number } | null;
  /** The second text came after the first had been alone for long. */
  isSuccession: boolean;
};

export type TextSuccession = {
  /** One call of a text under a name. `hasCounted`: an earlier process took it for one that counts. Returns whether it counts. */
  see(name: string, call: { readonly fingerprint: string; readonly stampMs: number; readonly hasCounted: boolean }): boolean;
};

/** @param mostRemembered names; beyond it the one that was idle longest is forgotten. */
export function createTextSuccession(mostRemembered: number): TextSuccession {
  const names = new Map<string, Seen>();

  const seenUnder = (name: string): Seen => {
    const seen = names.get(name) ?? { lastMs: new Map<string, number>(), alone: null, isSuccession: false };
    names.delete(name);
    names.set(name, seen);
    const [idlest] = names.keys();
    if (names.size > mostRemembered && idlest !== undefined) names.delete(idlest);
    return seen;
  };

  return {
    see(name, { fingerprint, stampMs, hasCounted }) {
      const seen = seenUnder(name);
      const { lastMs } = seen;
      for (const [known, at] of lastMs) {
        if (at > stampMs - HOUR_MS) break;
        lastMs.delete(known);
      }
      const isNew = !lastMs.delete(fingerprint);
      if (lastMs.size === MOST_TEXTS) lastMs.delete(lastMs.keys().next().value ?? '');
      lastMs.set(fingerprint, stampMs);
      if (lastMs.size === 1) {
        if (isNew || seen.alone === null) seen.alone = { sinceMs: stampMs, calls: 0 };
        seen.alone.calls += 1;
      } else if (isNew && lastMs.size === 2) {
        seen.isSuccession = hasCounted || (seen.alone !== null && stampMs - seen.alone.sinceMs >= ALONE_MS && seen.alone.calls >= ALONE_CALLS);
        seen.alone = null;
      }
      return lastMs.size === 1 || (lastMs.size === 2 && seen.isSuccession);
    },
  };
}

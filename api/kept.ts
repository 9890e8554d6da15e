import type { Found } from './comparisons.ts';
import type { Tolerances } from './tolerances.ts';

/** What was made of a comparison, until its next look or its alert: it is pure of what was stored by then. The longest not asked for goes first. */
export type Kept<T> = {
  get(found: Found, tolerances: Tolerances): Promise<T> | undefined;
  /** Returns `made`. A failure is not kept; whoever awaits it gets it. */
  set(found: Found, tolerances: Tolerances, made: Promise<T>): Promise<T>;
};

export function createKept<T>(most: number): Kept<T> {
  const kept = new Map<string, { readonly looks: number; readonly alert_id: string | null; readonly made: Promise<T> }>();
  const keyOf = ({ comparison }: Found, tolerances: Tolerances): string => JSON.stringify([comparison.id, tolerances]);
  return {
    get(found, tolerances) {
      const key = keyOf(found, tolerances);
      const known = kept.get(key);
      if (known === undefined || known.looks !== found.comparison.looks || known.alert_id !== found.comparison.alert_id) return undefined;
      kept.delete(key);
      kept.set(key, known);
      return known.made;
    },
    set(found, tolerances, made) {
      const { looks, alert_id } = found.comparison;
      const key = keyOf(found, tolerances);
      kept.delete(key);
      kept.set(key, { looks, alert_id, made });
      made.catch(() => kept.get(key)?.made === made && kept.delete(key));
      const oldest = kept.keys().next();
      if (kept.size > most && oldest.done !== true) kept.delete(oldest.value);
      return made;
    },
  };
}

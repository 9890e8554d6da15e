import { seriesName } from './series.ts';
import { selectPulse, type Place, type Pulse } from './pulse.ts';
import type { Store } from '../../../schemas/store.ts';
import { SLOTS_PER_HOUR } from '../../slots.ts';
import { addCounts } from '../../statistics/add-counts.ts';

/**
 * The pulse of the last hour, summed over slots for each metric, prompt and route. What a model is held against is learnt from it at every half hour,
 * and asking the store for it again cost a quarter of a replay. The newest slots are kept apart: what is not settled yet is no reference.
 *
 * A pulse counts a unit by the hour of the clock, whatever range of slots it is read in, so these sums are those of one SELECT over the same slots.
 */
export type PulseMemory = {
  /** What was seen in a slot; slots come in order. */
  record(slot: number, pulses: readonly Pulse[]): void;
  /** The sums of slots [slot − 120, slot − 10) of one request model or provider, for a slot that begins a half hour. Null: of everything. */
  hourBefore(slot: number, place: Place | null): Pulse[];
};

export const HALF_HOUR = SLOTS_PER_HOUR / 2;
/** Slots. */
export const UNSETTLED = 10;

/** What `hourBefore` of a memory says of everything, from the store and slot by slot: where there is no memory yet. */
export function selectHourBefore(store: Store, slot: number): Promise<Pulse[]> {
  return selectPulse(store, { from: Math.max(1, slot - SLOTS_PER_HOUR), to: Math.max(1, slot - UNSETTLED) });
}

/** Series in one half hour; only a route that is different in every call makes so many, and none of those would be a reference. */
const MOST_SERIES = 100_000;

/** Three make the hour before; the fourth is the newest five minutes, the fifth is being recorded. */
const PARTS_KEPT = 5;

/** By request model and series. */
type Sums = { readonly places: Map<string, Map<string, { readonly first: Pulse; readonly counts: Map<number, number> }>>; series: number };

export function createPulseMemory(): PulseMemory {
  /** Two parts a half hour: its first 25 minutes and its last five, which are too new to be a reference when it ends. */
  const parts = new Map<number, Sums>();
  const placeName = ({ project, environment }: Pick<Pulse, 'project' | 'environment'>, model: string): string => `${project}\0${environment}\0${model}`;
  const partOf = (slot: number): number => 2 * Math.floor(slot / HALF_HOUR) + (slot % HALF_HOUR < HALF_HOUR - UNSETTLED ? 0 : 1);

  return {
    record(slot, pulses) {
      const part = partOf(slot);
      let sums = parts.get(part);
      if (sums === undefined) {
        parts.set(part, (sums = { places: new Map(), series: 0 }));
        for (const known of parts.keys()) if (known < part - PARTS_KEPT) parts.delete(known);
      }
      for (const pulse of pulses) {
        const place = placeName(pulse, pulse.request_model);
        let ofPlace = sums.places.get(place);
        if (ofPlace === undefined) sums.places.set(place, (ofPlace = new Map()));
        const name = `${seriesName(pulse)}\0${pulse.version}\0${pulse.provider}`;
        let series = ofPlace.get(name);
        if (series === undefined) {
          if (sums.series >= MOST_SERIES) continue;
          sums.series += 1;
          ofPlace.set(name, (series = { first: pulse, counts: new Map() }));
        }
        addCounts(series.counts, pulse.bins, pulse.counts);
      }
    },
    hourBefore(slot, place) {
      const now = partOf(slot);
      const isOf = (pulse: Pulse): boolean => place === null || (pulse.project === place.project && pulse.environment === place.environment && (place.by === 'model' || pulse.provider === place.of));
      return [now - 4, now - 3, now - 2].flatMap((part) => {
        const places = parts.get(part)?.places;
        const asked = place?.by === 'model' ? [places?.get(placeName(place, place.of))] : [...(places?.values() ?? [])];
        return asked.flatMap((series) => [...(series?.values() ?? [])].filter(({ first }) => isOf(first)).map(({ first, counts }) => ({ ...first, bins: [...counts.keys()], counts: [...counts.values()] })));
      });
    },
  };
}

/** Of one family. `units`: of arm a and arm b in turn, slot by slot from `first` on; before and after it there were none. */
export type SlotCountsState = { readonly first: number; readonly units: readonly number[] };

export const NO_COUNTS: SlotCountsState = { first: 0, units: [] };

type Units = Uint8Array | Uint16Array | Uint32Array;

/**
 * Units of each arm by slot, of the last hour, for all families of a comparison, which are named by their place. One array, as narrow as the largest
 * count lets it be, because each open comparison has one: with an array of its own a family costs 200 bytes beside its counts.
 */
export class SlotCounts {
  #families: number;
  #first: number;
  /** Slot by slot from the first on, family by family, arm a and arm b. */
  #units: Units;

  /** @param states of families, in the order of their places. */
  constructor(states: readonly SlotCountsState[]) {
    const counted = states.filter(({ units }) => units.length > 0);
    this.#families = states.length;
    this.#first = counted.length === 0 ? NO_COUNTS.first : Math.min(...counted.map(({ first }) => first));
    const next = Math.max(this.#first, ...counted.map(({ first, units }) => first + units.length / 2));
    const all = Array<number>(this.#at(0, next)).fill(0);
    for (const [place, { first, units }] of states.entries()) {
      for (const [at, count] of units.entries()) all[this.#at(place, first + Math.floor(at / 2)) + (at % 2)] = count;
    }
    this.#units = copyOf(all, all.length);
  }

  /** One family more. Returns its place. */
  add(): number {
    const [before, after] = [2 * this.#families, 2 * (this.#families + 1)];
    const slots = this.#units.length === 0 ? 0 : this.#units.length / before;
    const units = copyOf([], slots * after, this.#units.BYTES_PER_ELEMENT);
    for (let slot = 0; slot < slots; slot += 1) units.set(this.#units.subarray(slot * before, (slot + 1) * before), slot * after);
    this.#units = units;
    this.#families += 1;
    return this.#families - 1;
  }

  /** One unit more. Slots come in order. */
  count(place: number, slot: number, arm: 'a' | 'b'): void {
    if (this.#at(place, slot) >= this.#units.length) this.#makeRoom(slot);
    const at = this.#at(place, slot) + (arm === 'a' ? 0 : 1);
    if (this.#units[at] === 2 ** (8 * this.#units.BYTES_PER_ELEMENT) - 1) this.#units = copyOf(this.#units, this.#units.length, 2 * this.#units.BYTES_PER_ELEMENT);
    this.#units[at] = (this.#units[at] ?? 0) + 1;
  }

  /** Forgets all that a family had before a slot, and sums what is left of it. */
  since(place: number, slot: number): { readonly a: number; readonly b: number } {
    const sum = { a: 0, b: 0 };
    for (let each = this.#first, at = 2 * place; at < this.#units.length; each += 1, at += 2 * this.#families) {
      if (each < slot) this.#units.fill(0, at, at + 2);
      sum.a += this.#units[at] ?? 0;
      sum.b += this.#units[at + 1] ?? 0;
    }
    return sum;
  }

  state(place: number): SlotCountsState {
    const units: number[] = [];
    for (let at = 2 * place; at < this.#units.length; at += 2 * this.#families) units.push(this.#units[at] ?? 0, this.#units[at + 1] ?? 0);
    const last = units.findLastIndex(isCounted);
    if (last < 0) return NO_COUNTS;
    const skipped = Math.floor(units.findIndex(isCounted) / 2);
    return { first: this.#first + skipped, units: units.slice(2 * skipped, 2 * (Math.floor(last / 2) + 1)) };
  }

  #at(place: number, slot: number): number {
    return 2 * ((slot - this.#first) * this.#families + place);
  }

  /** For a slot after the others: where slots were that all families have forgotten, else behind. */
  #makeRoom(slot: number): void {
    const kept = this.#units.findIndex(isCounted);
    const first = kept < 0 ? slot : this.#first + Math.floor(kept / (2 * this.#families));
    const gone = Math.min(this.#at(0, first), this.#units.length);
    this.#units.copyWithin(0, gone).fill(0, this.#units.length - gone);
    this.#first = first;
    if (this.#at(0, slot) >= this.#units.length) this.#units = copyOf(this.#units, 2 * this.#families * Math.ceil(1.25 * (slot - first + 1)));
  }
}

const isCounted = (units: number): boolean => units > 0;

/** @param size of the copy. @param bytes of each number, at least. */
function copyOf(units: ArrayLike<number>, size: number, bytes = 1): Units {
  const largest = Array.from(units).reduce((most, each) => Math.max(most, each), 0);
  const copy = bytes <= 1 && largest < 2 ** 8 ? new Uint8Array(size) : bytes <= 2 && largest < 2 ** 16 ? new Uint16Array(size) : new Uint32Array(size);
  copy.set(units);
  return copy;
}

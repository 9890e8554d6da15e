/** `units`: of arm a and arm b in turn, slot by slot from `first` on; before and after it there were none. */
export type SlotCountsState = { readonly first: number; readonly units: readonly number[] };

export const NO_COUNTS: SlotCountsState = { first: 0, units: [] };

type Units = Uint8Array | Uint16Array | Uint32Array;

/** Units of each arm by slot, of the last hour: as narrow as the largest count lets them be, because there is one of these for each family of each comparison. */
export class SlotCounts {
  #first: number;
  #units: Units;

  constructor({ first, units }: SlotCountsState = NO_COUNTS) {
    this.#first = first;
    this.#units = copyOf(units, units.length);
  }

  /** One unit more. Slots come in order. */
  count(slot: number, arm: 'a' | 'b'): void {
    if (this.#units.length === 0) this.#first = slot;
    const at = 2 * (slot - this.#first) + (arm === 'a' ? 0 : 1);
    if (at >= this.#units.length) this.#units = copyOf(this.#units, 2 * Math.ceil(1.25 * (slot - this.#first + 1)));
    if (this.#units[at] === 2 ** (8 * this.#units.BYTES_PER_ELEMENT) - 1) this.#units = copyOf(this.#units, this.#units.length, 2 * this.#units.BYTES_PER_ELEMENT);
    this.#units[at] = (this.#units[at] ?? 0) + 1;
  }

  /** Forgets all of before a slot, and sums what is left. */
  since(slot: number): { readonly a: number; readonly b: number } {
    const gone = Math.min(Math.max(0, 2 * (slot - this.#first)), this.#units.length);
    if (gone > 0) {
      this.#units.copyWithin(0, gone).fill(0, this.#units.length - gone);
      this.#first = slot;
    }
    const sum = { a: 0, b: 0 };
    for (const [at, units] of this.#units.entries()) sum[at % 2 === 0 ? 'a' : 'b'] += units;
    return sum;
  }

  state(): SlotCountsState {
    const isCounted = (units: number): boolean => units > 0;
    const last = this.#units.findLastIndex(isCounted);
    if (last < 0) return NO_COUNTS;
    const skipped = Math.floor(this.#units.findIndex(isCounted) / 2);
    return { first: this.#first + skipped, units: Array.from(this.#units.subarray(2 * skipped, 2 * (Math.floor(last / 2) + 1))) };
  }
}

/** @param size of the copy. @param bytes of each number, at least. */
function copyOf(units: ArrayLike<number>, size: number, bytes = 1): Units {
  const largest = Array.from(units).reduce((most, each) => Math.max(most, each), 0);
  const copy = bytes <= 1 && largest < 2 ** 8 ? new Uint8Array(size) : bytes <= 2 && largest < 2 ** 16 ? new Uint16Array(size) : new Uint32Array(size);
  copy.set(units);
  return copy;
}

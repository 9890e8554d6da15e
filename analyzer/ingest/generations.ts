/**
 * A map that forgets its oldest half when it is full: two generations of at most `capacity` entries each. Constant cost,
 * bounded memory, and it can say since when it has forgotten nothing.
 */
export type Generations<Key, Value> = {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  /** Oldest first; one that was set again may come twice. */
  values(): Iterable<Value>;
};

/** @param onRotate called when the older generation is dropped and a new one begins. */
export function createGenerations<Key, Value>(capacity: number, onRotate: () => void = () => {}): Generations<Key, Value> {
  let young = new Map<Key, Value>();
  let old = new Map<Key, Value>();
  return {
    get: (key) => young.get(key) ?? old.get(key),
    set(key, value) {
      if (young.size >= capacity) {
        old = young;
        young = new Map();
        onRotate();
      }
      young.set(key, value);
    },
    delete(key) {
      young.delete(key);
      old.delete(key);
    },
    *values() {
      yield* old.values();
      yield* young.values();
    },
  };
}

/** Chance that is the same for a seed everywhere: for simulations and audits, never for bets. */

/** Mulberry32 (Ettinger 2017): uniform in [0, 1). */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Of mean `mean` ≥ 0: by products of uniforms (Knuth), in parts of 30 so that nothing underflows. */
export const poisson = (random: () => number, mean: number): number => {
  let events = 0;
  for (let left = mean; left > 0; left -= 30) {
    const floor = Math.exp(-Math.min(left, 30));
    for (let product = random(); product > floor; product *= random()) events += 1;
  }
  return events;
};

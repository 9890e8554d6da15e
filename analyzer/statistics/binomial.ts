/**
 * A share of so many independent runs, with its interval: exact, after Clopper and Pearson 1934 ("The use of confidence or fiducial limits
 * illustrated in the case of the binomial"): never narrower than its confidence.
 */
export const binomialInterval = ({ found, runs, confidence = 0.95 }: { readonly found: number; readonly runs: number; readonly confidence?: number }): { readonly low: number; readonly high: number } => {
  const outside = (1 - confidence) / 2;
  return {
    low: found === 0 ? 0 : root((chance) => outside - atLeast(found, runs, chance)),
    high: found >= runs ? 1 : root((chance) => 1 - atLeast(found + 1, runs, chance) - outside),
  };
};

/** P(found or more of `runs`), at this chance each. */
export const atLeast = (found: number, runs: number, chance: number): number => {
  if (found <= 0) return 1;
  if (chance <= 0) return 0;
  if (chance >= 1) return found <= runs ? 1 : 0;
  const logOdds = Math.log(chance) - Math.log1p(-chance);
  let logTerm = runs * Math.log1p(-chance);
  let below = 0;
  for (let count = 0; count < found; count++) {
    below += Math.exp(logTerm);
    logTerm += Math.log((runs - count) / (count + 1)) + logOdds;
  }
  return Math.max(0, 1 - below);
};

/** Of a function that falls over (0, 1). */
const root = (of: (x: number) => number): number => {
  let [low, high] = [0, 1];
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (of(middle) > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
};

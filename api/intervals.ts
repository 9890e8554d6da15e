/**
 * Intervals of one version by itself, for the page. Pure: numbers in, numbers out. They describe; they decide nothing:
 * versions are compared by the stratified e-process, never by whether two of these overlap.
 */
export type Interval = { low: number; high: number; method: 'wilson' | 'asymptotic_cs' };

/**
 * Wilson's score interval for a share, 95 % at one look (Wilson 1927; no continuity correction).
 * `rate` is the mean of n outcomes in [0, 1]. Null for n = 0.
 */
export function wilson(n: number, rate: number): Interval | null {
  if (n <= 0) return null;
  const z2 = 1.959963984540054 ** 2;
  const centre = (rate + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Math.sqrt(z2) / (1 + z2 / n)) * Math.sqrt((rate * (1 - rate)) / n + z2 / (4 * n * n));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half), method: 'wilson' };
}

/**
 * Asymptotic confidence sequence for a mean, 95 % over all looks (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024,
 * "Time-uniform central limit theory and asymptotic confidence sequences", Theorem 2.2), tightest near n = 500.
 * Assumes independent values with more than two moments. Null below 30 values, where the limit has not set in.
 */
export function asymptoticConfidenceSequence(n: number, mean: number, variance: number): Interval | null {
  if (n < 30 || !(variance >= 0)) return null;
  const alpha = 0.05;
  // Eq. (9) there: rho that makes the bound tightest at n = 500.
  const rho2 = (-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha) + 1)) / 500;
  const scaled = n * rho2 + 1;
  const half = Math.sqrt(variance) * Math.sqrt(((2 * scaled) / (n * n * rho2)) * Math.log(Math.sqrt(scaled) / alpha));
  return { low: mean - half, high: mean + half, method: 'asymptotic_cs' };
}

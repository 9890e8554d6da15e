/**
 * Coefficients of ∏ (1 + t·exp(x_i)), the generating function of subset sums, by Cauchy's integral.
 *
 * For any τ, with p_i = σ(τ + x_i),
 *     [t^k] ∏ (1 + t·exp(x_i)) = exp( Σ log(1 + exp(τ + x_i)) − kτ ) · P(K = k),     K a sum of independent Bernoulli(p_i)
 * and τ is chosen so that E K = k (the saddlepoint; Daniels 1954). P(K = k) is the mean of the characteristic function over N points
 * of the circle, exact but for P(K = k ± N, k ± 2N, …), which Bernstein's inequality bounds by 2·exp(−N²/(2(V + N/3))), V = Var K;
 * N is taken so that this is below e^−32 of P(K = k). The characteristic function is at most exp(−V(1 − cos θ)), so that some
 * thirty points matter whatever n is. (Hong 2013, "On computing the distribution function for the Poisson binomial", uses the same
 * sum, untilted and with N = n + 1.)
 */

const LOG_ALIASING = 32;
/** Points with a characteristic function below exp(−this) are left out; P(K = k) is above 1/(4·√(V + 1)). */
const LOG_NEGLIGIBLE = 48;
const NEWTON_STEPS = 60;

/**
 * log [t^k] ∏ (1 + t·exp(x_i))^count_i.
 * @param x log weights, any size, @param count whole and positive, @param k 0 < k < Σ count.
 */
export const logCoefficient = (x: ArrayLike<number>, count: ArrayLike<number>, k: number): number => {
  const units = total(count);
  const tilt = saddlepoint(x, count, k, units);
  let logNormaliser = -k * tilt;
  let variance = 0;
  const probabilities = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const logOdds = tilt + (x[i] ?? 0);
    const probability = sigmoid(logOdds);
    probabilities[i] = probability;
    variance += (count[i] ?? 0) * probability * sigmoid(-logOdds);
    logNormaliser += (count[i] ?? 0) * (Math.max(logOdds, 0) + Math.log1p(Math.exp(-Math.abs(logOdds))));
  }
  return logNormaliser + Math.log(probabilityOf(k, probabilities, count, variance, units));
};

const probabilityOf = (k: number, probabilities: Float64Array, count: ArrayLike<number>, variance: number, units: number): number => {
  const exponent = LOG_ALIASING + Math.log(8 * Math.sqrt(variance + 1));
  const needed = Math.ceil(exponent / 3 + Math.sqrt((exponent * exponent) / 9 + 2 * exponent * variance));
  // K ≤ n, so n + 1 points have no aliasing at all. Odd, so that all but θ = 0 come in conjugate pairs.
  const points = Math.min(needed, units + 1) | 1;
  let sum = 1;
  for (let point = 1; point <= (points - 1) / 2; point++) {
    const angle = (2 * Math.PI * point) / points;
    const cosine = Math.cos(angle);
    const sine = Math.sin(angle);
    if (variance * (1 - cosine) > LOG_NEGLIGIBLE) break;
    let logModulus = 0;
    let phase = -k * angle;
    for (let i = 0; i < probabilities.length; i++) {
      const p = probabilities[i] ?? 0;
      const units = count[i] ?? 0;
      logModulus += 0.5 * units * Math.log1p(-2 * p * (1 - p) * (1 - cosine));
      phase += units * Math.atan2(p * sine, 1 - p + p * cosine);
    }
    sum += 2 * Math.exp(logModulus) * Math.cos(phase);
  }
  return sum / points;
};

/** τ with Σ count·σ(τ + x) = k, roughly: every τ gives the right coefficient, this one the best conditioned. */
const saddlepoint = (x: ArrayLike<number>, count: ArrayLike<number>, k: number, units: number): number => {
  const logOdds = Math.log(k / (units - k));
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < x.length; i++) {
    low = Math.min(low, logOdds - (x[i] ?? 0));
    high = Math.max(high, logOdds - (x[i] ?? 0));
  }
  let tilt = (low + high) / 2;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    let mean = 0;
    let variance = 0;
    for (let i = 0; i < x.length; i++) {
      const probability = sigmoid(tilt + (x[i] ?? 0));
      mean += (count[i] ?? 0) * probability;
      variance += (count[i] ?? 0) * probability * (1 - probability);
    }
    if (Math.abs(mean - k) <= 1e-4 * Math.sqrt(variance) || high - low < 1e-12) break;
    if (mean > k) high = tilt;
    else low = tilt;
    const next = tilt - (mean - k) / variance;
    tilt = next > low && next < high ? next : (low + high) / 2;
  }
  return tilt;
};

const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

const total = (count: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < count.length; i++) sum += count[i] ?? 0;
  return sum;
};

/**
 * Whether units were divided between two arms as they were meant to be (sample ratio mismatch). If not, something chose between them, and what
 * chose may be what differs. A mixture of binomial likelihood ratios over a grid of odds, a test martingale in the number of units (Ville 1939;
 * Lindon, Malek 2022, "Anytime-valid inference for multinomial count data", has the conjugate form).
 */
const LOG_ODDS = [1.1, 1.25, 1.6, 2.5].flatMap((ratio) => [Math.log(ratio), -Math.log(ratio)]);
const LARGEST_LOG = 690;

/** @param share that the candidate is meant to have of both arms, in (0, 1). */
export const splitEvidence = (units: { readonly a: number; readonly b: number }, share: number): number => {
  const ratios = LOG_ODDS.map((lambda) => lambda * units.b - (units.a + units.b) * Math.log1p(share * Math.expm1(lambda)));
  return ratios.reduce((mean, ratio) => mean + Math.exp(Math.min(ratio, LARGEST_LOG)) / ratios.length, 0);
};

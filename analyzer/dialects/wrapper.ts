import type { Inference, Reading } from './index.ts';

/** A wrapper around inferences. It can stand for them where it says which model answered, or how many tokens that took. */
export function wrapper(said: Inference): Reading {
  const { request_model, response_model, usage } = said;
  const speaks = request_model !== null || response_model !== null || usage.input !== null || usage.output !== null;
  return speaks ? { kind: 'relative', reason: 'wrapper', aggregate: said } : { kind: 'relative', reason: 'wrapper' };
}

import type { Inference, Reading, RelativeReason } from './index.ts';

/** What stands above inferences: a chain, a workflow, a task; or an agent, which parts the inference above it from those below. */
type WrapperReason = Extract<RelativeReason, 'wrapper' | 'agent'>;

export function isWrapper(reason: RelativeReason): reason is WrapperReason {
  return reason === 'wrapper' || reason === 'agent';
}

/** A wrapper, with what it says of the inferences below it where that could stand for them: a model, or what was used. */
export function wrapper(reason: WrapperReason, said: Inference): Reading {
  const { request_model, response_model, usage } = said;
  const speaks = request_model !== null || response_model !== null || usage.input !== null || usage.output !== null;
  return speaks ? { kind: 'relative', reason, aggregate: said } : { kind: 'relative', reason };
}

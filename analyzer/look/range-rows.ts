import type { Store } from '../../schemas/store.ts';
import { bySlot, selectCalls, selectScores, type CallObservation, type PromptKey, type ScoreObservation } from './observations.ts';

/** Calls and scores of one range of slots, read from the store once, when somebody asks for a prompt's first. */
export type RangeRows = {
  calls(prompt: PromptKey, slot: number): Promise<readonly CallObservation[]>;
  scores(prompt: PromptKey, slot: number): Promise<readonly ScoreObservation[]>;
};

export function createRangeRows(store: Store, range: { readonly from: number; readonly to: number }): RangeRows {
  const keyOf = ({ project, environment, prompt_name }: PromptKey): string => `${project}\0${environment}\0${prompt_name}`;
  const once = <Row extends { readonly slot: number }>(select: (store: Store, prompt: PromptKey, range: { readonly from: number; readonly to: number }) => Promise<Row[]>) => {
    const read = new Map<string, Promise<Map<number, Row[]>>>();
    return async ({ project, environment, prompt_name }: PromptKey, slot: number): Promise<readonly Row[]> => {
      const prompt = { project, environment, prompt_name };
      const key = keyOf(prompt);
      let rows = read.get(key);
      if (rows === undefined) read.set(key, (rows = select(store, prompt, range).then(bySlot)));
      return (await rows).get(slot) ?? [];
    };
  };
  return { calls: once(selectCalls), scores: once(selectScores) };
}

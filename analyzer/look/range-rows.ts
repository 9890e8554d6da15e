import type { Store } from '../../schemas/store.ts';
import { selectCallsOf, selectScoresOf } from './call-rows.ts';
import { bySlot, promptId, type CallObservation, type PromptKey, type ScoreObservation } from './observations.ts';

/** Calls and scores of one range of slots, read from the store once, when somebody asks for a prompt's first. */
export type RangeRows = {
  calls(prompt: PromptKey, slot: number): Promise<readonly CallObservation[]>;
  scores(prompt: PromptKey, slot: number): Promise<readonly ScoreObservation[]>;
};

/** A prompt that will be asked for, and how many calls it has in the range. */
export type Expected = { readonly prompt: PromptKey; readonly calls: number };

type Range = { readonly from: number; readonly to: number };

/** In one question, which costs some 10 ms whatever it finds, and reads the range of all prompts. */
const MOST_CALLS = 20_000;
const MOST_PROMPTS = 200;

/** @param expected are read together, as many as have so many calls; others each by itself. */
export function createRangeRows(store: Store, range: Range, expected: readonly Expected[] = []): RangeRows {
  const seats = new Map<string, { readonly prompts: readonly PromptKey[]; readonly place: number }>();
  for (const prompts of groupsOf(expected)) for (const [place, prompt] of prompts.entries()) seats.set(promptId(prompt), { prompts, place });
  const seatOf = (prompt: PromptKey) => {
    const id = promptId(prompt);
    const seat = seats.get(id) ?? { prompts: [prompt], place: 0 };
    seats.set(id, seat);
    return seat;
  };
  const once = <Row extends { readonly slot: number }>(select: (store: Store, prompts: readonly PromptKey[], range: Range) => Promise<readonly (readonly Row[])[]>) => {
    const read = new Map<readonly PromptKey[], Promise<Map<number, Row[]>[]>>();
    return async (prompt: PromptKey, slot: number): Promise<readonly Row[]> => {
      const { prompts, place } = seatOf(prompt);
      let rows = read.get(prompts);
      if (rows === undefined) read.set(prompts, (rows = select(store, prompts, range).then((found) => found.map((ofPrompt) => bySlot(ofPrompt)))));
      return (await rows)[place]?.get(slot) ?? [];
    };
  };
  return { calls: once(selectCallsOf), scores: once(selectScoresOf) };
}

function groupsOf(expected: readonly Expected[]): PromptKey[][] {
  const groups: PromptKey[][] = [];
  let room = 0;
  for (const { prompt, calls } of expected) {
    let last = groups.at(-1);
    room -= calls;
    if (last === undefined || room < 0 || last.length >= MOST_PROMPTS) {
      groups.push((last = []));
      room = MOST_CALLS - calls;
    }
    last.push(prompt);
  }
  return groups;
}

import { asError } from '../../schemas/errors.ts';
import type { Store } from '../../schemas/store.ts';
import { selectCallsOf, selectScoresOf } from './call-rows.ts';
import { bySlot, promptId, type CallObservation, type PromptKey, type ScoreObservation } from './observations.ts';

/** Calls and scores of one range of slots, read from the store once, when somebody asks for a prompt's first. */
export type RangeRows = {
  calls(prompt: PromptKey, slot: number): Promise<readonly CallObservation[]>;
  /** Calls and scores, asked for at the same time. */
  both(prompt: PromptKey, slot: number): Promise<readonly [calls: readonly CallObservation[], scores: readonly ScoreObservation[]]>;
};

/** A prompt that will be asked for, and how many calls it has in the range. */
export type Expected = { readonly prompt: PromptKey; readonly calls: number };

type Range = { readonly from: number; readonly to: number };

/** In one question, which costs some 10 ms whatever it finds, and reads the range of all prompts. */
const MOST_CALLS = 20_000;
const MOST_PROMPTS = 200;

/** Of one prompt by slot, or why there is nothing. */
type Read<Row> = { readonly rows: ReadonlyMap<number, readonly Row[]> } | { readonly error: Error };
/** So many in a row that cannot be read are the store's fault: the others are not asked for one by one. */
const MOST_FAILED = 3;

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
    const read = new Map<readonly PromptKey[], Promise<readonly Read<Row>[]>>();
    const readTogether = async (prompts: readonly PromptKey[]): Promise<readonly Read<Row>[]> => {
      try {
        return (await select(store, prompts, range)).map((rows) => ({ rows: bySlot(rows) }));
      } catch (cause) {
        const error = asError(cause);
        return prompts.length === 1 ? [{ error }] : readApart(prompts, error);
      }
    };
    /** One that cannot be read must not keep others from being read. */
    const readApart = async (prompts: readonly PromptKey[], error: Error): Promise<readonly Read<Row>[]> => {
      const apart: Read<Row>[] = [];
      for (const prompt of prompts) {
        const isStoreAway = apart.length >= MOST_FAILED && apart.every((each) => 'error' in each);
        apart.push(...(isStoreAway ? [{ error }] : await readTogether([prompt])));
      }
      return apart;
    };
    return async (prompt: PromptKey, slot: number): Promise<readonly Row[]> => {
      const { prompts, place } = seatOf(prompt);
      let rows = read.get(prompts);
      if (rows === undefined) read.set(prompts, (rows = readTogether(prompts)));
      const own = (await rows)[place];
      if (own === undefined) return [];
      if ('error' in own) throw own.error;
      return own.rows.get(slot) ?? [];
    };
  };
  const calls = once(selectCallsOf);
  const scores = once(selectScoresOf);
  return { calls, both: (prompt, slot) => Promise.all([calls(prompt, slot), scores(prompt, slot)]) };
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

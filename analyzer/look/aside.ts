import { asError, RetryableError } from '../../schemas/errors.ts';
import { SET_ASIDE } from '../../schemas/evidence.ts';
import type { Store } from '../../schemas/store.ts';
import { selectCalls } from './call-rows.ts';
import type { LookRows, UnreadableComparison } from './look-store.ts';
import { WAITING_SLOTS } from './newcomers.ts';
import { promptId, selectActivity, type PromptKey } from './observations.ts';
import { slotStartMs, SLOTS_PER_DAY, SLOTS_PER_HOUR } from '../slots.ts';

/**
 * Prompts that cannot be asked about, which the look goes on without.
 *
 * A question about a prompt that fails makes the look fail: the slot is tried again, from the store. What failed is remembered by prompt, and a prompt
 * is set aside for half an hour when it has failed in every try for two minutes of the arrival clock, each time beside at least as many prompts that were
 * answered. Where only one was asked about, another one is, to see. So what fails of the store as a whole (questions over all prompts, writes,
 * most prompts at once) sets nobody aside, and holds up the look until it is mended.
 *
 * What it means: a prompt that is set aside is not fed, its open comparisons stay as they were (told as undecided, with the reason), and it says nothing about
 * its models. When its time is over it is taken up from the store like after a restart. The slots between are bet on by nobody: they were left out
 * before anything of them was known, which multiplies an e-process by one; questions that are asked only of who has crossed the threshold fail after the crossing, so what they leave
 * out adds no false alarm. Strata that a failed try made durable count. Sessions of that time are remembered, and what began on it waits to be compared.
 *
 * That it is set aside is durable before anything is concluded without it, and says from which slot to which; so a restart leaves out the same slots.
 *
 * A comparison of which what was kept cannot be read is another matter: it cannot be read the next time either. It is closed as undecided, at once.
 */
export type Aside = {
  /** Runs what is asked about one prompt. Undefined: it failed; `settle` says so when others have been asked. What cannot be written is thrown: it is no prompt's fault. */
  about<Result>(prompt: PromptKey, run: () => Promise<Result>): Promise<Result | undefined>;
  /** The same of a failure that is known already. */
  failed(prompt: PromptKey, error: Error): void;
  /** Throws PromptsFailed where something about a prompt failed. */
  settle(): void;
  /** All that was asked about was answered, and is done with. */
  passed(): void;
  /** What follows from a try that failed at slot `next`. Resolves with what there is to throw; a prompt that it sets aside is durably so. */
  judge(error: unknown, at: { readonly next: number | null; readonly watermarkMs: number }): Promise<Error>;
  /** Reads who is set aside; the look is at slot `next`. */
  load(next: number | null): Promise<void>;
  /** Why a prompt is left out in a slot, as its comparisons say it; null: it is not. */
  reasonOf(prompt: PromptKey, slot: number): string | null;
  /** From which slot on what began on a prompt may still wait to be compared at slot `next`: while it is set aside nothing is opened. */
  waitingSince(prompt: PromptKey, next: number): number;
  /** Those of all prompts: nearly always one. */
  lookBacks(next: number): ReadonlySet<number>;
  /** The first slot after this one in which somebody's time is over; from there on the look is taken up anew. */
  nextEnd(slot: number): number;
  /** Closes comparisons that cannot be read, with the rows to be written. */
  giveUp(rows: LookRows, unreadable: readonly UnreadableComparison[], next: number | null): Promise<void>;
};

/** Half an hour: all windows of slots that were tried are over by then, so no unit of a stratum that became durable in a failed try is bet on again. */
const ASIDE_SLOTS = SLOTS_PER_HOUR / 2;
const PATIENCE_MS = 2 * 60_000;
/** Who was set aside so shortly before and fails again is not waited for again. */
const RECENT_SLOTS = ASIDE_SLOTS + SLOTS_PER_HOUR;
/** Slots in which another prompt is looked for. */
const WITNESS_SLOTS = 20;
const MOST_SAID = 300;

/** Something about these prompts could not be asked; the next try takes up what is durable. */
export class PromptsFailed extends RetryableError {
  readonly prompts: readonly Failed[];
  /** How many others were answered in the same try. */
  readonly answered: number;
  constructor(prompts: readonly Failed[], answered: number) {
    super(prompts.map(({ prompt, error }) => `${nameOf(prompt)}: ${error.message}`).join('; '), { cause: prompts[0]?.error });
    this.prompts = prompts;
    this.answered = answered;
  }
}
type Failed = { readonly prompt: PromptKey; readonly error: Error };

/** What could not be written, whoever's it was. */
class NotWritten extends Error {}

/** The same store, which tells what could not be written from what could not be asked. */
export function tellingWrites(store: Store): Store {
  return {
    ...store,
    insert: (table, rows) =>
      store.insert(table, rows).catch((cause: unknown) => {
        throw new NotWritten(asError(cause).message, { cause });
      }),
  };
}

type Row = PromptKey & { readonly comparison_id: string; readonly slot: number; readonly until_slot: number; readonly reason: string };

export function createAside(store: Store): Aside {
  let rows: readonly Row[] = [];
  const failures = new Map<string, Failed>();
  const answered = new Set<string>();
  /** By prompt: the watermark at the first of the tries in a row in which it failed. */
  let since = new Map<string, number>();

  const rowsOf = (prompt: PromptKey): readonly Row[] => (rows.length === 0 ? [] : rows.filter((row) => promptId(row) === promptId(prompt)));

  /** Whether the store answers what is asked about some other prompt. */
  const isAnotherAnswered = async (prompt: PromptKey, slot: number): Promise<boolean> => {
    try {
      const active = await selectActivity(store, { from: Math.max(1, slot - WITNESS_SLOTS), to: slot + 1 });
      const other = active.findLast((row) => promptId(row) !== promptId(prompt));
      if (other === undefined) return false;
      await selectCalls(store, other, { from: other.slot, to: other.slot + 1 });
      return true;
    } catch {
      return false;
    }
  };

  const judge: Aside['judge'] = async (error, { next, watermarkMs }) => {
    const before = since;
    since = new Map();
    if (error instanceof NotWritten) return asError(error.cause);
    if (!(error instanceof PromptsFailed) || next === null) return asError(error);
    const isAlone = error.prompts.length === 1 && error.answered === 0;
    if (error.answered < error.prompts.length && !isAlone) return error;
    for (const { prompt } of error.prompts) since.set(promptId(prompt), before.get(promptId(prompt)) ?? watermarkMs);
    const isDue = ({ prompt }: Failed): boolean => rowsOf(prompt).some(({ slot }) => next - slot < RECENT_SLOTS) || watermarkMs - (since.get(promptId(prompt)) ?? watermarkMs) >= PATIENCE_MS;
    const due = error.prompts.filter(isDue);
    const [first] = due;
    if (first === undefined || (isAlone && !(await isAnotherAnswered(first.prompt, next)))) return error;
    const until_slot = next + ASIDE_SLOTS;
    await store.insert('set_aside', due.map(({ prompt: { project, environment, prompt_name }, error: { message } }) => ({ project, environment, prompt_name, comparison_id: '', slot: next, until_slot, reason: said(message) })));
    for (const { prompt } of due) since.delete(promptId(prompt));
    const names = due.map(({ prompt }) => nameOf(prompt)).join(', ');
    return new RetryableError(`${names} cannot be asked about while others can: set aside until ${timeOf(until_slot)}, and the look goes on without (${error.message})`, { cause: error });
  };

  return {
    async about(prompt, run) {
      try {
        const result = await run();
        answered.add(promptId(prompt));
        return result;
      } catch (error) {
        if (error instanceof NotWritten) throw error;
        failures.set(promptId(prompt), { prompt, error: asError(error) });
        return undefined;
      }
    },
    failed: (prompt, error) => void failures.set(promptId(prompt), { prompt, error }),
    settle() {
      if (failures.size > 0) throw new PromptsFailed([...failures.values()], [...answered].filter((id) => !failures.has(id)).length);
    },
    passed() {
      answered.clear();
      since.clear();
    },
    judge,
    async load(next) {
      failures.clear();
      answered.clear();
      const from = Math.max(0, (next ?? 0) - SLOTS_PER_DAY);
      rows = await store.select<Row>(`SELECT project, environment, prompt_name, comparison_id, slot, until_slot, reason FROM set_aside FINAL WHERE comparison_id = '' AND until_slot > {from:UInt32} ORDER BY slot, project, environment, prompt_name`, { from });
    },
    reasonOf(prompt, slot) {
      const row = rowsOf(prompt).findLast((each) => each.slot <= slot && slot < each.until_slot);
      return row === undefined ? null : `${SET_ASIDE} until ${timeOf(row.until_slot)}, as it cannot be asked about: ${row.reason}`;
    },
    waitingSince: (prompt, next) => waitingSince(rowsOf(prompt), next),
    lookBacks: (next) => new Set([waitingSince([], next), ...rows.map((row) => waitingSince(rowsOf(row), next))]),
    nextEnd: (slot) => Math.min(...rows.map(({ until_slot }) => until_slot).filter((end) => end > slot)),
    async giveUp(to, unreadable, next) {
      for (const { filed, error } of unreadable) to.giveUp(filed, next ?? filed.slot, `${SET_ASIDE} for good, as what was kept of it cannot be read: ${said(error)}`);
      const closed = unreadable.map(({ filed: { project, environment, prompt_name, comparison_id, slot }, error }) => ({ project, environment, prompt_name, comparison_id, slot: next ?? slot, until_slot: (next ?? slot) + SLOTS_PER_DAY, reason: said(error) }));
      await store.insert('set_aside', closed);
    },
  };
}

function waitingSince(asides: readonly Row[], next: number): number {
  let from = next - WAITING_SLOTS;
  for (const { slot, until_slot } of asides.toReversed()) if (slot < next && until_slot > from) from = Math.min(from, slot - WAITING_SLOTS);
  return Math.max(1, from);
}

const nameOf = ({ project, environment, prompt_name }: PromptKey): string => `${prompt_name} (${project}, ${environment})`;
const timeOf = (slot: number): string => `${new Date(slotStartMs(slot)).toISOString().slice(0, 16)}Z`;
const said = (message: string): string => message.slice(0, MOST_SAID).toWellFormed();

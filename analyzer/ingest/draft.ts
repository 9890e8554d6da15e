import { LIMIT_FLAGS } from '../../schemas/call-flags.ts';
import type { LlmCall } from '../../schemas/call.ts';
import { hourOf } from '../../schemas/cells.ts';
import type { Score } from '../../schemas/score.ts';
import { OVER_LIMIT } from './cardinality.ts';
import { scoreKey } from './identity.ts';
import type { Role } from './nesting.ts';
import { callEventSeconds, callRow, factsOf, scoreEventSeconds, scoreRow, type CallFacts } from './rows.ts';
import { versionKey, type VersionRow } from './seen-versions.ts';

/**
 * What one turn of the ingest loop is about to write: one row for each span and score that it touches.
 *
 * Revisions order the rows of one span or score: 0 where the first row waits for something, 1 where it does not; +3 when the
 * wait ends, +2 for a correction. So odd means settled, and 0 and 1 are first rows only, which is how rows whose ledger
 * was lost are counted (recovery.ts).
 *
 * The slot is where a call counts. A span that never counted has none (0), and one that is demoted keeps the one it had, because
 * what was bet on is not taken back.
 *
 * A row stays filed under the second of its first row (`event_s`), whatever a correction says of times: only so does it
 * replace that row.
 */
export type Stored = { readonly revision: number; readonly slot: number; readonly event_s: number };
/** `reason`: why the span by itself is no call; empty for an inference of its own. */
export type StoredSpan = Stored & { readonly end_ns: string; readonly role: Role; readonly reason: string };
export type StoredScore = Stored &
  Pick<Score, 'value' | 'label' | 'change'> & {
    readonly observed_ns: string;
    /** What it said when it became complete, whatever corrects it later: this is bet on. Null before, and where that was no number. */
    readonly bet_value: number | null;
    /** 0: not deleted. */
    readonly deleted_slot: number;
  };

export type FiledCall = { readonly call: LlmCall; readonly stored: StoredSpan };
/** `former`: the role that its row had before this turn; null where it has had none. */
export type DraftedCall = FiledCall & { readonly former: Role | null };
/** What is to be written of a span: its first row (`stored` undefined), or what replaces the stored one. `key`: its `spanKey`. */
export type CallToFile = { readonly key: string; readonly call: LlmCall; readonly stored: StoredSpan | undefined; readonly reason: string };
export type FiledScore = { readonly score: Score; readonly place: Place; readonly stored: StoredScore };

/** Where a score stands: `joined` with the call that it is credited to. */
export type Place = { readonly kind: 'pending' } | { readonly kind: 'ambiguous' } | { readonly kind: 'joined'; readonly call: CallFacts };

/** What one batch brought to a project. */
export type ProjectSummary = { readonly project: string; readonly calls: number; readonly scores: number; readonly prompts: readonly string[] };

export type Draft = {
  /** While an ancestor may still bring what the call lacks. */
  waitingCall(filing: CallToFile): StoredSpan;
  /** From now on in the slot, for good. */
  completeCall(filing: CallToFile, slot: number): void;
  /** What was complete is sent again, and better, or had been set aside and counts after all: it keeps its slot. */
  correctedCall(filing: Omit<CallToFile, 'reason'> & { readonly stored: StoredSpan }): void;
  /** Another span counts instead: for now (a candidate) or as far as is known. */
  setAside(filing: CallToFile, role: Exclude<Role, 'call'>): StoredSpan;
  /** While it waits for a call to judge. Once it has found one it does not wait again. */
  pendingScore(score: Score, before: StoredScore | undefined, nowSlot: number): void;
  /** Complete in `slot`; one that was complete before keeps its slot, and what is bet on. */
  placedScore(score: Score, place: Place, before: StoredScore | undefined, slots: { readonly slot: number; readonly now: number }): void;

  readonly calls: ReadonlyMap<string, DraftedCall>;
  readonly scores: ReadonlyMap<string, FiledScore>;
  /** Calls that become complete with this turn, by span. */
  readonly completed: ReadonlyMap<string, { readonly call: CallFacts; readonly slot: number }>;
  /** Of all rows that have a slot; null: none has. */
  earliestSlot(): number | null;
  /** Hours of event time, s, that its rows are filed under. */
  hours(): { readonly calls: ReadonlySet<number>; readonly scores: ReadonlySet<number> };
  /** What is written of each project, and the prompts of its completed calls. */
  projects(): ProjectSummary[];
  callRows(batch: number): object[];
  scoreRows(batch: number): object[];
  versionRows(stampMs: number): VersionRow[];
};

export function createDraft(): Draft {
  const calls = new Map<string, DraftedCall>();
  const scores = new Map<string, FiledScore>();
  const completed = new Map<string, { readonly call: CallFacts; readonly slot: number }>();

  const fileCall = ({ key, call, stored: before, reason }: CallToFile, at: { readonly slot: number; readonly role: Role; readonly isSettled: boolean }): StoredSpan => {
    const stored = {
      slot: at.slot,
      revision: nextRevision(before, at.isSettled),
      end_ns: call.end_time_ns,
      event_s: before?.event_s ?? callEventSeconds(call),
      role: at.role,
      reason,
    };
    calls.set(key, { call, stored, former: before?.role ?? null });
    return stored;
  };
  const fileScore = (score: Score, place: Place, before: StoredScore | undefined, at: { readonly slot: number; readonly revision: number; readonly now: number }): void => {
    const isComplete = before !== undefined && before.slot > 0;
    const stored: StoredScore = {
      slot: at.slot,
      revision: at.revision,
      value: score.value,
      label: score.label,
      change: score.change,
      observed_ns: score.observed_time_ns,
      event_s: before?.event_s ?? scoreEventSeconds(score),
      bet_value: isComplete ? before.bet_value : place.kind === 'joined' ? score.value : null,
      deleted_slot: before !== undefined && before.deleted_slot > 0 ? before.deleted_slot : score.is_deleted ? at.now : 0,
    };
    scores.set(scoreKey(score), { score, place, stored });
  };

  return {
    waitingCall: (filing) => fileCall(filing, { slot: 0, role: 'call', isSettled: false }),
    completeCall(filing, slot) {
      fileCall(filing, { slot, role: 'call', isSettled: true });
      completed.set(filing.key, { call: factsOf(filing.call), slot });
    },
    correctedCall: (filing) => void fileCall({ ...filing, reason: filing.stored.reason }, { slot: filing.stored.slot, role: 'call', isSettled: true }),
    setAside: (filing, role) => fileCall(filing, { slot: filing.stored?.slot ?? 0, role, isSettled: role !== 'candidate' }),
    pendingScore: (score, before, now) => fileScore(score, { kind: 'pending' }, before, { slot: 0, revision: before === undefined ? 0 : before.revision + 2, now }),
    placedScore(score, place, before, { slot, now }) {
      if (before === undefined) fileScore(score, place, before, { slot, revision: 1, now });
      else if (before.slot > 0) fileScore(score, place, before, { slot: before.slot, revision: before.revision + 2, now });
      else fileScore(score, place, before, { slot, revision: before.revision + 3, now });
    },
    calls,
    scores,
    completed,
    earliestSlot() {
      let earliest = Number.POSITIVE_INFINITY;
      for (const files of [calls, scores]) for (const { stored } of files.values()) if (stored.slot > 0 && stored.slot < earliest) earliest = stored.slot;
      return Number.isFinite(earliest) ? earliest : null;
    },
    hours: () => ({ calls: hoursOf(calls.values()), scores: hoursOf(scores.values()) }),
    projects() {
      const found = new Map<string, { project: string; calls: number; scores: number; prompts: string[] }>();
      const of = (project: string) => {
        const known = found.get(project) ?? { project, calls: 0, scores: 0, prompts: [] };
        found.set(project, known);
        return known;
      };
      for (const { call } of calls.values()) of(call.project).calls += 1;
      for (const { score } of scores.values()) of(score.project).scores += 1;
      for (const { call } of completed.values()) {
        const { prompts } = of(call.project);
        if (call.prompt_name !== null && !prompts.includes(call.prompt_name)) prompts.push(call.prompt_name);
      }
      return [...found.values()];
    },
    callRows: (batch) => Array.from(calls.values(), (drafted) => callRow(drafted.call, drafted.stored, formerRole(drafted), batch)),
    scoreRows: (batch) => [...scores.values()].map((filed) => scoreRow(filed, batch)),
    versionRows(stampMs) {
      const rows = new Map<string, VersionRow & { calls: number }>();
      const see = (call: CallFacts, factor: string, value: string): void => {
        const { project, environment } = call;
        const prompt_name = call.prompt_name ?? '';
        const key = versionKey({ project, environment, prompt_name, factor, value });
        const row = rows.get(key);
        if (row === undefined) rows.set(key, { project, environment, prompt_name, factor, value, first_seen_ms: stampMs, last_seen_ms: stampMs, calls: 1 });
        else row.calls += 1;
      };
      for (const [key, { call }] of completed) {
        const { prompt_name, prompt_version, prompt_attribution } = call;
        if (prompt_attribution !== 'ambiguous') {
          if (prompt_name === null || prompt_version === null) continue;
          see(call, 'prompt_version', prompt_version);
          if (call.prompt_content !== null && call.prompt_content !== undefined) see(call, 'prompt_content', call.prompt_content);
          continue;
        }
        const flags = calls.get(key)?.call.flags ?? [];
        for (const limit of LIMIT_FLAGS) if (flags.includes(limit)) see(call, OVER_LIMIT, limit);
      }
      return [...rows.values()];
    },
  };
}

function nextRevision(before: Stored | undefined, isSettled: boolean): number {
  if (before === undefined) return isSettled ? 1 : 0;
  return before.revision + (isSettled && before.revision % 2 === 0 ? 3 : 2);
}

function formerRole({ stored, former }: DraftedCall): Role | '' {
  return former === null || former === stored.role ? '' : former;
}

function hoursOf(files: Iterable<{ readonly stored: Stored }>): Set<number> {
  const hours = new Set<number>();
  for (const { stored } of files) hours.add(hourOf(stored.event_s));
  return hours;
}

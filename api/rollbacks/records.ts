import type { Alert } from '../../schemas/alert.ts';
import { derivedId } from '../../schemas/derived-id.ts';
import type { Store } from '../../schemas/store.ts';
import type { Hook } from '../hooks/index.ts';

/** The table `rollbacks`: append-only, the newest row is the state, and all of them are the record of what was done. */

export const ROLLBACK_STATES = ['proposed', 'waiting', 'confirmed', 'vetoed', 'withdrawn', 'asked', 'retry', 'dry_run', 'done', 'failed', 'moved', 'not_moved', 'recovered', 'not_recovered', 'unknown'] as const;
export type RollbackState = (typeof ROLLBACK_STATES)[number];

/** `due_ms`: when it acts, or tries again; 0 where nothing is due. `who`: whoever let it or stopped it; empty: Culprit itself. */
export type Step = { readonly sequence: number; readonly state: RollbackState; readonly at_ms: number; readonly due_ms: number; readonly attempt: number; readonly who: string; readonly reason: string; readonly request: string; readonly answer: string };
export type RollbackIdentity = {
  readonly rollback_id: string;
  readonly project: string;
  readonly environment: string;
  readonly prompt_name: string;
  readonly alert_id: string;
  readonly hook: string;
  readonly kind: string;
  readonly candidate: string;
  readonly baseline: string;
};
/** Steps in their order; the last one is the state. */
export type Rollback = { readonly identity: RollbackIdentity; readonly steps: readonly Step[]; readonly last: Step };
type Row = RollbackIdentity & Step;

/** Its id is the idempotency key of what is asked for it, and the beginning of that of what a person has made again (owner.ts). */
export function rollbackIdentity(alert: Alert & { readonly prompt: string }, { name, kind }: Pick<Hook, 'name' | 'kind'>): RollbackIdentity {
  const rollback_id = derivedId('rbk', JSON.stringify([alert.id, name]));
  return { rollback_id, project: alert.project, environment: alert.environment, prompt_name: alert.prompt, alert_id: alert.id, hook: name, kind, candidate: alert.culprit.value, baseline: alert.culprit.baseline };
}

/** What happened at any time to rollbacks of one prompt, as far as the next one depends on it. */
export type PromptHistory = {
  /** The newest that was asked; `isAlone`: nobody had confirmed it. */
  readonly last: { readonly at_ms: number; readonly alert_id: string; readonly isAlone: boolean } | null;
  /** Whether a person has done anything about the prompt's rollbacks, or about that alert, since. */
  readonly personSince: boolean;
  /** Asked by nobody within a day; of all prompts within an hour. */
  readonly aloneInDay: number;
  readonly aloneInHour: number;
};

/** Of two rows with one number, a veto is the newer: who stops it wins. */
const ORDER = `(sequence, state = 'vetoed', state)`;
/** That may come to something by itself. */
const OPEN_STATES: readonly RollbackState[] = ['proposed', 'waiting', 'confirmed', 'asked', 'retry', 'done', 'moved', 'not_moved'];
const MOST_OPEN = 1000;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** All of it throws what the store throws. */
export function createRecords(store: Store) {
  const read = async (where: string, parameters: Readonly<Record<string, unknown>>): Promise<Rollback[]> => {
    const rows = await store.select<Row>(`SELECT * FROM rollbacks FINAL WHERE ${where} ORDER BY rollback_id, ${ORDER}`, parameters);
    const byId = new Map<string, Row[]>();
    for (const row of rows) byId.set(row.rollback_id, [...(byId.get(row.rollback_id) ?? []), row]);
    return [...byId.values()].flatMap((steps) => {
      const last = steps.at(-1);
      return last === undefined ? [] : [{ identity: identityOf(last), steps, last }];
    });
  };
  return {
    /** A row on top of what is there. */
    append(identity: RollbackIdentity, before: Step | null, step: Partial<Step> & Pick<Step, 'state' | 'at_ms'>): Promise<void> {
      const row: Row = { ...identity, due_ms: 0, who: '', reason: '', request: '', answer: '', attempt: before?.attempt ?? 0, sequence: (before?.sequence ?? 0) + 1, ...step };
      return store.insert('rollbacks', [{ ...row, reason: clip(row.reason), request: clip(row.request), answer: clip(row.answer) }]);
    },

    async one(rollbackId: string): Promise<Rollback | null> {
      return (await read('rollback_id = {id:String}', { id: rollbackId }))[0] ?? null;
    },

    ofAlert: (project: string, alertId: string): Promise<Rollback[]> => read('project = {project:String} AND alert_id = {id:String}', { project, id: alertId }),

    /** Newest first. */
    async list(project: string, filter: { readonly prompt?: string | undefined; readonly limit: number }): Promise<Rollback[]> {
      const { prompt, limit } = filter;
      const ids = `SELECT rollback_id FROM rollbacks WHERE project = {project:String} ${prompt === undefined ? '' : 'AND prompt_name = {prompt:String}'} GROUP BY rollback_id ORDER BY min(at_ms) DESC, rollback_id LIMIT {limit:UInt32}`;
      const found = await read(`rollback_id IN (${ids})`, { project, limit, ...(prompt === undefined ? {} : { prompt }) });
      return found.sort((one, other) => (other.steps[0]?.at_ms ?? 0) - (one.steps[0]?.at_ms ?? 0) || (one.identity.rollback_id < other.identity.rollback_id ? -1 : 1));
    },

    /** That still may come to something; and those that came to an end within the hour, so that it is told. */
    open(nowMs: number): Promise<Rollback[]> {
      const ids = `SELECT rollback_id FROM rollbacks GROUP BY rollback_id HAVING argMax(state, ${ORDER}) IN {open:Array(String)} OR max(at_ms) >= {since:UInt64} ORDER BY max(at_ms) DESC LIMIT ${MOST_OPEN}`;
      return read(`rollback_id IN (${ids})`, { open: OPEN_STATES, since: Math.max(0, nowMs - HOUR_MS) });
    },

    async history({ project, prompt_name, rollback_id }: RollbackIdentity, nowMs: number): Promise<PromptHistory> {
      const asked = await store.select<{ at_ms: number; alert_id: string; is_alone: number }>(
        `SELECT at_ms, alert_id, who = '' AS is_alone FROM rollbacks FINAL
         WHERE state = 'asked' AND project = {project:String} AND prompt_name = {prompt:String} AND rollback_id != {id:String} ORDER BY at_ms DESC LIMIT 1`,
        { project, prompt: prompt_name, id: rollback_id },
      );
      const [counts] = await store.select<{ in_day: number; in_hour: number }>(
        `SELECT countIf(project = {project:String} AND prompt_name = {prompt:String}) AS in_day, countIf(at_ms >= {hour:UInt64}) AS in_hour
         FROM rollbacks FINAL WHERE state = 'asked' AND who = '' AND attempt = 1 AND at_ms >= {day:UInt64} AND rollback_id != {id:String}`,
        { project, prompt: prompt_name, id: rollback_id, day: Math.max(0, nowMs - DAY_MS), hour: Math.max(0, nowMs - HOUR_MS) },
      );
      const [last] = asked;
      const [people] = last === undefined ? [] : await store.select<{ acts: number }>(
        `SELECT (SELECT count() FROM rollbacks WHERE project = {project:String} AND prompt_name = {prompt:String} AND who != '' AND at_ms > {since:UInt64})
              + (SELECT count() FROM alert_transitions WHERE alert_id = {alert:String} AND who != '' AND at_ms > {since:UInt64}) AS acts`,
        { project, prompt: prompt_name, since: last.at_ms, alert: last.alert_id },
      );
      return {
        last: last === undefined ? null : { at_ms: last.at_ms, alert_id: last.alert_id, isAlone: last.is_alone === 1 },
        personSince: (people?.acts ?? 0) > 0,
        aloneInDay: counts?.in_day ?? 0,
        aloneInHour: counts?.in_hour ?? 0,
      };
    },

    /** Calls of a version that began since then. */
    async callsSince({ project, environment, prompt_name, candidate }: RollbackIdentity, sinceMs: number): Promise<number> {
      const [row] = await store.select<{ seen: number }>(
        `SELECT uniqExact(trace_id, span_id) AS seen FROM calls WHERE project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt:String} AND prompt_version = {version:String}
         AND event_time >= toDateTime({since:UInt32}, 'UTC')`,
        { project, environment, prompt: prompt_name, version: candidate, since: Math.max(0, Math.floor(sinceMs / 1000)) },
      );
      return row?.seen ?? 0;
    },
  };
}

function identityOf({ rollback_id, project, environment, prompt_name, alert_id, hook, kind, candidate, baseline }: Row): RollbackIdentity {
  return { rollback_id, project, environment, prompt_name, alert_id, hook, kind, candidate, baseline };
}

function clip(text: string): string {
  return (text.length <= 2000 ? text : `${text.slice(0, 1999)}…`).toWellFormed();
}

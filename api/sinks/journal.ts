import { NEWEST_TRANSITION } from '../../schemas/alert.ts';
import type { WebhookEvent } from '../../schemas/webhook.ts';
import type { Store } from '../../schemas/store.ts';

/** What the store knows of deliveries: `alert_transitions` is what is to be told, `deliveries` what was tried, and what was not told, and why. */

/** A row of `alert_transitions`; `body` is the alert as it was at this transition. */
export type AlertTransition = { transition_id: string; alert_id: string; sequence: number; event: string; at_ms: number; who: string; reason: string; body: string };

/** How far a transition has come at one sink. `last_ms` is when the last attempt was made; `postponed_ms` until when it was to wait, 0 where it was not. */
export type Progress = { attempts: number; last_ms: number; postponed_ms: number };

export type Attempt = { transition_id: string; sink: string; attempt: number; at_ms: number; outcome: 'delivered' | 'retry' | 'failed'; detail: string };
/** What is not told: never, or not before `until_ms`. */
export type Withholding = { transition_id: string; sink: string; attempt: 0; at_ms: number; until_ms: number; outcome: 'withheld' | 'postponed'; detail: string };

/** An alert as it is now, and what a sink knows of it. */
export type Standing = { alert_id: string; state: string; body: string; told: number; withheld: number };

export type Journal = ReturnType<typeof createJournal>;

const FINISHED = `countIf(outcome IN ('delivered', 'failed', 'withheld'))`;

/** Bodies are read last, of those that are told now. */
const NOT_YET_TOLD = `
  WITH progress AS (
    SELECT transition_id, max(attempt) AS attempts, maxIf(deliveries.at_ms, attempt > 0) AS last_ms, ${FINISHED} AS finished, argMaxIf(until_ms, deliveries.at_ms, attempt = 0) AS postponed_ms
    FROM deliveries WHERE sink = {sink:String} GROUP BY transition_id
  ), due AS (
    SELECT transition_id, alert_id, sequence, t.at_ms AS due_at_ms, attempts, last_ms, postponed_ms
    FROM (SELECT transition_id, alert_id, sequence, at_ms, event FROM alert_transitions FINAL WHERE event IN {words:Array(String)}) AS t LEFT JOIN progress USING (transition_id)
    WHERE finished = 0 AND postponed_ms <= {now:UInt64} AND (t.at_ms >= {since:UInt64} OR postponed_ms >= {since:UInt64})
    ORDER BY due_at_ms, alert_id, sequence LIMIT {limit:UInt32}
  )
  SELECT transition_id, alert_id, sequence, event, at_ms, who, reason, body, attempts, last_ms, postponed_ms
  FROM (SELECT * FROM alert_transitions FINAL WHERE alert_id IN (SELECT alert_id FROM due)) AS t INNER JOIN due USING (transition_id, alert_id, sequence)
  ORDER BY at_ms, alert_id, sequence`;

const NEXT_POSTPONED = `
  SELECT min(postponed_ms) AS next_ms, count() AS waiting
  FROM (SELECT argMaxIf(until_ms, deliveries.at_ms, attempt = 0) AS postponed_ms FROM deliveries WHERE sink = {sink:String} AND transition_id != '' GROUP BY transition_id HAVING ${FINISHED} = 0)
  WHERE postponed_ms > {now:UInt64}`;

const STANDING = `
  SELECT alert_id, any(last_state) AS state, any(last_body) AS body, countIf(attempt > 0) AS told, countIf(attempt = 0 AND d.transition_id != '') AS withheld
  FROM (SELECT alert_id, transition_id, argMax(state, ${NEWEST_TRANSITION}) OVER (PARTITION BY alert_id) AS last_state, argMax(body, ${NEWEST_TRANSITION}) OVER (PARTITION BY alert_id) AS last_body
        FROM alert_transitions FINAL WHERE alert_id IN {ids:Array(String)}) AS t
  LEFT JOIN (SELECT transition_id, attempt FROM deliveries FINAL WHERE sink = {sink:String} AND transition_id != '') AS d USING (transition_id)
  GROUP BY alert_id`;

const UNRESOLVED = `
  SELECT alert_id, argMax(transition_id, ${NEWEST_TRANSITION}) AS newest_id, max(sequence) AS last_sequence, argMax(state, ${NEWEST_TRANSITION}) AS last_state, max(at_ms) AS last_at_ms, argMax(body, ${NEWEST_TRANSITION}) AS last_body
  FROM alert_transitions WHERE alert_id > {after:String} GROUP BY alert_id HAVING last_state != 'resolved' ORDER BY alert_id LIMIT {limit:UInt32}`;

/** The row that says since when a sink is known: of no transition, attempt 0. */
const ADDED = `SELECT min(at_ms) AS added_ms FROM deliveries WHERE transition_id = '' AND sink = {sink:String} HAVING count() > 0`;

/** All of it throws what the store throws. */
export function createJournal(store: Store) {
  return {
    /** The oldest transitions that a sink has neither had nor been given up on, and that nothing holds back until later. */
    notYetTold(question: { sink: string; events: readonly WebhookEvent[]; since: number; now: number; limit: number }): Promise<(AlertTransition & Progress)[]> {
      const { events, ...rest } = question;
      return store.select(NOT_YET_TOLD, { ...rest, words: events.map((event) => event.slice('alert.'.length)) });
    },

    /** When the first of those that are held back is to be looked at again; null where there is none. */
    async nextPostponed(sink: string, now: number): Promise<number | null> {
      const [row] = await store.select<{ next_ms: number; waiting: number }>(NEXT_POSTPONED, { sink, now });
      return row === undefined || row.waiting === 0 ? null : row.next_ms;
    },

    async standing(sink: string, ids: readonly string[]): Promise<ReadonlyMap<string, Standing>> {
      const rows = ids.length === 0 ? [] : await store.select<Standing>(STANDING, { sink, ids });
      return new Map(rows.map((row) => [row.alert_id, row]));
    },

    /** Alerts that are not resolved, by id, a page at a time; each as its newest transition. */
    async unresolved(after: string, limit: number): Promise<AlertTransition[]> {
      const rows = await store.select<{ alert_id: string; newest_id: string; last_sequence: number; last_state: string; last_at_ms: number; last_body: string }>(UNRESOLVED, { after, limit });
      return rows.map(({ alert_id, newest_id, last_sequence, last_state, last_at_ms, last_body }) => ({ transition_id: newest_id, alert_id, sequence: last_sequence, event: last_state, at_ms: last_at_ms, who: '', reason: '', body: last_body }));
    },

    /** When the sink was first seen, ms since the epoch; `nowMs`, from now on, for a new one. */
    async knownSince(sink: string, nowMs: number): Promise<number> {
      const [known] = await store.select<{ added_ms: number }>(ADDED, { sink });
      // Earlier than now in any case: a clock that was set back must not hide what happens from now on.
      if (known !== undefined) return Math.min(known.added_ms, nowMs);
      await store.insert('deliveries', [{ transition_id: '', sink, attempt: 0, at_ms: nowMs, outcome: 'added', detail: '' }]);
      return nowMs;
    },

    record(rows: readonly (Attempt | Withholding)[]): Promise<void> {
      return store.insert('deliveries', rows);
    },

    /** What a silence held back is looked at again now. Whoever holds back asks afterwards whether the silence still stands: one of the two sees the other. */
    async release(silenceId: string, nowMs: number): Promise<void> {
      const rows = await store.select<{ transition_id: string; sink: string; held_ms: number }>(
        `SELECT transition_id, sink, max(at_ms) AS held_ms FROM deliveries WHERE attempt = 0 AND transition_id != '' GROUP BY transition_id, sink
         HAVING argMax(until_ms, at_ms) > {now:UInt64} AND argMax(detail, at_ms) = {detail:String}`,
        { now: nowMs, detail: silencedBy(silenceId) },
      );
      await store.insert('deliveries', rows.map(({ transition_id, sink, held_ms }) => ({ transition_id, sink, attempt: 0, at_ms: Math.max(nowMs, held_ms + 1), until_ms: nowMs, outcome: 'postponed', detail: 'its silence was ended' })));
    },
  };
}

export function silencedBy(silenceId: string): string {
  return `silenced by ${silenceId}`;
}

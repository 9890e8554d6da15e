import type { WebhookEvent } from '../../schemas/webhook.ts';
import type { Store } from '../../schemas/store.ts';

/** What the store knows of deliveries: `alert_transitions` is what is to be told, `deliveries` what was tried. */

/** A row of `alert_transitions`; `body` is the alert as it was at this transition. */
export type AlertTransition = { transition_id: string; alert_id: string; sequence: number; state: string; at_ms: number; body: string };

/** How far a transition has come at one sink. `last_ms` is when the last attempt was made. */
export type Progress = { attempts: number; last_ms: number };

export type Attempt = { transition_id: string; sink: string; attempt: number; at_ms: number; outcome: 'delivered' | 'retry' | 'failed'; detail: string };

export type Journal = ReturnType<typeof createJournal>;

const FINISHED = `countIf(outcome IN ('delivered', 'failed'))`;

const NOT_YET_TOLD = `
  SELECT transition_id, alert_id, sequence, state, t.at_ms AS at_ms, body, attempts, last_ms
  FROM (SELECT * FROM alert_transitions FINAL WHERE at_ms >= {since:UInt64} AND state IN {states:Array(String)}) AS t
  LEFT JOIN (
    SELECT transition_id, max(attempt) AS attempts, max(deliveries.at_ms) AS last_ms, ${FINISHED} AS finished FROM deliveries WHERE sink = {sink:String} GROUP BY transition_id
  ) AS d USING (transition_id)
  WHERE finished = 0
  ORDER BY at_ms, alert_id, sequence LIMIT {limit:UInt32}`;

const PROGRESS = `
  SELECT transition_id, sink, max(attempt) AS attempts, max(at_ms) AS last_ms, ${FINISHED} AS finished
  FROM deliveries WHERE transition_id IN {ids:Array(String)} GROUP BY transition_id, sink`;

/** The row that says since when a sink is known: of no transition, attempt 0. */
const ADDED = `SELECT min(at_ms) AS added_ms FROM deliveries WHERE transition_id = '' AND sink = {sink:String} HAVING count() > 0`;

/** All of it throws what the store throws. */
export function createJournal(store: Store) {
  return {
    /** The oldest transitions that a sink has neither had nor been given up on. */
    notYetTold(question: { sink: string; events: readonly WebhookEvent[]; since: number; limit: number }): Promise<(AlertTransition & Progress)[]> {
      return store.select(NOT_YET_TOLD, { ...question, states: question.events.map((event) => event.slice('alert.'.length)) });
    },

    progress(ids: readonly string[]): Promise<(Progress & { transition_id: string; sink: string; finished: number })[]> {
      return store.select(PROGRESS, { ids });
    },

    /** When the sink was first seen, ms since the epoch; `nowMs`, from now on, for a new one. */
    async knownSince(sink: string, nowMs: number): Promise<number> {
      const [known] = await store.select<{ added_ms: number }>(ADDED, { sink });
      if (known !== undefined) return known.added_ms;
      await store.insert('deliveries', [{ transition_id: '', sink, attempt: 0, at_ms: nowMs, outcome: 'added', detail: '' }]);
      return nowMs;
    },

    record(attempt: Attempt): Promise<void> {
      return store.insert('deliveries', [attempt]);
    },
  };
}

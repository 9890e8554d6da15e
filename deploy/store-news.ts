import type { ProjectSummary } from '../analyzer/ingest/draft.ts';
import { SLOT_MS } from '../analyzer/slots.ts';
import { alertIn } from '../schemas/alert.ts';
import type { Clock } from '../schemas/clock.ts';
import { LEDGER } from '../schemas/ledger.ts';
import type { Store } from '../schemas/store.ts';
import type { Concluded } from './roles/api.ts';

/** What happened in other processes, as the store shows it: an api process tells it to its pages and sinks. */
export type News = {
  /** Since the last time; the first time tells only how far the look has come. */
  read(): Promise<{ readonly concluded: readonly Concluded[]; readonly arrived: readonly ProjectSummary[]; readonly lookedMs: number | null }>;
};

const DAY_MS = 86_400_000;
const HOUR_S = 3_600;
/** Of a day; more than these are told by the page itself, and by the deliveries, which read on from the store. */
const MAX_TRANSITIONS = 2_000;

export function createNews(store: Store, clock: Clock): News {
  let told: Set<string> | null = null;
  let storedBefore: Map<string, number> | null = null;
  let slotBefore = 0;
  return {
    async read() {
      const nowMs = clock();
      const [transitions, [progress], ledger] = await Promise.all([
        store.select<{ transition_id: string; body: string }>('SELECT transition_id, body FROM alert_transitions WHERE at_ms >= {since:UInt64} ORDER BY at_ms DESC, transition_id LIMIT {limit:UInt32}', { since: nowMs - DAY_MS, limit: MAX_TRANSITIONS }),
        store.select<{ slot: number }>('SELECT max(look_progress.slot) AS slot FROM look_progress'),
        store.select<{ project: string; stored: number }>(`SELECT project, sum(count) AS stored FROM ${LEDGER} WHERE outcome IN ('stored', 'duplicate', 'ignored') AND hour >= {since_s:UInt32} GROUP BY project`, { since_s: Math.floor(nowMs / 1000) - 2 * HOUR_S }),
      ]);
      const known = told;
      const unheard = known === null ? [] : transitions.filter(({ transition_id }) => !known.has(transition_id)).reverse();
      // One that cannot be read must not keep what comes after it from being told.
      const concluded: Concluded[] = unheard.flatMap(({ body }) => alertIn(body) ?? []).map((alert) => ({ kind: 'alert', alert }));
      told = new Set(transitions.map(({ transition_id }) => transition_id));
      const slot = progress?.slot ?? 0;
      if (slot > slotBefore && slotBefore > 0) for (const { project } of ledger) concluded.push({ kind: 'look', project, slot: slot - 1, comparisons: [] });
      slotBefore = slot;
      const before = storedBefore;
      storedBefore = new Map(ledger.map(({ project, stored }) => [project, stored]));
      // An hour that is over falls out of the sum.
      const arrived = before === null ? [] : ledger.map(({ project, stored }) => ({ project, calls: Math.max(0, stored - (before.get(project) ?? 0)), scores: 0, prompts: [] })).filter(({ calls }) => calls > 0);
      return { concluded, arrived, lookedMs: slot === 0 ? null : slot * SLOT_MS };
    },
  };
}

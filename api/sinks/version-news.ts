import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import type { NewVersion, Sink } from './index.ts';
import { createJournal } from './journal.ts';
import type { Post } from './post.ts';

/**
 * Tells sinks that keep a list of changes of each prompt version that is new, once: what is in the journal is not told again. A round after
 * each failure, eight at most; a change that nobody heard of in time is of no use later, so those of the last hour only.
 */
export type VersionNews = { round(): Promise<void> };

const HOUR_MS = 3_600_000;
const MOST_ATTEMPTS = 8;
const MOST_A_ROUND = 20;

const UNTOLD = `
  SELECT project, environment, prompt_name AS prompt, value AS version, seen_ms AS first_seen_ms, transition_id, attempts
  FROM (
    SELECT project, environment, prompt_name, value, min(first_seen_ms) AS seen_ms,
           concat('ver_', substring(lower(hex(SHA256(concat(project, char(0), environment, char(0), prompt_name, char(0), value)))), 1, 20)) AS transition_id
    FROM versions WHERE factor = 'prompt_version' AND value != '' GROUP BY project, environment, prompt_name, value HAVING seen_ms >= {since:UInt64}
  ) AS v LEFT JOIN (SELECT transition_id, max(attempt) AS attempts, countIf(outcome IN ('delivered', 'failed')) AS finished FROM deliveries WHERE sink = {sink:String} GROUP BY transition_id) AS d USING (transition_id)
  WHERE finished = 0 ORDER BY first_seen_ms, transition_id LIMIT {limit:UInt32}`;

export function createVersionNews({ store, sinks, post, clock }: { store: Store; sinks: readonly Sink[]; post: Post; clock: Clock }): VersionNews {
  const journal = createJournal(store);
  const tell = async (sink: Sink): Promise<void> => {
    const nowMs = clock();
    // A new sink hears of what is new from now on.
    const since = Math.max(await journal.knownSince(sink.name, nowMs), nowMs - HOUR_MS);
    const versions = await store.select<NewVersion & { transition_id: string; attempts: number }>(UNTOLD, { sink: sink.name, since, limit: MOST_A_ROUND });
    for (const { transition_id, attempts, ...version } of versions) {
      const request = sink.change?.(version);
      if (request === undefined) return;
      const result = await post(request, { timeoutMs: sink.timeoutMs });
      const outcome = result.kind === 'answered' ? sink.judge(result) : { kind: 'retry' as const, detail: result.reason };
      const word = outcome.kind === 'delivered' ? 'delivered' : outcome.kind === 'retry' && attempts + 1 < MOST_ATTEMPTS ? 'retry' : 'failed';
      await journal.record([{ transition_id, sink: sink.name, attempt: attempts + 1, at_ms: clock(), outcome: word, detail: outcome.detail }]);
      if (word === 'retry') return;
    }
  };
  return {
    async round() {
      for (const sink of sinks) if (sink.change !== undefined) await tell(sink);
    },
  };
}

/**
 * What became of everything that was received, by reason. Counted in memory while a batch is worked on, written with it.
 * `received` is counted where a message is decoded, the others where something becomes of a record, so that they can be
 * held against each other.
 */
export type Outcome = 'received' | 'stored' | 'duplicate' | 'ignored' | 'rejected';

export type Tally = {
  count(entry: { readonly project: string; readonly receivedMs: number; readonly signal: 'traces' | 'logs'; readonly outcome: Outcome; readonly reason: string }, by?: number): void;
  rows(batch: number): object[];
};

const HOUR_S = 3600;

export function createTally(): Tally {
  const counts = new Map<string, { project: string; hour: number; signal: string; outcome: string; reason: string; count: number }>();
  return {
    count({ project, receivedMs, signal, outcome, reason }, by = 1) {
      const hour = Math.floor(receivedMs / 1000 / HOUR_S) * HOUR_S;
      const key = `${project}\0${hour}\0${signal}\0${outcome}\0${reason}`;
      const row = counts.get(key);
      if (row === undefined) counts.set(key, { project, hour, signal, outcome, reason, count: by });
      else row.count += by;
    },
    rows: (batch) => [...counts.values()].map((row) => ({ ...row, last_batch: batch })),
  };
}

import { WRITTEN } from './cells.ts';

/**
 * What readers take for the ledger: what batches have written down themselves, and what was counted from their rows where that was not there.
 *
 * The ledger of a batch is one insert, made when its rows are durable and after the ledgers of all batches before it. When a shard is taken up, rows of
 * batches whose ledger is not there are counted into `recounts`, by batch (analyzer/ingest/orphans.ts), and counted again when more of them arrive. Such a ledger may be lost, or on its
 * way still, for however long. So a recount holds only while the batch's own ledger is not there, and whichever way it goes the batch counts once. Both say the same, since the rows were there before either.
 */

/**
 * Rows that say up to which batch (`last_batch`) an owner has written ledgers, since it took the shard up: one with the ledger of each batch, and one when it takes the shard
 * up, before its first. `reason` is the number of its first batch; no other owner has numbers between the two.
 */
export const OWN_LEDGER = { ...WRITTEN, hour: 0, signal: 'ledger' } as const;

/** SQL, to select from: project, hour, signal, outcome, reason, count. Counts are to be summed. */
export const LEDGER = `(
  SELECT project, hour, signal, outcome, reason, count FROM ledger
  UNION ALL
  SELECT project, hour, signal, outcome, reason, count FROM recounts FINAL WHERE (shard, batch) NOT IN (
    SELECT recounted.shard, recounted.batch
    FROM (SELECT DISTINCT shard, batch FROM recounts) AS recounted
    ASOF INNER JOIN (
      SELECT shard, toUInt64(reason) AS from_batch, max(last_batch) AS to_batch FROM ledger
      WHERE project = '${OWN_LEDGER.project}' AND hour = ${OWN_LEDGER.hour} AND signal = '${OWN_LEDGER.signal}' AND outcome = '${OWN_LEDGER.outcome}' GROUP BY shard, from_batch
    ) AS own ON own.shard = recounted.shard AND recounted.batch >= own.from_batch
    WHERE recounted.batch <= own.to_batch))`;

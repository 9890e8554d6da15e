-- Several analyzers: each has shards of the log (the partitions of one number), and each shard counts for itself.

-- Batches are numbered within the shard that they are of (analyzer/ingest/shards.ts): the last one whose ledger was written is asked for by shard.
ALTER TABLE ledger {{on_cluster}}
    ADD COLUMN IF NOT EXISTS shard UInt16 COMMENT 'of the log; 0 in one process',
    MODIFY ORDER BY (project, hour, signal, outcome, reason, shard);

-- Up to which slot of the arrival clock each shard is in the store: a slot closes when all have passed it.
CREATE TABLE IF NOT EXISTS log_progress {{on_cluster}}
(
    shard UInt16,
    slot UInt32
)
ENGINE = {{replicated}}ReplacingMergeTree(slot)
ORDER BY shard;

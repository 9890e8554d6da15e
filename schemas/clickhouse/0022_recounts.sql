-- Batches whose rows were found without their ledger when their shard was taken up, counted from these rows. Not in the ledger, where counts are summed:
-- a batch may be made good more than once, and its own ledger, which was only long on its way, may come after all (schemas/ledger.ts: one of them counts).
CREATE TABLE IF NOT EXISTS recounts {{on_cluster}}
(
    shard UInt16 COMMENT 'of the log; 0 in one process',
    batch UInt64,
    project LowCardinality(String),
    hour DateTime('UTC'),
    signal LowCardinality(String),
    outcome LowCardinality(String),
    reason LowCardinality(String),
    count Int64,
    found UInt64 COMMENT 'entries of the batch, together: of two recounts of one batch the fuller one counts'
)
ENGINE = {{replicated}}ReplacingMergeTree(found)
ORDER BY (shard, batch, project, hour, signal, outcome, reason);

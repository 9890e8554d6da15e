-- Two who change an alert at the same moment may take the same sequence number: both rows stay, told apart by what they say.
ALTER TABLE alert_transitions {{on_cluster}}
    ADD COLUMN IF NOT EXISTS said String COMMENT 'transition_id, which is derived from all that the transition says; empty before this column was there',
    MODIFY ORDER BY (alert_id, sequence, said);

-- Messages that can never be stored (the rows do not fit): kept aside as they came, for a while, so that they can be taken again once the fault is mended.
CREATE TABLE IF NOT EXISTS parked {{on_cluster}}
(
    project LowCardinality(String),
    parked_id String COMMENT 'derived from the message: one that is sent again is the same one',
    signal LowCardinality(String),
    encoding LowCardinality(String),
    received_ms UInt64,
    changed_ms UInt64 COMMENT 'when it was parked, or replayed',
    state LowCardinality(String) COMMENT 'parked, replayed',
    records UInt32,
    bytes UInt64 COMMENT 'of the body, whether it was kept or not',
    reason String,
    body String COMMENT 'base64; empty where it was too large to be kept, and once it is replayed' CODEC(ZSTD(3))
)
ENGINE = {{replicated}}ReplacingMergeTree(changed_ms)
ORDER BY (project, parked_id)
{{parked_ttl}};

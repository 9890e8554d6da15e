-- Rollbacks: what a hook was to do, who let it, what was asked and answered, and whether it helped. Append-only: the newest row is the state.

CREATE TABLE IF NOT EXISTS rollbacks {{on_cluster}}
(
    rollback_id String COMMENT 'derived from alert and hook: the idempotency key of all that is asked for it',
    sequence UInt16,
    state LowCardinality(String) COMMENT 'proposed, waiting, confirmed, vetoed, withdrawn, asked, retry, dry_run, done, failed, moved, not_moved, recovered, not_recovered, unknown',
    project LowCardinality(String),
    environment LowCardinality(String),
    prompt_name String,
    alert_id String,
    hook LowCardinality(String),
    kind LowCardinality(String),
    candidate String,
    baseline String,
    at_ms UInt64,
    due_ms UInt64 COMMENT 'when it acts, or tries again',
    attempt UInt8,
    who String COMMENT 'who let it or stopped it; empty: nobody, it acted by itself',
    reason String,
    request String COMMENT 'what was asked, without secrets and content',
    answer String
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (rollback_id, sequence, state);

-- Flags that Culprit serves: the default variant is that of the newest row, or the configured one.
CREATE TABLE IF NOT EXISTS flag_changes {{on_cluster}}
(
    project LowCardinality(String),
    flag String,
    sequence UInt32,
    variant String,
    at_ms UInt64,
    who String,
    reason String
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (project, flag, sequence, variant);

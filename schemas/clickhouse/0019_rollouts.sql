-- Rollouts that somebody declared: their steps, and who said when that the next one has begun. Append-only: the newest row is the state.
-- Those that nobody declared are read off the open comparisons, and have no rows.

CREATE TABLE IF NOT EXISTS rollouts {{on_cluster}}
(
    rollout_id String COMMENT 'derived from what is rolled out, and how many times before: declared twice, it is one',
    sequence UInt16,
    state LowCardinality(String) COMMENT 'declared, advanced, completed, aborted',
    project LowCardinality(String),
    environment LowCardinality(String),
    prompt_name String,
    candidate String,
    baseline String COMMENT 'empty: what serves',
    plan String COMMENT 'JSON: steps, metrics where not all have to be proved, tolerances',
    step UInt8 COMMENT 'that it is at from here on, from 1',
    at_ms UInt64,
    who String,
    reason String,
    advice LowCardinality(String) COMMENT 'go, hold or back: what was said of the step that this row ends; empty: none was ended',
    advice_reason String
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (rollout_id, sequence, state, step);

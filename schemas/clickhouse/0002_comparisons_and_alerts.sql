-- What is concluded: comparisons, the strata they were bet on, the evidence after each look, alerts and their delivery.

-- `settings` (JSON) is frozen when the comparison opens; `snapshot` (JSON) is the state of its tests after `slot`.
CREATE TABLE IF NOT EXISTS comparisons {{on_cluster}}
(
    comparison_id String,
    project LowCardinality(String),
    environment LowCardinality(String),
    prompt_name LowCardinality(String),
    factor LowCardinality(String),
    baseline String,
    candidate String,
    epoch UInt16,
    opened_ms UInt64,
    state LowCardinality(String) COMMENT 'open, closed',
    reason String COMMENT 'why it closed',
    slot UInt32,
    settings String CODEC(ZSTD(3)),
    snapshot String CODEC(ZSTD(3))
)
ENGINE = {{replicated}}ReplacingMergeTree(slot)
ORDER BY comparison_id;

-- One row for each closed stratum and metric: counts by bin in each arm. Written once; `use` says what for.
CREATE TABLE IF NOT EXISTS strata {{on_cluster}}
(
    comparison_id String,
    metric LowCardinality(String),
    slot UInt32 COMMENT 'the slot that closed it',
    begin_slot UInt32,
    start_window_ms UInt64 COMMENT 'the calls of it started from here on',
    model LowCardinality(String),
    operation LowCardinality(String),
    route LowCardinality(String),
    use LowCardinality(String) COMMENT 'bet, or reference (learnt from, never bet on)',
    bins Array(Int16),
    a Array(UInt32) COMMENT 'baseline units in each bin',
    b Array(UInt32) COMMENT 'candidate units in each bin',
    closed_at DateTime('UTC')
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (comparison_id, metric, slot, begin_slot, start_window_ms, model, operation, route)
{{evidence_ttl}};

-- The evidence after each look.
CREATE TABLE IF NOT EXISTS looks {{on_cluster}}
(
    comparison_id String,
    slot UInt32,
    at DateTime('UTC'),
    e_value Float64,
    metrics Map(LowCardinality(String), Float64)
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (comparison_id, slot)
{{looks_ttl}};

-- Alerts, append-only: the current state of one is its newest row. `body` is the alert as it was at this transition (culprit.alert/1).
CREATE TABLE IF NOT EXISTS alert_transitions {{on_cluster}}
(
    transition_id String,
    alert_id String,
    sequence UInt32,
    project LowCardinality(String),
    comparison_id String,
    state LowCardinality(String),
    at_ms UInt64,
    reason String,
    body String CODEC(ZSTD(3))
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (alert_id, sequence);

-- The journal of deliveries: one row an attempt.
CREATE TABLE IF NOT EXISTS deliveries {{on_cluster}}
(
    transition_id String,
    sink LowCardinality(String),
    attempt UInt16,
    at_ms UInt64,
    outcome LowCardinality(String) COMMENT 'delivered, retry, failed',
    detail String
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (transition_id, sink, attempt);

-- How far the look has come: all slots before `slot` are closed and bet on.
CREATE TABLE IF NOT EXISTS look_progress {{on_cluster}}
(
    owner String,
    slot UInt32
)
ENGINE = {{replicated}}ReplacingMergeTree(slot)
ORDER BY owner;

-- What is read from telemetry: calls, the spans around them that carry tags, scores, and the ledger.
-- {{on_cluster}} and {{replicated}} are empty in process and on one server ("ON CLUSTER name", "Replicated" on a cluster).
-- {{calls_ttl}} is the retention of calls, or empty (replay).

-- One row an inference. `revision` decides between rows of one span: provisional 0, complete at once 1, complete after a wait +3, corrected +2.
-- Sorted by what never changes about a span, so that a corrected row replaces the one it corrects.
-- event_time is the start of the call, or its arrival where the start is more than 10 minutes ahead or 7 days behind.
CREATE TABLE IF NOT EXISTS calls {{on_cluster}}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    event_time DateTime('UTC') CODEC(Delta, ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    start_ns UInt64 CODEC(T64, ZSTD(1)),
    end_ns UInt64 CODEC(T64, ZSTD(1)),
    received_ms UInt64 CODEC(T64, ZSTD(1)),
    slot UInt32 COMMENT 'slot of the arrival clock in which the call became complete; 0 while provisional' CODEC(T64, ZSTD(1)),
    batch UInt64 COMMENT 'the write that brought it' CODEC(T64, ZSTD(1)),
    revision UInt16 CODEC(ZSTD(1)),
    dialect LowCardinality(String) CODEC(ZSTD(1)),
    scope_name LowCardinality(String) CODEC(ZSTD(1)),
    service_name LowCardinality(String) CODEC(ZSTD(1)),
    service_version LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    prompt_name LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    prompt_version LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    prompt_version_source LowCardinality(String) CODEC(ZSTD(1)),
    prompt_attribution LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    response_model LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    response_id Nullable(String) CODEC(ZSTD(1)),
    finish_reason LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    is_error Bool CODEC(ZSTD(1)),
    error_type LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    status_message Nullable(String) CODEC(ZSTD(1)),
    is_stream Nullable(Bool) CODEC(ZSTD(1)),
    ttft_ms Nullable(Float32) CODEC(ZSTD(1)),
    input_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)),
    output_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)),
    cache_read_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)),
    cache_write_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)),
    reasoning_tokens Nullable(UInt32) CODEC(T64, ZSTD(1)),
    cost_usd Nullable(Float32) CODEC(ZSTD(1)),
    cost_source LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    session_id Nullable(String) CODEC(ZSTD(1)),
    user_id Nullable(String) CODEC(ZSTD(1)),
    is_empty Nullable(Bool) CODEC(ZSTD(1)),
    is_format_valid Nullable(Bool) CODEC(ZSTD(1)),
    stratum_attributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1)),
    flags Array(LowCardinality(String)) CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_response response_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_slot slot TYPE minmax GRANULARITY 1,
    INDEX by_batch batch TYPE minmax GRANULARITY 1
)
ENGINE = {{replicated}}ReplacingMergeTree(revision)
PARTITION BY toYYYYMMDD(event_time)
ORDER BY (project, event_time, trace_id, span_id)
{{calls_ttl}};

-- Spans that are no calls but stand above one, or carry its tags, session or user. A child may arrive in a later request.
CREATE TABLE IF NOT EXISTS relatives {{on_cluster}}
(
    project LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    prompt_name LowCardinality(Nullable(String)),
    prompt_version LowCardinality(Nullable(String)),
    prompt_version_source LowCardinality(String),
    session_id Nullable(String) CODEC(ZSTD(1)),
    user_id Nullable(String) CODEC(ZSTD(1)),
    received_ms UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (project, trace_id, span_id)
{{relatives_ttl}};

-- One row a score. What it says of the call (prompt, version, models, unit) is filled in when both are there.
CREATE TABLE IF NOT EXISTS scores {{on_cluster}}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    event_time DateTime('UTC') CODEC(Delta, ZSTD(1)),
    score_id String CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    value Nullable(Float64) CODEC(ZSTD(1)),
    label LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    data_type LowCardinality(String) CODEC(ZSTD(1)),
    explanation Nullable(String) CODEC(ZSTD(1)),
    evaluator LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    error_type LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    trace_id Nullable(String) CODEC(ZSTD(1)),
    span_id Nullable(String) CODEC(ZSTD(1)),
    response_id Nullable(String) CODEC(ZSTD(1)),
    observed_ns UInt64 CODEC(T64, ZSTD(1)),
    received_ms UInt64 CODEC(T64, ZSTD(1)),
    join_state LowCardinality(String) COMMENT 'joined, pending, ambiguous' CODEC(ZSTD(1)),
    slot UInt32 COMMENT 'slot of the arrival clock in which score and call were both there; 0 before' CODEC(T64, ZSTD(1)),
    batch UInt64 CODEC(T64, ZSTD(1)),
    revision UInt16 CODEC(ZSTD(1)),
    call_trace_id String CODEC(ZSTD(1)),
    call_span_id String CODEC(ZSTD(1)),
    call_start_ns UInt64 CODEC(T64, ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    prompt_name LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    prompt_version LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    prompt_attribution LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    response_model LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    session_id Nullable(String) CODEC(ZSTD(1)),
    stratum_attributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_call_trace call_trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_slot slot TYPE minmax GRANULARITY 1
)
ENGINE = {{replicated}}ReplacingMergeTree(revision)
PARTITION BY toYYYYMMDD(event_time)
ORDER BY (project, event_time, score_id)
{{scores_ttl}};

-- received = stored + duplicate + ignored + rejected (+ waiting, which is counted from the rows): every span and log record, by reason.
CREATE TABLE IF NOT EXISTS ledger {{on_cluster}}
(
    project LowCardinality(String),
    hour DateTime('UTC'),
    signal LowCardinality(String),
    outcome LowCardinality(String),
    reason LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64),
    last_batch SimpleAggregateFunction(max, UInt64)
)
ENGINE = {{replicated}}AggregatingMergeTree
ORDER BY (project, hour, signal, outcome, reason);

-- When each value of a factor was first and last seen on a prompt.
CREATE TABLE IF NOT EXISTS versions {{on_cluster}}
(
    project LowCardinality(String),
    environment LowCardinality(String),
    prompt_name LowCardinality(String),
    factor LowCardinality(String),
    value LowCardinality(String),
    first_seen_ms SimpleAggregateFunction(min, UInt64),
    last_seen_ms SimpleAggregateFunction(max, UInt64),
    calls SimpleAggregateFunction(sum, UInt64)
)
ENGINE = {{replicated}}AggregatingMergeTree
ORDER BY (project, environment, prompt_name, factor, value);

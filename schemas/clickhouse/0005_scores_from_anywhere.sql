-- What a score judges besides a span (traces, sessions, ids of vendors), who judged, and corrections and deletions by id.

ALTER TABLE scores {{on_cluster}}
    ADD COLUMN IF NOT EXISTS target LowCardinality(String) DEFAULT 'span' COMMENT 'span, response, trace, session, run' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS target_session_id Nullable(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS run_id Nullable(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS evaluator_kind LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS bet_value Nullable(Float64) DEFAULT value COMMENT 'what it said when it became complete: value may be corrected, this is what counts' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS change LowCardinality(String) DEFAULT 'judgement' COMMENT 'update, deletion: came before the score itself' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS deleted_slot UInt32 COMMENT 'slot of the arrival clock in which its deletion came; 0: not deleted' CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS flags Array(LowCardinality(String)) COMMENT 'why it is not compared: type_conflict, name_over_limit' CODEC(ZSTD(1)),
    ADD INDEX IF NOT EXISTS by_id score_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_target_session target_session_id TYPE bloom_filter(0.01) GRANULARITY 1;

-- Scores name spans without their trace, and sessions.
ALTER TABLE calls {{on_cluster}}
    ADD INDEX IF NOT EXISTS by_span span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_parent parent_span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_session session_id TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE relatives {{on_cluster}}
    ADD INDEX IF NOT EXISTS by_span span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_parent parent_span_id TYPE bloom_filter(0.01) GRANULARITY 1;

-- Which type each score name has: that of its first score. Others under the same name are kept apart.
CREATE TABLE IF NOT EXISTS score_names {{on_cluster}}
(
    project LowCardinality(String),
    name String,
    data_type LowCardinality(String),
    first_seen_ms UInt64
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (project, name, data_type);

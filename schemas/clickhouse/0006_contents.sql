-- Message content of calls, where the configuration asks for it (content: hashed or stored); else it stays empty.
-- A span that is sent again replaces its row unless it ends earlier. {{contents_ttl}} is the retention of content, or empty (replay).
CREATE TABLE IF NOT EXISTS contents {{on_cluster}}
(
    project LowCardinality(String),
    event_time DateTime('UTC') CODEC(Delta, ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    end_ns UInt64 CODEC(T64, ZSTD(1)),
    mode LowCardinality(String) COMMENT 'stored: the redacted text; hashed: the SHA-256 of it',
    input Nullable(String) COMMENT 'null: not on the wire, or over the limit' CODEC(ZSTD(3)),
    output Nullable(String) CODEC(ZSTD(3)),
    over_limit Array(LowCardinality(String)) COMMENT 'input, output: what was too long to be kept'
)
ENGINE = {{replicated}}ReplacingMergeTree(end_ns)
PARTITION BY toYYYYMMDD(event_time)
ORDER BY (project, trace_id, span_id)
{{contents_ttl}};

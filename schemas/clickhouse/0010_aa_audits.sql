-- A/A audits: how often the user's own history, with fake versions, would have been paged. `body` is culprit.audit/1. Append-only; the newest of a prompt counts.
CREATE TABLE IF NOT EXISTS aa_audits {{on_cluster}}
(
    project LowCardinality(String),
    environment LowCardinality(String),
    prompt_name LowCardinality(String),
    at_ms UInt64,
    body String CODEC(ZSTD(3))
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (project, environment, prompt_name, at_ms);

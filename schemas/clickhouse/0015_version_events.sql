-- What is known of the versions of prompts beside their traffic: who registered or moved them, where, with which commit. Append-only;
-- what holds of a version is the newest word on each fact.
CREATE TABLE IF NOT EXISTS version_events {{on_cluster}}
(
    project LowCardinality(String),
    prompt_name String,
    version String,
    event_id String,
    at_ms UInt64,
    kind LowCardinality(String) COMMENT 'registered, label_set, label_removed, deleted, changed',
    source LowCardinality(String) COMMENT 'api, git, langfuse, langsmith, promptlayer, github',
    actor String,
    label String,
    facts String COMMENT 'JSON: commit, author, owner, pull_request_url, diff_url, message, diff' CODEC(ZSTD(3))
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (project, prompt_name, version, event_id);

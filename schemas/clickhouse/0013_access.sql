-- Who may do what, and who did it. Append-only: the current state of a key, a person or a session is its newest row, and what was revoked stays so.

CREATE TABLE IF NOT EXISTS access_records {{on_cluster}}
(
    kind LowCardinality(String) COMMENT 'key, person, session',
    id String,
    at_ms UInt64,
    state LowCardinality(String) COMMENT 'active, revoked',
    by String COMMENT 'who changed it',
    body String COMMENT 'JSON; of secrets it holds hashes only',
    forget_at DateTime('UTC') DEFAULT toDateTime(4294967295, 'UTC') COMMENT 'sessions go some time after their end'
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (kind, id, at_ms, state)
TTL forget_at;

-- When a key was last used, to the hour.
CREATE TABLE IF NOT EXISTS key_uses {{on_cluster}}
(
    key_id String,
    used_ms UInt64
)
ENGINE = {{replicated}}ReplacingMergeTree(used_ms)
ORDER BY key_id;

-- Every action and change: who, from where, what, result. Nothing in it is secret.
CREATE TABLE IF NOT EXISTS audit_log {{on_cluster}}
(
    at_ms UInt64,
    entry_id String,
    project LowCardinality(String) COMMENT 'empty: the installation',
    actor_kind LowCardinality(String) COMMENT 'key, person, anyone, command, system',
    actor String,
    actor_id String,
    address String,
    action LowCardinality(String),
    target String,
    result LowCardinality(String) COMMENT 'done, refused, failed',
    detail String
)
ENGINE = {{replicated}}MergeTree
ORDER BY (at_ms, entry_id);

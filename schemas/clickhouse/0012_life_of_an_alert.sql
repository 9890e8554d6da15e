-- The life of an alert: who did what, growing evidence, silences, and what is not told now.

-- `event` is what a transition is told as: its state, or `updated` where only the evidence grew.
ALTER TABLE alert_transitions {{on_cluster}} ADD COLUMN IF NOT EXISTS event LowCardinality(String) DEFAULT state;
ALTER TABLE alert_transitions {{on_cluster}} ADD COLUMN IF NOT EXISTS who String DEFAULT '' COMMENT 'the person; empty: Culprit itself';

-- Outcomes besides those of an attempt, as attempt 0: withheld (never told, `detail` says why), postponed (told not before `until_ms`, if it still is to be told then).
ALTER TABLE deliveries {{on_cluster}} ADD COLUMN IF NOT EXISTS until_ms UInt64 DEFAULT 0;

-- Append-only: the newest revision of a silence is the silence. One that was ended early ends when it was ended.
CREATE TABLE IF NOT EXISTS silences {{on_cluster}}
(
    silence_id String,
    revision UInt16,
    project LowCardinality(String),
    matchers Array(String),
    starts_ms UInt64,
    ends_ms UInt64,
    at_ms UInt64 COMMENT 'when this revision was made, …',
    who String COMMENT '… by whom, …',
    reason String COMMENT '… and why'
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (silence_id, revision);

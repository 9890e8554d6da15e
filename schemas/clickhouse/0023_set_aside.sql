-- Prompts that the look could not ask about while it could about others: from `slot` on and before `until_slot` it goes on without them. Written before
-- anything is concluded without them, so that whoever takes the look up does the same.

CREATE TABLE IF NOT EXISTS set_aside {{on_cluster}}
(
    project LowCardinality(String),
    environment LowCardinality(String),
    prompt_name String COMMENT 'empty: of a watch over a model',
    comparison_id String COMMENT 'one that was closed because what was kept of it could not be read; empty: all of the prompt',
    slot UInt32,
    until_slot UInt32 COMMENT 'of one that was closed: so long it is told',
    reason String
)
ENGINE = {{replicated}}ReplacingMergeTree
ORDER BY (project, environment, prompt_name, comparison_id, slot);

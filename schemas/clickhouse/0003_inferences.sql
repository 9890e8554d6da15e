-- What the other dialects bring: which span of several stands for one inference, labels, fingerprints.

ALTER TABLE calls {{on_cluster}}
    ADD COLUMN IF NOT EXISTS role LowCardinality(String) DEFAULT 'call' COMMENT 'call: counts; candidate: a wrapper that counts if no inference below it comes; wrapper, duplicate: does not count' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS prompt_label LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS prompt_fingerprint LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS is_cache_hit Bool CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS is_experiment Bool CODEC(ZSTD(1));

ALTER TABLE scores {{on_cluster}}
    ADD COLUMN IF NOT EXISTS is_experiment Bool COMMENT 'of the call' CODEC(ZSTD(1));

ALTER TABLE relatives {{on_cluster}}
    ADD COLUMN IF NOT EXISTS prompt_label LowCardinality(Nullable(String)),
    ADD COLUMN IF NOT EXISTS prompt_attribution LowCardinality(String) DEFAULT 'direct' COMMENT 'ambiguous where the span names several prompts';

-- What else can change on a prompt and be blamed: its text under an unchanged version, attributes that the configuration names; and on scores, what their call has.

ALTER TABLE calls {{on_cluster}}
    ADD COLUMN IF NOT EXISTS prompt_content LowCardinality(Nullable(String)) COMMENT 'the text under its version, as a fingerprint, where texts of it followed one another; null where they live beside each other, or the text is the version' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS factor_attributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1));

ALTER TABLE scores {{on_cluster}}
    ADD COLUMN IF NOT EXISTS provider LowCardinality(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS service_name LowCardinality(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS service_version LowCardinality(String) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS prompt_content LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS factor_attributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1));

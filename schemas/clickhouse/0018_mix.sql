-- What describes the traffic of a call (tenant, language), so that a shift of it is told from a change of the answers.

ALTER TABLE calls {{on_cluster}}
    ADD COLUMN IF NOT EXISTS mix_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1));

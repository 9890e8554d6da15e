-- Hourly cells: what calls and scores of one hour amount to, so that months are read without them. Computed whole from the stored rows by
-- analyzer/roll-up, again after whatever changed them; rows of a cell replace each other, and only those of the version that cell_hours names are read.

-- A cell is one metric of the calls with one prompt, version, models, provider, operation and stratum attributes; of scores also one label.
CREATE TABLE IF NOT EXISTS cells {{on_cluster}}
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'calls, scores' CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    prompt_name LowCardinality(String) COMMENT 'empty: none' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'of the metric; of scores that of the score' CODEC(ZSTD(1)),
    event_time DateTime('UTC') COMMENT 'the hour that the rows are filed under' CODEC(Delta, ZSTD(1)),
    cell_id UInt64 COMMENT 'a hash of what stands below, up to the version' CODEC(ZSTD(1)),
    prompt_version LowCardinality(String) COMMENT 'empty: none' CODEC(ZSTD(1)),
    request_model LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    response_model LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    stratum_attributes Map(LowCardinality(String), LowCardinality(String)) CODEC(ZSTD(1)),
    start_hour DateTime('UTC') COMMENT 'in which the call started' CODEC(Delta, ZSTD(1)),
    label LowCardinality(Nullable(String)) COMMENT 'the cell counts the scores with this label; null: it has the values' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'of the roll-up that made it' CODEC(ZSTD(1)),
    n UInt32 COMMENT 'values' CODEC(T64, ZSTD(1)),
    total Float64 COMMENT 'their sum' CODEC(ZSTD(1)),
    spread Float64 COMMENT 'sum of the squares of their distances from the mean of the cell; 0 for rates' CODEC(ZSTD(1)),
    least Float64 CODEC(ZSTD(1)),
    most Float64 CODEC(ZSTD(1)),
    first_s UInt32 COMMENT 'event_time of the first and the last row' CODEC(T64, ZSTD(1)),
    last_s UInt32 CODEC(T64, ZSTD(1)),
    bins Map(Int16, UInt32) COMMENT 'of distributions: values by floor(16 log2 x); -32768: zero and below' CODEC(ZSTD(1)),
    units Map(Int32, UInt32) COMMENT 'units, each by its first value, in the bins of strata; of scores by scale (schemas/cells.ts)' CODEC(ZSTD(1))
)
ENGINE = {{replicated}}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(event_time)
ORDER BY (project, source, environment, prompt_name, name, event_time, cell_id)
{{cells_ttl}};

-- What is known of the cells of an hour: the newest row counts.
CREATE TABLE IF NOT EXISTS cell_hours {{on_cluster}}
(
    source LowCardinality(String) COMMENT 'calls, scores',
    hour DateTime('UTC'),
    at_us UInt64 COMMENT 'when, in µs: it orders the rows of an hour',
    state LowCardinality(String) COMMENT 'whole: they are what the rows say, unless the ledger knows of a later batch; sealed: the rows have expired; refused: too many cells; gone: they expire',
    version UInt64 COMMENT 'of the cells that count',
    batches Map(UInt16, UInt64) COMMENT 'by shard: the last batch that had written into the hour'
)
ENGINE = {{replicated}}ReplacingMergeTree(at_us)
ORDER BY (source, hour)
{{cell_hours_ttl}};

-- Public, as the views of 0014: docs/QUERY.md.
CREATE VIEW IF NOT EXISTS llm_hours {{on_cluster}} AS
SELECT
    event_time AS hour, source, environment, prompt_name, name AS metric, prompt_version, request_model, response_model, provider, operation, stratum_attributes AS attributes, label,
    n, total, spread, least, most, bins
FROM cells
WHERE (source, event_time, version) IN (SELECT source, hour, version FROM cell_hours FINAL WHERE state IN ('whole', 'sealed'));

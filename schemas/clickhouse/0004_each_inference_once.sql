-- Which span of several stands for one inference can change when another one arrives: then the row says what it was, and the ledger counts it anew.

-- `slot` of a span that does not count: the one in which it had entered as a call before it was demoted; 0 where it never was one.
ALTER TABLE calls {{on_cluster}}
    ADD COLUMN IF NOT EXISTS former_role LowCardinality(String) DEFAULT '' COMMENT 'role of the row that this one replaces, where it was another' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String) DEFAULT '' COMMENT 'why the span by itself is no call; empty for an inference of its own' CODEC(ZSTD(1));

ALTER TABLE relatives {{on_cluster}}
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String) DEFAULT '' COMMENT 'why the span is no call: a tool or an agent between two inferences makes them two calls';

-- Counts can fall: what was stored as a call may turn out to be a wrapper, or the second span of one inference.
ALTER TABLE ledger {{on_cluster}} MODIFY COLUMN count SimpleAggregateFunction(sum, Int64);

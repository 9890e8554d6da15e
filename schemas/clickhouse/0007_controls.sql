-- What compares times has strata of other prompts beside its own: those that did not change, or that moved together.

ALTER TABLE strata {{on_cluster}}
    ADD COLUMN control LowCardinality(String) COMMENT 'the prompt that a control, or a part of a drift, is of; else empty',
    MODIFY ORDER BY (comparison_id, metric, slot, begin_slot, start_window_ms, model, operation, route, control);

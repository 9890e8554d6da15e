-- What people may ask in SQL of their own (POST /v1/query). Names and columns are public: docs/QUERY.md.
-- Rows of other projects are left out by a filter on the tables, not here.

CREATE VIEW IF NOT EXISTS llm_calls {{on_cluster}} AS
SELECT
    fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC') AS time,
    trace_id, span_id, parent_span_id, service_name, service_version, environment, operation,
    prompt_name, prompt_version, prompt_version_source, prompt_attribution, prompt_label, prompt_fingerprint,
    provider, request_model, response_model, response_id, dialect,
    (end_ns - start_ns) / 1e6 AS latency_ms, ttft_ms, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd, cost_source, finish_reason, is_error, error_type, is_stream, is_empty, is_format_valid, is_cache_hit, is_experiment,
    session_id, user_id, stratum_attributes AS attributes, flags
FROM calls FINAL
WHERE role = 'call';

CREATE VIEW IF NOT EXISTS llm_scores {{on_cluster}} AS
SELECT
    fromUnixTimestamp64Nano(toInt64(observed_ns), 'UTC') AS time,
    score_id, name, value, label, data_type, explanation, evaluator, evaluator_kind, join_state,
    call_trace_id AS trace_id, call_span_id AS span_id, environment, operation, prompt_name, prompt_version, request_model, response_model, session_id, stratum_attributes AS attributes, flags
FROM scores FINAL
WHERE change = 'judgement' AND deleted_slot = 0;

CREATE VIEW IF NOT EXISTS llm_comparisons {{on_cluster}} AS
SELECT comparison_id, environment, prompt_name, factor, baseline, candidate, epoch, fromUnixTimestamp64Milli(toInt64(opened_ms), 'UTC') AS opened_at, state, reason
FROM comparisons FINAL;

CREATE VIEW IF NOT EXISTS llm_evidence {{on_cluster}} AS
SELECT looks.comparison_id AS comparison_id, looks.at AS time, looks.e_value AS e_value, looks.metrics AS metrics
FROM looks FINAL
INNER JOIN (SELECT comparison_id FROM comparisons FINAL) AS own ON own.comparison_id = looks.comparison_id;

CREATE VIEW IF NOT EXISTS llm_alerts {{on_cluster}} AS
SELECT alert_id, sequence, fromUnixTimestamp64Milli(toInt64(at_ms), 'UTC') AS time, comparison_id, state, reason, body AS alert
FROM alert_transitions FINAL;

CREATE VIEW IF NOT EXISTS llm_versions {{on_cluster}} AS
SELECT environment, prompt_name, factor, value, fromUnixTimestamp64Milli(toInt64(min(first_seen_ms)), 'UTC') AS first_seen_at, fromUnixTimestamp64Milli(toInt64(max(last_seen_ms)), 'UTC') AS last_seen_at
FROM versions
GROUP BY environment, prompt_name, factor, value;

-- A call of which nobody says how long it took has no latency, as in GET /v1/calls (duration_ms); the view of 0014 gave 0.
CREATE OR REPLACE VIEW llm_calls {{on_cluster}} AS
SELECT
    fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC') AS time,
    trace_id, span_id, parent_span_id, service_name, service_version, environment, operation,
    prompt_name, prompt_version, prompt_version_source, prompt_attribution, prompt_label, prompt_fingerprint,
    provider, request_model, response_model, response_id, dialect,
    if(end_ns > start_ns, (end_ns - start_ns) / 1e6, NULL) AS latency_ms, ttft_ms, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
    cost_usd, cost_source, finish_reason, is_error, error_type, is_stream, is_empty, is_format_valid, is_cache_hit, is_experiment,
    session_id, user_id, stratum_attributes AS attributes, flags
FROM calls FINAL
WHERE role = 'call';

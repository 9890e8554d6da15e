/** A row of the table `calls`, as it is inserted. */
export type CallRow = Readonly<Record<string, unknown>>;

const prompts = ['refund-agent', 'order-status', 'summarise-ticket', 'route-question'] as const;
const models = [
  { provider: 'openai', request: 'gpt-4o', response: 'gpt-4o-2024-08-06', input: 2.5e-6, output: 1e-5 },
  { provider: 'openai', request: 'gpt-4o-mini', response: 'gpt-4o-mini-2024-07-18', input: 1.5e-7, output: 6e-7 },
  { provider: 'anthropic', request: 'claude-sonnet-4-5', response: 'claude-sonnet-4-5-20250929', input: 3e-6, output: 1.5e-5 },
] as const;
const routes = ['/refund', '/orders', '/tickets', '/chat'] as const;
const firstMs = Date.UTC(2026, 5, 1);
const callsPerSecond = 3.5;

/** Traffic of 3.5 calls a second from 2026-06-01 on; the same seed gives the same rows. */
export function* makeCalls({ calls, seed }: { calls: number; seed: number }): Generator<CallRow> {
  const random = createRandom(seed);
  const hex = (digits: number): string => {
    let text = '';
    while (text.length < digits) text += Math.floor(random() * 65_536).toString(16).padStart(4, '0');
    return text.slice(0, digits);
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // index < length

  let session = { id: hex(16), user: 'user-0', left: 0 };
  let arrivalMs = firstMs;
  for (let index = 0; index < calls; index += 1) {
    arrivalMs += -Math.log(1 - random()) * (1000 / callsPerSecond);
    if (session.left === 0) session = { id: hex(16), user: `user-${Math.floor(random() * 5000)}`, left: 1 + Math.floor(random() * 8) };
    session.left -= 1;
    const model = pick(models);
    const promptIndex = Math.floor(random() * prompts.length);
    const durationMs = Math.exp(7 + 0.6 * normal());
    const startNs = BigInt(Math.round(arrivalMs)) * 1_000_000n + BigInt(Math.floor(random() * 1_000_000));
    const endNs = startNs + BigInt(Math.round(durationMs * 1e6));
    const receivedMs = Number(endNs / 1_000_000n) + Math.floor(random() * 5000);
    const isError = random() < 0.01;
    const inputTokens = Math.max(1, Math.round(800 + 200 * normal()));
    const outputTokens = isError ? null : Math.max(1, Math.round(250 + 80 * normal()));
    const cachedTokens = random() < 0.5 ? Math.floor(inputTokens / 128) * 64 : 0;
    yield {
      project: 'default',
      event_time: String(startNs / 1_000_000_000n),
      trace_id: hex(32),
      span_id: hex(16),
      parent_span_id: random() < 0.5 ? hex(16) : '',
      start_ns: String(startNs),
      end_ns: String(endNs),
      received_ms: receivedMs,
      slot: Math.floor(receivedMs / 60_000),
      batch: receivedMs * 1000 + 1,
      revision: 1,
      dialect: 'otel_genai',
      scope_name: 'opentelemetry.instrumentation.openai_v2',
      service_name: 'support',
      service_version: '2026.05.3',
      environment: 'production',
      operation: 'chat',
      prompt_name: prompts[promptIndex],
      prompt_version: random() < 0.1 ? 'v2' : 'v1',
      prompt_version_source: 'explicit',
      prompt_attribution: 'direct',
      provider: model.provider,
      request_model: model.request,
      response_model: isError ? null : model.response,
      response_id: isError ? null : `chatcmpl-${hex(29)}`,
      finish_reason: isError ? null : random() < 0.02 ? 'length' : 'stop',
      is_error: isError,
      error_type: isError ? 'RateLimitError' : null,
      status_message: isError ? `Rate limit reached for ${model.request}: try again in ${Math.floor(random() * 1000)} ms` : null,
      is_stream: random() < 0.5,
      ttft_ms: isError ? null : durationMs * (0.1 + 0.2 * random()),
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      cache_read_tokens: cachedTokens,
      cache_write_tokens: null,
      reasoning_tokens: null,
      cost_usd: (inputTokens - cachedTokens / 2) * model.input + (outputTokens ?? 0) * model.output,
      cost_source: 'computed',
      session_id: session.id,
      user_id: session.user,
      is_empty: isError ? null : false,
      is_format_valid: null,
      stratum_attributes: { 'app.route': routes[promptIndex] },
      flags: [],
    };
  }
}

/** Uniform in [0, 1), 32 bits. mulberry32, Tommy Ettinger (public domain). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

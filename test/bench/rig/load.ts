import { Agent, request } from 'node:http';
import { createSpanBody, SPANS_IN_BODY } from './spans.ts';

/**
 * OTLP/HTTP load over keep-alive connections, each with one request in flight (closed loop). It runs in the benchmark's own
 * process, beside which the server is another.
 */
export type LoadSettings = {
  readonly url: string;
  readonly connections: number;
  /** No request begins once this is true. */
  readonly isDone: (sentSpans: number) => boolean;
  /** Null: as fast as the server answers. */
  readonly spansPerSecond: number | null;
  readonly onAcknowledged?: (spans: number) => void;
  /** The same body, of as many spans, in every request, where ids do not matter and the sender must cost next to nothing. Default: one with fresh ids each time. */
  readonly body?: Body;
};

export type Body = { readonly bytes: Buffer; readonly headers: Readonly<Record<string, string>> };

const PROTOBUF = { 'content-type': 'application/x-protobuf' };

export type LoadResult = {
  readonly sent: number;
  readonly acknowledged: number;
  readonly seconds: number;
  /** Requests by status; `failed` where no answer came. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Of each request, ms: from the moment it was due (at a given rate) or began to its answer. Ascending. */
  readonly latenciesMs: Float64Array;
};

export async function sendLoad(settings: LoadSettings): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: settings.connections });
  const statuses: Record<string, number> = {};
  const latenciesMs: number[] = [];
  let sent = 0;
  let acknowledged = 0;
  const begunMs = performance.now();

  const connection = async (): Promise<void> => {
    // One request in flight: its body may be patched again once it is answered.
    const fresh = settings.body === undefined ? createSpanBody(Math.random) : null;
    const { bytes, headers } = settings.body ?? { bytes: fresh?.bytes ?? Buffer.alloc(0), headers: PROTOBUF };
    while (!settings.isDone(sent)) {
      const dueMs = settings.spansPerSecond === null ? performance.now() : begunMs + (sent / settings.spansPerSecond) * 1000;
      sent += SPANS_IN_BODY;
      if (dueMs > performance.now()) await until(dueMs);
      fresh?.refresh(Date.now());
      const status = await post(agent, `${settings.url}/v1/traces`, bytes, headers);
      latenciesMs.push(performance.now() - dueMs);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status !== '200') continue;
      acknowledged += SPANS_IN_BODY;
      settings.onAcknowledged?.(acknowledged);
    }
  };
  await Promise.all(Array.from({ length: settings.connections }, connection));
  const seconds = (performance.now() - begunMs) / 1000;
  agent.destroy();
  return { sent, acknowledged, seconds, statuses, latenciesMs: Float64Array.from(latenciesMs).sort() };
}

/** The status as text, or `failed`. */
export function post(agent: Agent, url: string, body: Buffer, headers: Body['headers'] = PROTOBUF): Promise<string> {
  return new Promise((resolve) => {
    const sending = request(url, { agent, method: 'POST', headers: { ...headers, 'content-length': body.length } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(String(answer.statusCode)));
      answer.on('error', () => resolve('failed'));
    });
    sending.on('error', () => resolve('failed'));
    sending.end(body);
  });
}

/** Benchmarks wait for a moment of `performance.now()`; tests never do. */
export function until(atMs: number): Promise<void> {
  return new Promise((done) => setTimeout(done, Math.max(0, atMs - performance.now())));
}

/** Of ascending values; NaN of none. */
export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

import type { Outcome, SinkResponse } from './index.ts';

/** For receivers that answer as HTTP has it: what the same request would meet again is given up at once. */
export function judgeHttp({ status, retryAfterMs }: SinkResponse): Outcome {
  const detail = `HTTP ${status}`;
  if (status >= 200 && status < 300) return { kind: 'delivered', detail };
  if (status >= 300 && status < 400) return { kind: 'retry', detail: `${detail}: redirects are not followed, configure the final address`, retryAfterMs };
  return status >= 500 || status === 408 || status === 425 || status === 429 ? { kind: 'retry', detail, retryAfterMs } : { kind: 'failed', detail };
}

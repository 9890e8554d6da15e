import { Webhook as Signer } from 'standardwebhooks';
import type { Webhook } from '../../schemas/webhook.ts';
import type { Outcome, Sink } from './index.ts';

/**
 * Standard Webhooks 1.0: `{ type, timestamp, data }`, signed with HMAC-SHA256 over id, time of the attempt and body.
 * Any answer but 2xx is worth another try, as its specification asks ("Deliverability and reliability"), but for 410.
 */
export function createWebhookSink({ name, url, secret, events, timeout_s }: Webhook): Sink {
  const signer = new Signer(secret);
  return {
    name,
    events,
    timeoutMs: timeout_s * 1000,
    request({ id, type, timestamp, alert }, nowMs) {
      const body = JSON.stringify({ type, timestamp, data: alert });
      return {
        url,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'culprit',
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(nowMs / 1000)),
          'webhook-signature': signer.sign(id, new Date(nowMs), body),
        },
        body,
      };
    },
    judge: judgeStatus,
  };
}

function judgeStatus({ status, retryAfterMs }: { status: number; retryAfterMs: number }): Outcome {
  if (status >= 200 && status < 300) return { kind: 'delivered', detail: `HTTP ${status}` };
  if (status === 410) return { kind: 'gone', detail: 'HTTP 410' };
  if (status >= 300 && status < 400) return { kind: 'retry', detail: `HTTP ${status}: redirects are not followed, configure the final address`, retryAfterMs };
  return { kind: 'retry', detail: `HTTP ${status}`, retryAfterMs };
}

import { Webhook as Signer } from 'standardwebhooks';
import type { SettingsOf } from '../../schemas/sinks.ts';
import type { Message, Outcome, Sink, SinkResponse } from './index.ts';

/**
 * Standard Webhooks 1.0: `{ type, timestamp, data }`, signed with HMAC-SHA256 over id, time of the attempt and body.
 * Any answer but 2xx is worth another try, as its specification asks ("Deliverability and reliability"), but for 410.
 * As CloudEvents 1.0 (structured content mode, JSON format) the body is an event around the same alert, signed the same way.
 */
export function createWebhookSink({ name, url, secret, events, timeout_s, format }: SettingsOf<'webhook'>): Sink {
  const signer = new Signer(secret);
  const isCloudEvent = format === 'cloudevents';
  return {
    name,
    events,
    timeoutMs: timeout_s * 1000,
    most: 1,
    perMinute: null,
    request([message], { nowMs }) {
      const body = JSON.stringify(isCloudEvent ? cloudEventOf(message) : standardOf(message));
      return {
        url,
        headers: {
          'content-type': isCloudEvent ? 'application/cloudevents+json; charset=utf-8' : 'application/json',
          'user-agent': 'culprit',
          'webhook-id': message.id,
          'webhook-timestamp': String(Math.floor(nowMs / 1000)),
          'webhook-signature': signer.sign(message.id, new Date(nowMs), body),
        },
        body,
      };
    },
    judge: judgeStatus,
  };
}

function standardOf({ type, timestamp, alert }: Message) {
  return { type, timestamp, data: alert };
}

/** `id` with `source` is unique and the same at every attempt; `source` is a URI reference, `subject` the alert. */
function cloudEventOf({ id, type, timestamp, alert }: Message) {
  const source = ['', 'projects', alert.project, ...(alert.prompt === null ? [] : ['prompts', alert.prompt])].map((part) => encodeURIComponent(part.toWellFormed())).join('/');
  return { specversion: '1.0', id, source, type: `dev.culprit.${type}`, subject: alert.id, time: timestamp, datacontenttype: 'application/json', data: alert };
}

function judgeStatus({ status, retryAfterMs }: SinkResponse): Outcome {
  if (status >= 200 && status < 300) return { kind: 'delivered', detail: `HTTP ${status}` };
  if (status === 410) return { kind: 'gone', detail: 'HTTP 410' };
  if (status >= 300 && status < 400) return { kind: 'retry', detail: `HTTP ${status}: redirects are not followed, configure the final address`, retryAfterMs };
  return { kind: 'retry', detail: `HTTP ${status}`, retryAfterMs };
}

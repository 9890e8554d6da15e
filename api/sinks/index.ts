import type { Alert } from '../../schemas/alert.ts';
import type { Webhook, WebhookEvent } from '../../schemas/webhook.ts';
import { createWebhookSink } from './webhook.ts';

/** What is to be told: one transition of an alert. */
export type Message = {
  /** The idempotency key: the transition's id, the same at every attempt. */
  id: string;
  type: WebhookEvent;
  /** When the transition happened, RFC 3339. */
  timestamp: string;
  alert: Alert;
};

/** `detail` ends up in the journal and before people: status and cause, never an address's path, never a secret. */
export type Outcome =
  | { kind: 'delivered'; detail: string }
  /** Worth another try, not before `retryAfterMs` from now. */
  | { kind: 'retry'; detail: string; retryAfterMs: number }
  /** The same request would fail the same way. */
  | { kind: 'failed'; detail: string }
  /** The receiver wants nothing more, ever. */
  | { kind: 'gone'; detail: string };

export type SinkRequest = { url: string; headers: Readonly<Record<string, string>>; body: string };
export type SinkResponse = { status: number; retryAfterMs: number };

/** A receiver of alerts is a payload, and a verdict on the answer. Time-outs, retries, order and the journal are the delivery's. */
export type Sink = {
  /** Unique; the journal is kept by it. */
  readonly name: string;
  readonly events: readonly WebhookEvent[];
  readonly timeoutMs: number;
  request(message: Message, nowMs: number): SinkRequest;
  judge(response: SinkResponse): Outcome;
};

/** Every configured receiver. Another kind of sink is one file and one line here. */
export function createSinks(settings: { webhooks: readonly Webhook[] }): Sink[] {
  return settings.webhooks.map(createWebhookSink);
}

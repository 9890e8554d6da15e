import type { Alert } from '../../schemas/alert.ts';
import type { SettingsOf, SinkSettings } from '../../schemas/sinks.ts';
import type { WebhookEvent } from '../../schemas/webhook.ts';
import { createAlertmanagerSink } from './alertmanager.ts';
import { createEmailSink } from './email.ts';
import { createPagerDutySink } from './pagerduty.ts';
import { createSlackSink } from './slack.ts';
import { createWebhookSink } from './webhook.ts';

/** What is to be told: one transition of an alert. */
export type Message = {
  /** The idempotency key: the transition's id, the same at every attempt. */
  id: string;
  type: WebhookEvent;
  /** When the transition happened, RFC 3339. */
  timestamp: string;
  alert: Alert;
  /** Who did it; empty: Culprit itself. */
  who: string;
  reason: string;
  /** Seconds that nobody has acknowledged it for, where it is told because of that. */
  escalated_after_s: number | null;
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

export type HttpRequest = { url: string; headers: Readonly<Record<string, string>>; body: string; /** POST where it is not said. */ method?: 'GET' | 'POST' | 'PATCH'; /** How much of the answer's body is kept; nothing where it is not said. */ keepBytes?: number };
export type MailRequest = {
  /** smtp(s)://HOST[:PORT] */
  url: string;
  auth: { user: string; pass: string } | null;
  requireTls: boolean;
  mail: { from: string; to: readonly string[]; subject: string; text: string; html: string; messageId: string; references: string; headers: Readonly<Record<string, string>>; picture: { cid: string; filename: string; content: Uint8Array } | null };
};
export type SinkRequest = HttpRequest | MailRequest;
/** `status` is HTTP's or SMTP's. */
export type SinkResponse = { status: number; retryAfterMs: number; /** Where the request asked to keep it. */ body?: string };

/** A receiver of alerts is a payload, and a verdict on the answer. Time-outs, retries, order, throttling and the journal are the delivery's. */
export type Sink = {
  /** Unique; the journal is kept by it. */
  readonly name: string;
  readonly events: readonly WebhookEvent[];
  readonly timeoutMs: number;
  /** How many messages one request can carry. */
  readonly most: number;
  /** Requests in a minute; null: no limit of ours. */
  readonly perMinute: number | null;
  /** Set: what is open is said again, all of it, every so often, and ends by itself when it is not. */
  readonly refreshMs?: number;
  /** Whether the chart travels with a message. */
  readonly carriesPicture?: true;
  /** Of 1 to `most` messages; with a picture where there is one message, and one could be drawn. */
  request(messages: readonly [Message, ...Message[]], context: { readonly nowMs: number; readonly picture: Uint8Array | null }): SinkRequest;
  judge(response: SinkResponse): Outcome;
  /** Where the receiver keeps a list of changes: of a version that was seen for the first time. */
  change?(version: NewVersion): SinkRequest;
};

export type NewVersion = { readonly project: string; readonly environment: string; readonly prompt: string; readonly version: string; readonly first_seen_ms: number };

/** Another kind of sink is one file and one line here. */
const KINDS: { readonly [Kind in SinkSettings['kind']]: (settings: SettingsOf<Kind>) => Sink } = {
  webhook: createWebhookSink,
  slack: createSlackSink,
  pagerduty: createPagerDutySink,
  alertmanager: createAlertmanagerSink,
  email: createEmailSink,
};

/** Every configured receiver. */
export function createSinks(settings: { readonly webhooks: readonly Omit<SettingsOf<'webhook'>, 'kind'>[]; readonly sinks?: readonly SinkSettings[] }): Sink[] {
  return [...settings.webhooks.map((webhook) => createSink({ ...webhook, kind: 'webhook' })), ...(settings.sinks ?? []).map(createSink)];
}

function createSink<Kind extends SinkSettings['kind']>(settings: SettingsOf<Kind> & { kind: Kind }): Sink {
  return KINDS[settings.kind](settings);
}

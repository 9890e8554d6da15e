import { z } from 'zod';
import { TOLD_BY_DEFAULT, WebhookEvent, type Webhook } from './webhook.ts';

/** Who is told of alerts, besides webhooks. Another kind is a schema and a word in each list here, a file and a line in api/sinks, and a test. */

const httpUrl = z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://hooks.example.com/culprit' });
const events = (fallback: WebhookEvent[]) => z.array(WebhookEvent).min(1).default(fallback);
/** What waits meanwhile is put together where the receiver can show several at once. */
const perMinute = (fallback: number) => z.number().int().min(1).max(6000).default(fallback).describe('Most requests in a minute.');
const elsewhere = z.string().min(1).optional();

const common = {
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'may hold a-z, 0-9, - and _ only, at most 64 characters'),
  timeout_s: z.number().positive().max(30).default(15),
};

const Slack = z.strictObject({ ...common, kind: z.literal('slack'), url: httpUrl.describe('The incoming webhook. It is a secret.'), events: events(TOLD_BY_DEFAULT), per_minute: perMinute(30) });

const PagerDuty = z.strictObject({
  ...common,
  kind: z.literal('pagerduty'),
  routing_key: z.string().min(1).max(100).describe('Integration key of Events API v2.'),
  url: httpUrl.default('https://events.pagerduty.com').describe('https://events.eu.pagerduty.com for accounts in the EU.'),
  events: events([...WebhookEvent.options]),
  per_minute: perMinute(100),
});

const Alertmanager = z.strictObject({
  ...common,
  kind: z.literal('alertmanager'),
  url: httpUrl.describe('Its address, without /api/v2/alerts.'),
  bearer_token: z.string().min(1).max(4000).optional(),
  refresh_s: z.number().int().min(10).max(3600).default(60).describe('How often what is open is said again; left unsaid, it ends after three times as long.'),
  per_minute: perMinute(600),
});

const Email = z.strictObject({
  ...common,
  kind: z.literal('email'),
  url: z.url({ protocol: /^smtps?$/, error: 'is not an smtp(s) URL; write it in full, like smtp://mail.example.com:587' }),
  user: z.string().min(1).max(320).optional(),
  password: z.string().min(1).max(1000).optional(),
  tls: z.enum(['required', 'optional']).default('required').describe('Whether a server without STARTTLS is refused.'),
  from: z.email(),
  to: z.array(z.email()).min(1).max(50),
  events: events(TOLD_BY_DEFAULT),
  per_minute: perMinute(20),
});

/** A sink whose secret has been read. */
export const SinkSettings = z.discriminatedUnion('kind', [Slack, PagerDuty, Alertmanager, Email]);
export type SinkSettings = z.output<typeof SinkSettings> | (Webhook & { kind: 'webhook' });
export type SettingsOf<Kind extends SinkSettings['kind']> = Extract<SinkSettings, { kind: Kind }>;

/** A sink as a person writes it: its secret in the file, in a file of its own, or in an environment variable. */
export const SinkEntry = z.discriminatedUnion('kind', [
  Slack.extend({ url: Slack.shape.url.optional(), url_file: elsewhere, url_env: elsewhere }),
  PagerDuty.extend({ routing_key: PagerDuty.shape.routing_key.optional(), routing_key_file: elsewhere, routing_key_env: elsewhere }),
  Alertmanager.extend({ bearer_token_file: elsewhere, bearer_token_env: elsewhere }),
  Email.extend({ password_file: elsewhere, password_env: elsewhere }),
]);
export type SinkEntry = z.output<typeof SinkEntry>;

/** The secret of each kind. */
export const SINK_SECRETS: Readonly<Record<SinkEntry['kind'], { readonly key: string; readonly isOptional: boolean }>> = {
  slack: { key: 'url', isOptional: false },
  pagerduty: { key: 'routing_key', isOptional: false },
  alertmanager: { key: 'bearer_token', isOptional: true },
  email: { key: 'password', isOptional: true },
};

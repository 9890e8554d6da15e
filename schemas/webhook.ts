import { z } from 'zod';

export const WebhookEvent = z.enum(['alert.open', 'alert.updated', 'alert.rollback', 'alert.acknowledged', 'alert.resolved']);
export type WebhookEvent = z.infer<typeof WebhookEvent>;

/** Growing evidence is told to those only who ask for it. A rollback is told: a veto is of no use to people who do not know that they have one. */
export const TOLD_BY_DEFAULT: WebhookEvent[] = ['alert.open', 'alert.rollback', 'alert.acknowledged', 'alert.resolved'];

/** `whsec_` and the base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme"). */
export const WebhookSecret = z.string().refine(
  (secret) => /^whsec_(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(secret) && secret.length >= 'whsec_'.length + 32 && secret.length <= 'whsec_'.length + 88,
  'is not a Standard Webhooks secret; make one with: echo "whsec_$(openssl rand -base64 32)"',
);

export const WebhookEntry = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'may hold a-z, 0-9, - and _ only, at most 64 characters'),
    url: z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://hooks.example.com/culprit' }),
    secret: WebhookSecret.optional().describe('whsec_… that signs what is sent.'),
    secret_file: z.string().min(1).optional().describe('File that holds the secret.'),
    secret_env: z.string().min(1).optional().describe('Environment variable that holds the secret.'),
    events: z.array(WebhookEvent).min(1).default(TOLD_BY_DEFAULT),
    format: z.enum(['standard', 'cloudevents']).default('standard').describe('standard: { type, timestamp, data }. cloudevents: CloudEvents 1.0, structured. Both signed.'),
    timeout_s: z.number().positive().max(30).default(15),
  })
  .refine((webhook) => [webhook.secret, webhook.secret_file, webhook.secret_env].filter((source) => source !== undefined).length === 1, {
    path: ['secret'],
    message: 'must be given once; set exactly one of secret, secret_file and secret_env',
  });

/** A webhook whose secret has been read. */
export type Webhook = { name: string; url: string; secret: string; events: readonly WebhookEvent[]; format?: 'standard' | 'cloudevents'; timeout_s: number };

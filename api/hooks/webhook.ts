import { Webhook as Signer } from 'standardwebhooks';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import type { Hook, Order } from './index.ts';

/** Standard Webhooks 1.0, signed: `{ type: "rollback.requested", timestamp, data: { rollback, alert } }`. The order's key is the `webhook-id` of every attempt. */
export function createWebhookHook(settings: HookSettingsOf<'webhook'>): Hook {
  const signer = new Signer(settings.secret);
  // The path of an address may hold a token.
  const label = `POST ${new URL(settings.url).host}`;
  return {
    ...basicsOf(settings),
    describe: ({ prompt, candidate, baseline }) => `${label}: rollback.requested, ${prompt} from ${candidate} to ${baseline}`,
    async rollBack(order, { call }) {
      const body = JSON.stringify(bodyOf(order));
      const sentAt = new Date(order.atMs);
      const { status } = await call({
        label,
        method: 'POST',
        url: settings.url,
        headers: { 'webhook-id': order.key, 'webhook-timestamp': String(Math.floor(order.atMs / 1000)), 'webhook-signature': signer.sign(order.key, sentAt, body), 'idempotency-key': order.key },
        body,
      });
      return `HTTP ${status}`;
    },
  };
}

function bodyOf({ id, atMs, alert, prompt, candidate, baseline, who }: Order) {
  return { type: 'rollback.requested', timestamp: new Date(atMs).toISOString(), data: { rollback: { id, prompt, environment: alert.environment, from: candidate, to: baseline, by: who }, alert } };
}

import { createSinks, type Message, type Outcome } from '../../../api/sinks/index.ts';
import { createPost } from '../../../api/sinks/post.ts';
import type { SinkSettings } from '../../../schemas/sinks.ts';
import { NOW_MS } from './alert.ts';

/** One sink made from its settings, over real connections to loopback. */
export function sending(settings: SinkSettings) {
  const [sink] = createSinks({ webhooks: [], sinks: [settings] });
  if (sink === undefined) throw new Error('no sink');
  const post = createPost({ clock: () => NOW_MS }, { allowPrivateAddresses: true });
  return {
    sink,
    async send(messages: readonly [Message, ...Message[]], picture: Uint8Array | null = null): Promise<Outcome> {
      const result = await post(sink.request(messages, { nowMs: NOW_MS, picture }), { timeoutMs: sink.timeoutMs });
      return result.kind === 'answered' ? sink.judge(result) : { kind: 'retry', detail: result.reason, retryAfterMs: 0 };
    },
  };
}

import { expect } from 'vitest';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';
import { agent, ARRIVED_MS, expectExactLedger, id, inference, judgement, logs, TAGS, traces, type Ingesting, type Ledger, type MessageIngest } from './ingesting.ts';

/** A shard that changes hands while inserts of its owner are on their way, and what must hold when they have arrived. */
const SHARD = 3;
export const settings = { shard: SHARD };
export const LATER_MS = ARRIVED_MS + 20_000;

export const spans = traces([inference(1, TAGS, { parent_span_id: id(2) }), agent(2, TAGS)], ARRIVED_MS + 1_000);
export const scores = logs([judgement(1, 0.5)], ARRIVED_MS + 1_000);
/** A call, one that stands aside for it, and a score. */
export const request: LogMessage[] = [spans, scores];

/** A store in which the shard has one call from before. */
export async function begin(on: Ingesting): Promise<void> {
  await (await on.fresh(settings)).write([traces([inference(9, TAGS)])]);
}

export function takeUp(on: Ingesting, through: Store = on.store): Promise<MessageIngest> {
  return on.start(settings, LATER_MS, through);
}

/** Everything stored once; `again`: how often it was received after it had been counted. */
export async function expectOnce(on: Ingesting, { again }: { readonly again: number }): Promise<Ledger> {
  const ledger = await expectExactLedger(on);
  expect(ledger).toMatchObject({ received: 4 + 3 * again, stored: 3, ignored: 1, duplicate: 3 * again, rejected: 0, waiting: 0 });
  return ledger;
}

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { OtlpSpan } from '../../../schemas/otlp.ts';
import type { Store } from '../../../schemas/store.ts';
import { STARTED_MS } from '../spans.ts';
import { ARRIVED_MS, expectExactLedger, inference, openIngesting, traces, type Ingesting, type MessageIngest } from './ingesting.ts';

/** A shard of the log is taken up by somebody else, who is far behind. */
const SHARD = 3;
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());
beforeEach(async () => {
  await (await on.fresh({ shard: SHARD })).write([traces([startedAt(0, 1)])]);
});

/** An inference in a trace of its own, `ms` after that of the first owner. */
function startedAt(ms: number, number: number): OtlpSpan {
  const start_ns = BigInt(STARTED_MS + ms) * 1_000_000n;
  return inference(number, {}, { trace_id: number.toString(16).padStart(32, '0'), start_ns, end_ns: start_ns + 1_000_000_000n });
}

/** An hour later, and the questions that it asks of calls from now on. */
async function takeUp(): Promise<{ ingest: MessageIngest; questions: string[] }> {
  const questions: string[] = [];
  const through: Store = {
    ...on.store,
    select<Row>(...asked: Parameters<Store['select']>) {
      if (/FROM calls/.test(asked[0])) questions.push(asked[0]);
      return on.store.select<Row>(...asked);
    },
  };
  const ingest = await on.start({ shard: SHARD }, ARRIVED_MS + HOUR_MS, through);
  questions.length = 0;
  return { ingest, questions };
}

describe('whoever takes up a shard with a backlog', () => {
  it('asks nothing about what began after all that is stored of the shard had arrived', async () => {
    const { ingest, questions } = await takeUp();
    await ingest.write([traces([startedAt(MINUTE_MS, 2)], ARRIVED_MS + MINUTE_MS)]);
    expect(questions).toEqual([]);
    expect((await expectExactLedger(on)).stored).toBe(2);
  });

  it('knows again what is stored', async () => {
    const { ingest } = await takeUp();
    await ingest.write([traces([startedAt(0, 1)], ARRIVED_MS + 1_000)]);
    expect((await expectExactLedger(on)).by_outcome['duplicate']).toEqual([{ signal: 'traces', reason: 'sent_again', count: 1 }]);
  });

  it('asks about what a sender whose clock runs ahead may have sent before', async () => {
    const { ingest, questions } = await takeUp();
    await ingest.write([traces([startedAt(10_000, 2)], ARRIVED_MS + MINUTE_MS)]);
    expect(questions).not.toEqual([]);
  });
});

describe('whoever takes up a shard of which nothing is stored', () => {
  it('asks about all, since it may have been stored by another shard when there were fewer', async () => {
    const { ingest } = await takeUp();
    await ingest.write([traces([startedAt(MINUTE_MS, 2)], ARRIVED_MS + MINUTE_MS)]);
    const other = await on.start({ shard: SHARD + 1 }, ARRIVED_MS + HOUR_MS);
    await other.write([traces([startedAt(MINUTE_MS, 2)], ARRIVED_MS + MINUTE_MS + 1_000)]);
    expect((await expectExactLedger(on)).by_outcome['duplicate']).toEqual([{ signal: 'traces', reason: 'sent_again', count: 1 }]);
  });
});

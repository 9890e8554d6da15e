import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { selectBoth } from '../../../analyzer/look/call-rows.ts';
import { selectScoredUnits } from '../../../analyzer/look/observations.ts';
import { ARRIVED_MS, ARRIVED_SLOT, inference, judgement, logs, openIngesting, TAGS, traces, type Ingesting } from '../ingest/ingesting.ts';
import { record } from '../spans.ts';

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

const PROMPT = { project: 'default', environment: 'default', prompt_name: 'refund-agent' };
const CLOSED = { from: ARRIVED_SLOT, to: ARRIVED_SLOT + 1 };
const ID = { 'culprit.score.id': 'mine' };
const deletion = (received_ms: number) => logs([record({ ...ID, 'culprit.score.change': 'deletion' }, { trace_id: null, span_id: null })], received_ms);
const scoresIn = async (range: { readonly from: number; readonly to: number }) => (await selectBoth(on.store, PROMPT, range))[1];
const bets = async () => (await scoresIn(CLOSED)).map(({ value }) => value);
const scored = async () => (await selectScoredUnits(on.store, PROMPT, { ...CLOSED, since: 0, crowd: [] })).length;

describe('what of scores is bet on', () => {
  it('is the first value, whatever corrected it since, and whether or not the rows have been merged', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.25, {}, ID)])]);
    await ingest.write([logs([judgement(1, 0.75, { time_ns: BigInt(ARRIVED_MS) * 1_000_000n }, ID)])]);
    expect(await bets()).toEqual([0.25]);
    await on.store.command('OPTIMIZE TABLE scores FINAL');
    expect(await bets()).toEqual([0.25]);
    expect(await scored()).toBe(1);
  });

  it('is nothing that was deleted before its slot closed, and stays what it was when it is deleted later', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.25, {}, ID)])]);
    await ingest.advance(ARRIVED_MS + 60_000);
    await ingest.write([deletion(ARRIVED_MS + 60_000)]);
    expect(await bets()).toEqual([0.25]);

    const again = await on.fresh();
    await again.write([traces([inference(1, TAGS)]), logs([judgement(1, 0.25, {}, ID)])]);
    await again.write([deletion(ARRIVED_MS)]);
    expect(await bets()).toEqual([]);
    expect(await scored()).toBe(0);
  });

  it('is nothing of another type than its name, and nothing ambiguous', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS), inference(2, { ...TAGS, 'gen_ai.prompt.version': 'v1' })]), logs([judgement(1, 0.25), judgement(2, true), judgement(null, 0.5)])]);
    await ingest.advance(ARRIVED_MS + 60_000);
    expect(await scoresIn({ from: ARRIVED_SLOT, to: ARRIVED_SLOT + 5 })).toMatchObject([{ value: 0.25, seen: { version: 'v2' } }]);
  });
});

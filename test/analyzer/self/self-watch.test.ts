import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../../analyzer/ingest/cardinality.ts';
import { CAUSE } from '../../../analyzer/self/fault.ts';
import { faultKinds } from '../../../analyzer/self/index.ts';
import { createSelfWatch, type SelfWatch } from '../../../analyzer/self/self-watch.ts';
import { slotOf } from '../../../analyzer/slots.ts';
import { createTransition } from '../../../api/transition.ts';
import type { Alert } from '../../../schemas/alert.ts';
import { ARRIVED_MS, inference, jsonOf, openIngesting, TAGS, traces, type Ingesting } from '../ingest/ingesting.ts';

const LIMITS = { ...DEFAULT_LIMITS, promptsPerProject: 2, versionsPerPrompt: 3 };
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());
beforeEach(() => on.store.command('TRUNCATE TABLE alert_transitions'));

/** A watch as a process has it that begins at `startedMs`. */
const watch = (startedMs = ARRIVED_MS): SelfWatch => createSelfWatch({ store: on.store }, { kinds: faultKinds(LIMITS), project: 'default', publicUrl: 'http://127.0.0.1:4318', startedMs });
const alertsAt = async (self: SelfWatch, nowMs: number): Promise<Alert[]> => (await self.look(nowMs)).map(({ alert }) => alert);
const listed = async (state: string): Promise<Alert[]> => (await jsonOf<{ alerts: Alert[] }>(await on.request(`/v1/alerts?state=${state}`))).alerts;
const versioned = (from: number, count: number, prompt = 'support', at_ms = ARRIVED_MS) =>
  traces(Array.from({ length: count }, (_, index) => inference(from + index, { ...TAGS, 'gen_ai.prompt.name': prompt, 'gen_ai.prompt.version': `req-${from + index}` })), at_ms);
const ledgerRow = (count: number) => ({ project: 'default', hour: Math.floor(ARRIVED_MS / HOUR_MS) * 3600, signal: 'traces', outcome: 'received', reason: '', count, last_batch: 0 });

describe('more versions than are kept apart', () => {
  it('raise one ticket, with which prompt, what its versions look like and what to do; at every sink and at /v1/alerts', async () => {
    const ingest = await on.fresh({ cardinality: LIMITS });
    await ingest.write([versioned(1, 3)]);
    expect(await alertsAt(watch(), ARRIVED_MS + 1_000)).toEqual([]);
    await ingest.write([versioned(4, 5)]);
    const [alert, ...others] = await alertsAt(watch(), ARRIVED_MS + 10_000);
    expect(others).toEqual([]);
    expect(alert).toMatchObject({
      schema: 'culprit.alert/1', state: 'open', severity: 'ticket', prompt: 'support', prompt_version: null, metric: 'cardinality',
      culprit: { factor: 'pipeline', value: 'cardinality' },
      evidence: { grade: 'counted', candidate: { value: 5 } },
      summary: expect.stringMatching(/^support has more than 3 versions in a day \(req-1, req-2, req-3, …\): further ones are filed under \(other\) and compared with nothing, since \d\d:\d\d UTC$/),
      advice: expect.stringContaining('gen_ai.prompt.version'),
      onset: new Date(ARRIVED_MS).toISOString(),
    });
    expect(alert?.examples).toHaveLength(3);
    expect(await listed('open')).toEqual([alert]);
    // Another look and the next process find the same, and say nothing more.
    await ingest.write([versioned(20, 5)]);
    expect(await alertsAt(watch(), ARRIVED_MS + 20_000)).toEqual([]);
  });

  it('resolve by themselves a day after the last, and a second time is another alert', async () => {
    const ingest = await on.fresh({ cardinality: LIMITS });
    await ingest.write([versioned(1, 4)]);
    const self = watch();
    const [first] = await alertsAt(self, ARRIVED_MS + 10_000);
    expect(await alertsAt(self, ARRIVED_MS + 23 * HOUR_MS)).toEqual([]);
    expect(await alertsAt(self, ARRIVED_MS + 25 * HOUR_MS)).toEqual([]);
    const [resolved] = await alertsAt(self, ARRIVED_MS + 25 * HOUR_MS + 2 * MINUTE_MS);
    expect(resolved).toMatchObject({ id: first?.id, state: 'resolved', resolved_at: new Date(ARRIVED_MS + 25 * HOUR_MS + 2 * MINUTE_MS).toISOString() });
    const [stored] = await on.store.select<{ reason: string }>("SELECT reason FROM alert_transitions WHERE state = 'resolved'");
    expect(stored?.reason).toBe('for 24 hours nothing was past the limit');
    const laterMs = ARRIVED_MS + 26 * HOUR_MS;
    await ingest.write([versioned(100, 5, 'support', laterMs)]);
    const [second] = await alertsAt(watch(laterMs), laterMs + 10_000);
    expect(second).toMatchObject({ state: 'open', prompt: 'support' });
    expect(second?.id).not.toBe(first?.id);
  });

  it('of prompts: one ticket for the project', async () => {
    const ingest = await on.fresh({ cardinality: LIMITS });
    await ingest.write(Array.from({ length: 5 }, (_, prompt) => versioned(1 + prompt, 1, `prompt-${prompt}`)));
    const alerts = await alertsAt(watch(), ARRIVED_MS + 10_000);
    expect(alerts).toMatchObject([{ prompt: null, metric: 'cardinality', evidence: { candidate: { value: 3 } }, summary: expect.stringContaining('there are more than 2 prompts in a day (prompt-0, prompt-1, …)') }]);
  });

  it('of many prompts: a ticket for the first ten of them', async () => {
    const ingest = await on.fresh({ cardinality: { ...LIMITS, promptsPerProject: 100 } });
    for (let prompt = 0; prompt < 14; prompt += 1) await ingest.write([versioned(1 + prompt * 10, 4, `prompt-${prompt}`, ARRIVED_MS + prompt)]);
    const alerts = await alertsAt(watch(), ARRIVED_MS + 10_000);
    expect(alerts.map(({ prompt }) => prompt)).toEqual(Array.from({ length: 10 }, (_, prompt) => `prompt-${prompt}`));
  });
});

describe('a ledger that does not balance', () => {
  it('raises one ticket, and it resolves when it balances again', async () => {
    const ingest = await on.fresh();
    await ingest.write([traces([inference(1, TAGS), inference(2, {}, { parent_span_id: '00000000000000ff' })])]);
    const self = watch();
    // One call waits: the ledger balances.
    expect(await alertsAt(self, ARRIVED_MS + 1_000)).toEqual([]);
    // What no code of ours does: spans that were received and of which nothing became.
    await on.store.insert('ledger', [ledgerRow(12)]);
    const [alert, ...others] = await alertsAt(self, ARRIVED_MS + 10_000);
    expect(others).toEqual([]);
    expect(alert).toMatchObject({ metric: 'ledger', prompt: null, environment: '(all)', evidence: { candidate: { value: 12 } }, summary: expect.stringContaining('12 records received and not accounted for') });
    await on.store.insert('ledger', [{ ...ledgerRow(12), outcome: 'ignored', reason: 'found' }]);
    expect(await alertsAt(self, ARRIVED_MS + 20_000)).toEqual([]);
    expect(await alertsAt(self, ARRIVED_MS + 20_000 + 2 * MINUTE_MS)).toMatchObject([{ id: alert?.id, state: 'resolved' }]);
  });
});

describe('a look that is behind', () => {
  it('raises one ticket after five minutes, not for the time in which no process ran, and it resolves when it has caught up', async () => {
    await on.fresh();
    await on.store.insert('look_progress', [{ owner: 'embedded', slot: slotOf(ARRIVED_MS) }]);
    const startedMs = ARRIVED_MS + 8 * HOUR_MS;
    const self = watch(startedMs);
    expect(await alertsAt(self, startedMs + 5 * MINUTE_MS)).toEqual([]);
    const [alert] = await alertsAt(self, startedMs + 6 * MINUTE_MS);
    expect(alert).toMatchObject({ metric: 'lag', onset: new Date(startedMs).toISOString(), summary: expect.stringContaining('evidence is 6 minutes behind the clock') });
    expect(await alertsAt(self, startedMs + 7 * MINUTE_MS)).toEqual([]);
    await on.store.insert('look_progress', [{ owner: 'embedded', slot: slotOf(startedMs + 7 * MINUTE_MS) }]);
    expect(await alertsAt(self, startedMs + 8 * MINUTE_MS)).toEqual([]);
    expect(await alertsAt(self, startedMs + 10 * MINUTE_MS)).toMatchObject([{ id: alert?.id, state: 'resolved' }]);
  });
});

it('what a person resolved is raised again after a day, where it is still so, and not before', async () => {
  await on.fresh();
  await on.store.insert('ledger', [ledgerRow(1)]);
  const [alert] = await alertsAt(watch(), ARRIVED_MS);
  await createTransition({ store: on.store, clock: () => ARRIVED_MS + MINUTE_MS }, () => undefined)(alert?.id ?? '', { state: 'resolved', who: '', reason: 'mira: known' });
  expect(await alertsAt(watch(), ARRIVED_MS + 2 * MINUTE_MS)).toEqual([]);
  const [again] = await alertsAt(watch(), ARRIVED_MS + 25 * HOUR_MS);
  expect(again).toMatchObject({ state: 'open', metric: 'ledger' });
  expect(again?.id).not.toBe(alert?.id);
});

it('an alert whose body cannot be read keeps no other from being raised', async () => {
  await on.fresh();
  await on.store.insert('ledger', [ledgerRow(1)]);
  await on.store.insert('alert_transitions', [{ transition_id: 't', alert_id: 'torn', sequence: 1, project: 'default', comparison_id: `${CAUSE}_torn`, state: 'open', at_ms: ARRIVED_MS, reason: '', body: '{' }]);
  expect(await alertsAt(watch(), ARRIVED_MS)).toMatchObject([{ metric: 'ledger', state: 'open' }]);
  expect(await alertsAt(watch(), ARRIVED_MS + 1_000)).toEqual([]);
});

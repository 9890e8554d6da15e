import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createRollUp, DEFAULT_ROLL_UP, type RollUp, type RollUpSettings } from '../../../analyzer/roll-up/roll-up.ts';
import { QUANTILE_ERROR } from '../../../schemas/cells.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';
import { randomFrom } from '../../api/traffic.ts';
import { agent, id, inference, judgement, jsonOf, logs, openIngesting, RESOLVE_WAIT_MS, TAGS, traces, wrapper, type Ingesting } from '../ingest/ingesting.ts';
import { many, some } from '../../long.ts';
import { STARTED_MS } from '../spans.ts';

/** Answers with cells are the answers without them, whatever happened to the rows; and hours are rolled up once, and again when they have to be. */

type Json = Record<string, any>; // eslint-disable-line -- answers are read as what they say
const HOUR_MS = 3_600_000;
const FIRST_MS = Math.floor(STARTED_MS / HOUR_MS) * HOUR_MS;
const DAYS = 5;
const NOW_MS = FIRST_MS + DAYS * 24 * HOUR_MS + 17 * 60_000;

let on: Ingesting;
let nowMs = NOW_MS;
beforeAll(async () => {
  on = await openIngesting();
}, 60_000);
afterAll(() => on.close());
beforeEach(async () => {
  for (const table of ['cells', 'cell_hours']) await on.store.command(`TRUNCATE TABLE ${table}`);
  nowMs = NOW_MS;
  on.clock.nowMs = NOW_MS;
});

/** Two owners take different numbers. */
let drawn = 0;
const random = (): number => (drawn = (drawn + 0.37) % 1);

const rollUpWith = (settings: Partial<RollUpSettings> = {}, store: Store = on.store): RollUp => createRollUp({ store, clock: () => nowMs, random }, { rowsDays: null, cellsDays: null, ...DEFAULT_ROLL_UP, hoursPerTurn: 1_000, ...settings });
const ask = async (path: string): Promise<Json> => {
  const response = await on.request(path);
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${String(on.failures.at(-1))}`);
  return jsonOf<Json>(response);
};
const window = (fromMs = FIRST_MS, toMs = NOW_MS): string => `environment=default&from=${fromMs}&to=${toMs}`;

/** The same question from cells and from rows alone. */
async function both(path: string): Promise<{ withCells: Json; withRows: Json }> {
  const withCells = await ask(path);
  const known = await on.store.select<object>('SELECT * FROM cell_hours');
  await on.store.command('TRUNCATE TABLE cell_hours');
  const withRows = await ask(path);
  await on.store.insert('cell_hours', known);
  expect(withRows['rolled_up']).toBeNull();
  return { withCells, withRows };
}

/** Counts are the same, means to rounding, quantiles within the error that the API states. */
function expectAlike(found: unknown, expected: unknown, at = ''): void {
  if (typeof found === 'number' && typeof expected === 'number') {
    const tolerance = /p50$|p95|p99$/.test(at) ? QUANTILE_ERROR + 1e-9 : 1e-9;
    if (Math.abs(found - expected) > tolerance * Math.max(Math.abs(expected), 1e-12)) throw new Error(`${at}: ${found} from cells, ${expected} from rows`);
  } else if (typeof found === 'object' && found !== null && typeof expected === 'object' && expected !== null) {
    const keys = new Set([...Object.keys(found), ...Object.keys(expected)]);
    keys.delete('rolled_up');
    for (const key of keys) expectAlike((found as Json)[key], (expected as Json)[key], `${at}/${key}`);
  } else if (found !== expected) throw new Error(`${at}: ${JSON.stringify(found)} from cells, ${JSON.stringify(expected)} from rows`);
}

const NS = 1_000_000n;
const at = (startMs: number, durationMs: number) => ({ start_ns: BigInt(Math.round(startMs)) * NS, end_ns: BigInt(Math.round(startMs + durationMs)) * NS });
const MODELS = [['gpt-4o', 'gpt-4o-2024-08-06'], ['gpt-4o', 'gpt-4o-2024-11-20'], ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929']] as const;

/**
 * One trace: a root that has the tags, perhaps an agent, one or two inferences of it, one of them perhaps seen by two libraries; scores. Each may come in any message, so
 * that calls are stored without their tags first, wrappers count until the inference is there, and scores come before their calls.
 */
function story(number: number, random: () => number): ((received_ms: number) => LogMessage)[] {
  const trace_id = number.toString(16).padStart(32, 'c');
  const startMs = FIRST_MS + Math.floor(random() * DAYS) * 23 * HOUR_MS + random() * HOUR_MS;
  const [request, response] = MODELS[Math.floor(random() * MODELS.length)] ?? MODELS[0];
  const span = (at: number): number => number * 10 + at;
  const under = (parent: number) => ({ trace_id, parent_span_id: id(span(parent)) });
  const tags = { ...TAGS, 'gen_ai.prompt.version': `v${1 + Math.floor(random() * 3)}`, 'session.id': `session-${Math.floor(random() * 12)}`, 'app.route': random() < 0.5 ? '/chat' : '/refund' };
  const usage = () => ({ 'gen_ai.usage.input_tokens': Math.floor(100 + 2000 * random()), 'gen_ai.usage.output_tokens': Math.floor(300 * random()), 'gen_ai.usage.cost': random() / 100, 'app.route': tags['app.route'] });
  const answered = random() < 0.2 ? { 'error.type': 'RateLimitError' } : { 'gen_ai.response.model': response, 'gen_ai.response.finish_reasons': [random() < 0.2 ? 'length' : 'stop'] };
  const call = inference(span(2), { ...usage(), ...answered, 'gen_ai.request.model': request, 'gen_ai.response.id': `r-${number}` }, { ...under(1), ...at(startMs + 10, 20 + 4000 * random()) });
  const sent = [
    (ms: number) => traces([wrapper(span(1), tags, { trace_id, ...at(startMs, 5000) })], ms),
    (ms: number) => traces([call], ms),
  ];
  if (random() < 0.3) sent.push((ms) => traces([agent(span(3), { 'gen_ai.request.model': request }, { ...under(1), ...at(startMs + 5, 4500) })], ms));
  if (random() < 0.3) sent.push((ms) => traces([{ ...call, span_id: id(span(4)) }], ms, 'default', 'another-library'));
  if (random() < 0.3) sent.push((ms) => traces([{ ...call, end_ns: call.end_ns + 900_000_000n }], ms));
  if (random() < 0.5) sent.push((ms) => logs([judgement(span(2), Math.round(random() * 20) / 20, { trace_id, time_ns: BigInt(Math.round(startMs + 6000)) * NS, observed_time_ns: BigInt(Math.round(startMs + 6000)) * NS })], ms));
  if (random() < 0.5) sent.push((ms) => logs([judgement(span(2), 1 + Math.floor(random() * 5), { trace_id }, { 'gen_ai.evaluation.name': 'stars' })], ms));
  return sent;
}

const VIEWS = [
  `/v1/prompts?${window()}`,
  `/v1/prompts/refund-agent?${window(FIRST_MS + 31 * 60_000)}`,
  `/v1/prompts/refund-agent/matrix?metric=latency&${window()}`,
  `/v1/prompts/refund-agent/matrix?metric=error_rate&${window(FIRST_MS + 5000, NOW_MS - 30 * HOUR_MS)}`,
  `/v1/compare?prompt=refund-agent&a=v1&b=v2&${window()}`,
  `/v1/compare?prompt=refund-agent&a=v1&b=v2&metric=latency&${window()}`,
  `/v1/compare?prompt=refund-agent&a=v1&b=v2&metric=quality&${window()}`,
  `/v1/compare?prompt=refund-agent&a=v1&b=v2&metric=stars&${window()}`,
  `/v1/compare?prompt=refund-agent&factor=model&a=gpt-4o-2024-08-06&b=gpt-4o-2024-11-20&metric=cost&${window()}`,
  `/v1/compare?prompt=refund-agent&factor=slice&attribute=app.route&a=/chat&b=/refund&metric=latency&${window()}`,
  `/v1/compare?prompt=refund-agent&factor=period&a=${FIRST_MS}/${FIRST_MS + 50.5 * HOUR_MS}&b=${FIRST_MS + 60 * HOUR_MS}/${NOW_MS}&metric=latency&environment=default`,
];

describe('answers', () => {
  it.each(some([1, 2, 3, 4, 5, 6], 1))('from cells are those from rows, whatever becomes of the rows (seed %i)', { timeout: 120_000 }, async (seed) => {
    const random = randomFrom(seed);
    let ingest = await on.fresh({});
    const rollUp = rollUpWith();
    let arrivedMs = NOW_MS;
    const waiting = Array.from({ length: many(20, 12) }, (_, number) => story(number + 1, random)).flat();
    let hours = 0;
    while (waiting.length > 0) {
      const messages = Array.from({ length: Math.min(waiting.length, 25) }, () => waiting.splice(Math.floor(random() * waiting.length), 1)).flat();
      arrivedMs += RESOLVE_WAIT_MS + 1_000;
      await ingest.write(messages.map((message) => message(arrivedMs)));
      if (random() < 0.3) ingest = await on.start({}, arrivedMs);
      await ingest.advance(arrivedMs + RESOLVE_WAIT_MS);
      await rollUp.tick();
      for (const path of VIEWS.filter(() => random() < many(4, 1) / 10)) {
        const { withCells, withRows } = await both(path);
        hours += withCells['rolled_up']?.hours ?? 0;
        expectAlike(withCells, withRows, path);
      }
    }
    await rollUp.tick();
    await rollUp.tick();
    for (const path of VIEWS) {
      const { withCells, withRows } = await both(path);
      expect(withCells['rolled_up']?.hours, path).toBeGreaterThan(40);
      expectAlike(withCells, withRows, path);
      const { cells, units } = withCells;
      if (cells !== undefined) expect(cells.length, path).toBeGreaterThan(1);
      if (units !== undefined) expect(units.a + units.b, path).toBeGreaterThan(0);
    }
    expect(hours, 'cells were read on the way').toBeGreaterThan(0);
  });
});

describe('an hour', () => {
  const call = (number: number, startMs: number, changed: Json = {}) => traces([inference(number, { ...TAGS, 'session.id': `s${number}`, ...changed }, { trace_id: number.toString(16).padStart(32, 'a'), ...at(startMs, 500) })], NOW_MS);
  const NEWEST_MS = NOW_MS - 17 * 60_000 - HOUR_MS;
  const matrix = `/v1/prompts/refund-agent/matrix?metric=latency&${window(NEWEST_MS - 4 * HOUR_MS)}`;
  const callsIn = async (path: string): Promise<{ calls: number; hours: number }> => {
    const { cells, rolled_up } = await ask(path);
    return { calls: (cells as { calls: number }[]).reduce((sum, { calls }) => sum + calls, 0), hours: rolled_up?.hours ?? 0 };
  };

  it('is read from its rows from the moment in which something is written into it, and rolled up again a turn later', async () => {
    const ingest = await on.fresh({});
    const rollUp = rollUpWith();
    await ingest.write([call(1, NEWEST_MS - 3 * HOUR_MS), call(2, NEWEST_MS)]);
    expect(await rollUp.tick()).toBe(4);
    expect(await rollUp.tick()).toBe(0);
    expect(await callsIn(matrix)).toEqual({ calls: 2, hours: 4 });
    // A batch that only corrects rows counts like any other.
    await ingest.write([call(3, NEWEST_MS + 60_000)]);
    expect(await callsIn(matrix)).toEqual({ calls: 3, hours: 3 });
    // A reader may just have decided for the cells.
    expect(await rollUp.tick()).toBe(0);
    expect(await rollUp.tick()).toBe(1);
    expect(await callsIn(matrix)).toEqual({ calls: 3, hours: 4 });
  });

  it('that a batch was written into without its ledger is made again once the batch is counted', async () => {
    await on.fresh({});
    const rollUp = rollUpWith();
    let isCut = false;
    const failing: Store = { ...on.store, insert: (table, rows) => (isCut && table === 'ledger' ? Promise.reject(new Error('the process died')) : on.store.insert(table, rows)) };
    const ingest = await on.start({}, NOW_MS, failing);
    await ingest.write([call(1, NEWEST_MS)]);
    await rollUp.tick();
    isCut = true;
    await expect(ingest.write([call(2, NEWEST_MS)])).rejects.toThrow('the process died');
    await on.start({}, NOW_MS);
    expect(await callsIn(matrix)).toEqual({ calls: 2, hours: 0 });
    await rollUp.tick();
    await rollUp.tick();
    expect(await callsIn(matrix)).toEqual({ calls: 2, hours: 1 });
  });

  it('is rolled up newest first, a few in a turn, by whoever comes next', async () => {
    const ingest = await on.fresh({});
    await ingest.write([call(1, NEWEST_MS - 20 * HOUR_MS), call(2, NEWEST_MS - 7 * HOUR_MS), call(3, NEWEST_MS)]);
    const known = async (): Promise<number[]> => (await on.store.select<{ hour_ms: number }>(`SELECT toUnixTimestamp(hour) * 1000 AS hour_ms FROM cell_hours WHERE source = 'calls' ORDER BY hour DESC`)).map(({ hour_ms }) => hour_ms);
    expect(await rollUpWith({ hoursPerTurn: 5 }).tick()).toBe(5);
    expect(await known()).toEqual([0, 1, 2, 3, 4].map((hours) => NEWEST_MS - hours * HOUR_MS));
    // Two that both think that it is theirs.
    const [one, other] = [rollUpWith({ hoursPerTurn: 7 }), rollUpWith({ hoursPerTurn: 7 })];
    await Promise.all([one.tick(), other.tick()]);
    expect(await rollUpWith().tick()).toBe(9);
    expect(await callsIn(`/v1/prompts/refund-agent/matrix?metric=latency&${window(NEWEST_MS - 20 * HOUR_MS)}`)).toEqual({ calls: 3, hours: 21 });
    // An hour is over two minutes after its end.
    nowMs = NEWEST_MS + 2 * HOUR_MS + 119_000;
    expect(await rollUpWith().tick()).toBe(0);
    nowMs += 1_000;
    expect(await rollUpWith().tick()).toBe(1);
  });

  it('is a step of the overview of a day, where a dozen of them are rolled up', async () => {
    const ingest = await on.fresh({});
    await ingest.write([call(1, NEWEST_MS - 3 * HOUR_MS), call(2, NEWEST_MS)]);
    await rollUpWith().tick();
    const day = `/v1/prompts?${window(NEWEST_MS - 22 * HOUR_MS)}`;
    expect(await ask(day)).toMatchObject({ step_seconds: 600, rolled_up: null });
    await ingest.write([call(3, NEWEST_MS - 20 * HOUR_MS)]);
    await rollUpWith().tick();
    const { step_seconds, rolled_up, prompts } = await ask(day);
    expect({ step_seconds, hours: rolled_up?.hours }).toEqual({ step_seconds: 3600, hours: 21 });
    expect(prompts[0].calls_over_time.filter((calls: number) => calls > 0)).toEqual([1, 1, 1]);
  });

  it('answers from its cells when its rows have expired, and no more when they expire themselves', async () => {
    const ingest = await on.fresh({});
    await ingest.write([call(1, NEWEST_MS - 50 * HOUR_MS), call(2, NEWEST_MS)]);
    const rollUp = rollUpWith({ rowsDays: 3, cellsDays: 30 });
    await rollUp.tick();
    nowMs = NOW_MS + 2 * 24 * HOUR_MS;
    await rollUp.tick();
    await on.store.command('ALTER TABLE calls DELETE WHERE event_time < {before:UInt32} SETTINGS mutations_sync = 1', { before: Math.floor((nowMs - 3 * 24 * HOUR_MS) / 1000) });
    // Whoever sends a call of then again cannot bring back the others.
    await ingest.write([call(3, NEWEST_MS - 50 * HOUR_MS)]);
    await rollUp.tick();
    await rollUp.tick();
    const whole = `/v1/prompts/refund-agent/matrix?metric=latency&${window(NEWEST_MS - 50 * HOUR_MS)}`;
    expect(await callsIn(whole)).toEqual({ calls: 2, hours: 51 });
    expect((await ask(whole))['rolled_up']).toMatchObject({ from_ms: NEWEST_MS - 50 * HOUR_MS, to_ms: NEWEST_MS + HOUR_MS });
    nowMs = NOW_MS + 40 * 24 * HOUR_MS;
    await rollUp.tick();
    expect((await callsIn(whole)).hours).toBe(0);
  });

  it('with more cells than would help is left to its rows', async () => {
    const ingest = await on.fresh({});
    await ingest.write([1, 2, 3].map((number) => call(number, NEWEST_MS, { 'app.route': `/${number}` })));
    const rollUp = rollUpWith({ maxCells: 2 });
    expect(await rollUp.tick()).toBe(1);
    expect(await rollUp.tick()).toBe(0);
    expect(await callsIn(matrix)).toEqual({ calls: 3, hours: 0 });
    expect(await on.store.select('SELECT count() AS rows FROM cells')).toEqual([{ rows: 0 }]);
  });

  it('of labels counts each, and of projects only the own', async () => {
    const ingest = await on.fresh({});
    await ingest.write([call(1, NEWEST_MS), { ...call(2, NEWEST_MS), project: 'other' }]);
    const label = (number: number, name: string, evaluation: string) =>
      logs([judgement(number, null, { trace_id: number.toString(16).padStart(32, 'a'), time_ns: BigInt(NEWEST_MS + 60_000) * NS, observed_time_ns: BigInt(NEWEST_MS + 60_000) * NS }, { 'gen_ai.evaluation.name': evaluation, 'gen_ai.evaluation.score.label': name })], NOW_MS);
    await ingest.write([label(1, 'polite', 'tone')]);
    await rollUpWith().tick();
    const path = `/v1/prompts/refund-agent?${window(NEWEST_MS - HOUR_MS)}`;
    const { withCells, withRows } = await both(path);
    expectAlike(withCells, withRows);
    expect(withCells['versions'][0].calls).toBe(1);
    expect(withCells['versions'][0].metrics.map(({ name }: Json) => name)).toContain('tone=polite');
  });
});

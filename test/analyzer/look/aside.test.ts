import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createAside, PromptsFailed } from '../../../analyzer/look/aside.ts';
import type { LookEvent } from '../../../analyzer/look/look.ts';
import { asideFault } from '../../../analyzer/self/aside-fault.ts';
import { createSelfWatch } from '../../../analyzer/self/self-watch.ts';
import { slotOf, SLOTS_PER_HOUR } from '../../../analyzer/slots.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { Store } from '../../../schemas/store.ts';
import { ingest, lookOver } from '../../simulation/store.ts';
import { callsOf, linesOf, scenario } from '../../simulation/traffic.ts';
import { jsonOf, openIngesting, type Ingesting } from '../ingest/ingesting.ts';
import { inLongForm, some } from '../../long.ts';
import { conclusionsOf, expectVerified, forgetLooks } from './look-run.ts';

/**
 * Two prompts, each with a version that gets worse. What is asked about one of them fails for a while, or what was kept of it cannot be read: the
 * other is watched as if nothing were, and the one is gone on with where it stood.
 */
vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const SEED = 5;
const FAILS_FROM = 30;
const FAILS_TO = 36;
const MINUTES = 84;
const MENDED = 44;
const HALF_HOUR = SLOTS_PER_HOUR / 2;

const traffic = scenario({
  minutes: MINUTES, callsPerMinute: 16,
  versions: [[0, { v1: 1 }], [20, { v1: 0.6, v2: 0.4 }], [36, { v1: 0.5, v2: 0.3, v3: 0.2 }]],
  changes: [{ version: 'v2', error: 0.5, fromMinute: 62 }],
});
const other = scenario({ prompt: 'triage', minutes: MINUTES, callsPerMinute: 16, models: { 'claude-sonnet-4-5': 1 }, versions: [[0, { a: 1 }], [22, { a: 0.5, b: 0.5 }]], changes: [{ version: 'b', error: 0.5, fromMinute: 30 }] });
const atMinute = (minute: number): number => traffic.beginMs + minute * 60_000;
const slotAt = (minute: number): number => slotOf(atMinute(minute));

let on: Ingesting;
let undisturbed: Awaited<ReturnType<typeof conclusionsOf>>;
/** At `MENDED`. */
let halfway: Awaited<ReturnType<typeof conclusionsOf>>;
beforeAll(async () => {
  on = await openIngesting();
  const lines = [...linesOf(traffic, callsOf(traffic, SEED)), ...linesOf(other, callsOf(other, SEED + 1))];
  const timeOf = (line: string): number => Number(/"(?:endTimeUnixNano|timeUnixNano)":"(\d+)"/.exec(line)?.[1]);
  await ingest(on.store, lines.sort((left, right) => timeOf(left) - timeOf(right)));
  await run(() => on.store, [MENDED], { pace: [] });
  halfway = await conclusionsOf(on.store);
  await run(() => on.store, [MINUTES], { fromMinute: MENDED, pace: [] });
  undisturbed = await conclusionsOf(on.store);
  await forgetLooks(on.store);
});
afterEach(() => forgetLooks(on.store));
afterAll(() => on.close());

/** The same store, which fails at some questions. */
const failingAt = (fails: (parameters: Readonly<Record<string, unknown>>) => boolean): Store => ({
  ...on.store,
  select: async (sql, parameters = {}) => {
    if (fails(parameters)) throw new RetryableError('memory limit exceeded');
    return on.store.select(sql, parameters);
  },
});
/** Whether a question is about a prompt, by itself or with others. */
const isAbout = ({ prompt_name, prompt_names }: Readonly<Record<string, unknown>>, name: string): boolean => prompt_name === name || (Array.isArray(prompt_names) && prompt_names.includes(name));

/** Minutes from which on, and until which, a look is advanced by so many minutes; else by as many as it reads at once. */
type Pace = readonly (readonly [from: number, to: number, step: number])[];
const AT_ONCE = 10;
/** As a server does where something fails. */
const CLOSE: Pace = [[FAILS_FROM - 2, FAILS_TO, 0.5], [FAILS_TO, MENDED, 4], [60, 62, 0.5]];

function after(minute: number, pace: Pace): number {
  const step = pace.find(([from, to]) => minute >= from && minute < to)?.[2] ?? AT_ONCE;
  return Math.min(minute + step, ...pace.map(([from]) => from).filter((from) => from > minute));
}

/** Looks until a minute, and begins anew at it where there is another. `storeAt`: as it is at a minute. */
async function run(storeAt: (minute: () => number) => Store, untilMinutes: readonly number[], { fromMinute = 0, pace = CLOSE }: { fromMinute?: number; pace?: Pace } = {}): Promise<{ events: LookEvent[]; failures: { minute: number; message: string }[] }> {
  const events: LookEvent[] = [];
  const failures: { minute: number; message: string }[] = [];
  let minute = fromMinute;
  for (const until of untilMinutes) {
    const look = lookOver(storeAt(() => minute), {}, 2 * AT_ONCE);
    await look.start();
    while (minute < until) {
      minute = Math.min(until, after(minute, pace));
      try {
        events.push(...(await look.advance(atMinute(minute))));
      } catch (error) {
        failures.push({ minute, message: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  return { events, failures };
}

const conclusions = async (prompt: string) => {
  const ids = new Set((await on.store.select<{ comparison_id: string }>('SELECT DISTINCT comparison_id FROM comparisons WHERE prompt_name = {prompt:String}', { prompt })).map(({ comparison_id }) => comparison_id));
  const of = ({ strata, looks, transitions, comparisons }: typeof undisturbed) => [strata, looks, transitions, comparisons].map((rows) => rows.filter((row) => 'comparison_id' in row && ids.has(String(row.comparison_id))));
  return { now: of(await conclusionsOf(on.store)), undisturbed: of(undisturbed) };
};
const lookedAt = async (prompt: string) => (await on.store.select<{ slot: number }>('SELECT DISTINCT slot FROM looks WHERE comparison_id IN (SELECT comparison_id FROM comparisons WHERE prompt_name = {prompt:String}) ORDER BY slot', { prompt })).map(({ slot }) => slot);
const asides = () => on.store.select<{ prompt_name: string; comparison_id: string; slot: number; until_slot: number; reason: string }>('SELECT prompt_name, comparison_id, slot, until_slot, reason FROM set_aside FINAL ORDER BY slot, prompt_name');
const verdict = async (candidate: string) => jsonOf<{ verdict: string; reason: string }>(await on.request(`/v1/verdict?prompt=refund-agent&candidate=${candidate}`));
const faults = async (minute: number) => (await createSelfWatch({ store: on.store }, { kinds: [asideFault], project: 'default', publicUrl: 'http://127.0.0.1:4318', startedMs: 0 }).look(atMinute(minute))).map(({ alert }) => alert);

const refundFails = (minute: () => number): Store => failingAt((parameters) => minute() > FAILS_FROM && minute() <= FAILS_TO && isAbout(parameters, 'refund-agent'));

describe('a prompt that cannot be asked about', () => {
  it('is set aside after two minutes, all else goes on, and it goes on where it stood, whoever takes the look up', async () => {
    const { events, failures } = await run(refundFails, [40]);
    // It is told meanwhile, and no longer when it is over.
    expect(await verdict('v2')).toMatchObject({ verdict: 'undecided', reason: 'set aside until 2026-06-01T09:00Z, as it cannot be asked about: memory limit exceeded' });
    expect(await faults(40)).toMatchObject([{ state: 'open', metric: 'set_aside', prompt: 'refund-agent', summary: expect.stringContaining('refund-agent is not watched'), advice: expect.stringContaining('memory limit exceeded') }]);
    events.push(...(await run(refundFails, [MINUTES], { fromMinute: 40 })).events);
    expect((await verdict('v2')).reason).not.toContain('set aside');
    expect(await faults(MINUTES)).toEqual([]);
    // 1. Two minutes in which all is held up, as it may be the store.
    expect(failures.map(({ minute }) => minute)).toEqual([30.5, 31, 31.5, 32, 32.5]);
    expect(failures.at(-1)?.message).toMatch(/^refund-agent \(default, production\) cannot be asked about while others can: set aside until 2026-06-01T09:00Z, .*memory limit exceeded/);
    expect(await asides()).toEqual([{ prompt_name: 'refund-agent', comparison_id: '', slot: slotAt(30), until_slot: slotAt(30) + HALF_HOUR, reason: 'memory limit exceeded' }]);
    // 2. The other one comes to the same, bit by bit.
    const triage = await conclusions('triage');
    expect(triage.now).toEqual(triage.undisturbed);
    expect(triage.now[2]).not.toEqual([]);
    // 3. What was bet on is what it was, nothing is of the time between, and the regression of after it is found.
    const before = (rows: readonly object[]) => rows.filter((row) => 'slot' in row && Number(row.slot) < slotAt(30));
    const [strata = [], looks = []] = (await conclusions('refund-agent')).now;
    const [earlier = []] = (await conclusions('refund-agent')).undisturbed;
    expect(before(strata)).toEqual(before(earlier));
    expect(before(strata)).not.toEqual([]);
    const slots = [...strata, ...looks].map((row) => ('slot' in row ? Number(row.slot) : 0));
    expect(slots.filter((slot) => slot >= slotAt(30) && slot < slotAt(60))).toEqual([]);
    expect(slots.some((slot) => slot >= slotAt(60))).toBe(true);
    const alerts = events.flatMap((event) => (event.kind === 'alert' && event.alert.prompt === 'refund-agent' ? [event.alert] : []));
    expect(alerts.map(({ culprit }) => culprit.value)).toEqual(['v2']);
    await expectVerified(on.store, events);
    // 4. The version that came meanwhile is compared as well.
    expect(await on.store.select("SELECT DISTINCT candidate, state FROM comparisons FINAL WHERE prompt_name = 'refund-agent' AND factor = 'prompt_version' ORDER BY candidate")).toEqual([{ candidate: 'v2', state: 'open' }, { candidate: 'v3', state: 'open' }]);
    // 5. It is left out alike by whoever takes the look up, before, within and after.
    const expected = await conclusionsOf(on.store);
    await forgetLooks(on.store);
    await run(refundFails, [...some([26, 35], 1), 40]);
    await faults(40);
    await run(refundFails, [...some([45, 61], 1), MINUTES], { fromMinute: 40 });
    await faults(MINUTES);
    expect(await conclusionsOf(on.store)).toEqual(expected);
  });

  it('is set aside again at once where it still fails, without holding up the others again', async (context) => {
    inLongForm(context);
    const { failures } = await run((minute) => failingAt((parameters) => minute() > FAILS_FROM && isAbout(parameters, 'refund-agent')), [70]);
    expect(failures.map(({ minute }) => minute)).toEqual([30.5, 31, 31.5, 32, 32.5, 60]);
    expect((await asides()).map(({ slot }) => slot)).toEqual([slotAt(30), slotAt(60)]);
    const [, , transitions = []] = (await conclusions('triage')).now;
    expect(transitions).not.toEqual([]);
  });
});

it('what was bet on before a prompt was set aside counts, and is not bet on again', async () => {
  // Examples are asked for when somebody is about to be accused, after the strata that accuse are durable.
  const { events, failures } = await run((minute) => failingAt((parameters) => minute() <= MENDED && 'onset_ms' in parameters && isAbout(parameters, 'triage')), [MINUTES]);
  const [aside, ...others] = await asides();
  expect(others).toEqual([]);
  expect(aside?.prompt_name).toBe('triage');
  expect(failures.every(({ message }) => message.includes('triage'))).toBe(true);
  const { slot = 0, until_slot = 0 } = aside ?? {};
  expect((await lookedAt('triage')).filter((at) => at >= slot && at < until_slot)).toEqual([slot]);
  const alerts = events.filter((event) => event.kind === 'alert' && event.alert.prompt === 'triage');
  expect(alerts.map((alert) => alert.slot >= until_slot)).toEqual([true]);
  await expectVerified(on.store, events);
});

describe('who is asked about alone', () => {
  const prompt = { project: 'default', environment: 'production', prompt_name: 'refund-agent' };
  const failed = () => new PromptsFailed([{ prompt, error: new Error('memory limit exceeded') }], 0);
  it.each([
    { where: 'the store answers what is asked about another', slot: slotAt(26), store: () => on.store, asides: 1 },
    { where: 'it does not', slot: slotAt(26), store: () => failingAt((parameters) => isAbout(parameters, 'triage')), asides: 0 },
    { where: 'there is nobody else', slot: slotAt(-60), store: () => on.store, asides: 0 },
  ])('is set aside or not: $where', async ({ slot, store, asides: expected }) => {
    const aside = createAside(store());
    await aside.load(slot);
    for (const minute of [0, 1, 2]) await aside.judge(failed(), { next: slot, watermarkMs: atMinute(27 + minute) });
    expect(await asides()).toHaveLength(expected);
    // Not where another failure came between.
    await forgetLooks(on.store);
    const interrupted = createAside(store());
    for (const [index, error] of [failed(), new Error('the store is away'), failed()].entries()) await interrupted.judge(error, { next: slot, watermarkMs: atMinute(40 + 2 * index) });
    expect(await asides()).toEqual([]);
  });
});

describe('what is nobody\'s alone', () => {
  it.each(some([
    { what: 'the store, at all', fails: () => true },
    { what: 'what is asked about any prompt', fails: (parameters: Readonly<Record<string, unknown>>) => ['refund-agent', 'triage'].some((name) => isAbout(parameters, name)) },
    { what: 'what is asked about both, in turns', fails: (parameters: Readonly<Record<string, unknown>>, minute: number) => isAbout(parameters, minute % 1 === 0 ? 'refund-agent' : 'triage') },
  ], 2))('sets nobody aside, and the look goes on where it was: $what', async ({ fails }) => {
    const { failures } = await run((minute) => failingAt((parameters) => minute() > FAILS_FROM && minute() <= FAILS_TO && fails(parameters, minute())), [MENDED]);
    expect(failures).toHaveLength(2 * (FAILS_TO - FAILS_FROM));
    expect(await asides()).toEqual([]);
    expect(await conclusionsOf(on.store)).toEqual(halfway);
  });

  it('holds up the look where it cannot write, whoever\'s rows they are', async () => {
    const full: (minute: () => number) => Store = (minute) => ({
      ...on.store,
      insert: async (table, rows) => {
        if (table === 'strata' && rows.length > 0 && minute() > FAILS_FROM && minute() <= FAILS_FROM + 3) throw new RetryableError('no space left');
        await on.store.insert(table, rows);
      },
    });
    const { failures } = await run(full, [MENDED]);
    expect(failures.map(({ message }) => message)).toEqual(Array<string>(6).fill('no space left'));
    expect(await asides()).toEqual([]);
    expect(await conclusionsOf(on.store)).toEqual(halfway);
  });
});

it('a comparison that cannot be read is closed as undecided when the look begins, and all others go on', async () => {
  await run(() => on.store, [28], { pace: [] });
  const [kept] = await on.store.select<{ comparison_id: string }>("SELECT * FROM comparisons FINAL WHERE prompt_name = 'refund-agent' AND candidate = 'v2'");
  await on.store.insert('comparisons', [{ ...kept, snapshot: '{"form":2', slot: slotAt(28) }]);
  const { failures } = await run(() => on.store, [32, MENDED], { fromMinute: 28, pace: [] });
  expect(failures).toEqual([]);
  expect(await verdict('v2')).toMatchObject({ verdict: 'undecided', reason: expect.stringMatching(/^closed undecided: set aside for good, as what was kept of it cannot be read: /) });
  expect(await faults(MENDED)).toMatchObject([{ metric: 'set_aside', prompt: 'refund-agent', advice: expect.stringContaining(String(kept?.comparison_id)) }]);
  expect(await asides()).toHaveLength(1);
  const strata = await on.store.select<{ comparison_id: string }>("SELECT * FROM strata FINAL WHERE comparison_id IN (SELECT comparison_id FROM comparisons WHERE prompt_name = 'triage') ORDER BY comparison_id, slot, metric, begin_slot, start_window_ms, model, operation, route");
  const ids = new Set(strata.map(({ comparison_id }) => comparison_id));
  expect(strata).toEqual(halfway.strata.filter((row) => 'comparison_id' in row && ids.has(String(row.comparison_id))));
  expect(strata.length).toBeGreaterThan(0);
  // So does the rest of its prompt: a version that came later is compared.
  expect(await on.store.select("SELECT candidate FROM comparisons FINAL WHERE prompt_name = 'refund-agent' AND factor = 'prompt_version' AND state = 'open'")).toEqual([{ candidate: 'v3' }]);
});

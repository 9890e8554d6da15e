import { expect, it } from 'vitest';
import { AfterFailureError, createTurns, type Turns } from '../../../analyzer/ingest/turns.ts';
import type { Store } from '../../../schemas/store.ts';

/** Turns over a store that ends each write when it is told to. What happened is told in order. */
function stage() {
  const told: string[] = [];
  const under = new Map<string, { end: () => void; fail: (error: Error) => void }>();
  const store: Store = {
    insert: () => Promise.resolve(),
    select: (sql) => (told.push(`asked ${sql}`), Promise.resolve([])),
    command: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const turns = createTurns(store);
  const work = (name: string) => () => {
    told.push(name);
    return new Promise<void>((resolve, reject) => under.set(name, { end: resolve, fail: reject }));
  };
  const draftOf = (name: string) => () => {
    told.push(`draft ${name}`);
    turns.write({ rows: work(`rows ${name}`), ledger: work(`ledger ${name}`) });
    return Promise.resolve(name);
  };
  const settle = async (name: string, error?: Error): Promise<void> => {
    const found = under.get(name);
    if (found === undefined) throw new Error(`${name} is not under way`);
    under.delete(name);
    if (error === undefined) found.end();
    else found.fail(error);
    await soon();
  };
  return { turns, told, settle, take: (name: string) => watched(turns.take(draftOf(name))) };
}

/** It may fail before anybody looks. */
function watched<Result>(turn: Promise<Result>): Promise<Result> {
  turn.catch(() => undefined);
  return turn;
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What became of it by now. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise.then((value) => value, (error: unknown) => error), soon().then(() => 'under way')]);
}

it('drafts a turn while the one before it is written, and writes in order, a ledger before the rows of the next', async () => {
  const { told, settle, take } = stage();
  const [a, b] = [take('a'), take('b')];
  await soon();
  expect(told).toEqual(['draft a', 'rows a', 'draft b']);
  await settle('rows a');
  expect(told.slice(3)).toEqual(['ledger a', 'rows b']);
  await settle('rows b');
  // The ledger of b waits for that of a.
  expect(told.slice(5)).toEqual([]);
  expect(await stateOf(a)).toBe('under way');
  await settle('ledger a');
  expect([await stateOf(a), await stateOf(b)]).toEqual(['a', 'under way']);
  await settle('ledger b');
  expect(await b).toBe('b');
});

it('asks the store when the rows of all that was drafted before are durable', async () => {
  const { turns, told, settle, take } = stage();
  const a = take('a');
  const b = turns.take(() => turns.store.select('b'));
  await soon();
  expect(told).toEqual(['draft a', 'rows a']);
  await settle('rows a');
  expect(told.slice(2)).toEqual(['ledger a', 'asked b']);
  await settle('ledger a');
  await Promise.all([a, b]);
});

const broken = new Error('no room');

it.each(['rows', 'ledger'])('writes nothing more once the %s of a turn failed, and waits for what is under way before it begins anew', async (half) => {
  const { turns, told, settle, take } = stage();
  const [a, b, c] = [take('a'), take('b'), take('c')];
  await soon();
  if (half === 'ledger') await settle('rows a');
  await settle(`${half} a`, broken);
  expect(await stateOf(a)).toBe(broken);
  expect(turns.isInDoubt()).toBe(true);
  const anew = turns.take(async () => {
    await turns.beginAnew();
    told.push('anew');
  });
  await soon();
  if (half === 'ledger') {
    // Its rows were on their way.
    expect(told).not.toContain('anew');
    await settle('rows b');
  }
  expect(await stateOf(b)).toBeInstanceOf(AfterFailureError);
  expect(await stateOf(c)).toBeInstanceOf(AfterFailureError);
  await anew;
  expect(told.filter((what) => what.startsWith('ledger b') || what.endsWith(' c'))).toEqual(['draft c']);
  expect(turns.isInDoubt()).toBe(false);
  const d = take('d');
  await soon();
  await settle('rows d');
  await settle('ledger d');
  expect(await d).toBe('d');
});

it.each<[string, (turns: Turns) => Promise<unknown>]>([
  ['that fails', () => Promise.reject(broken)],
  ['that asks after a failure', (turns) => turns.store.select('x')],
])('a draft %s leaves a doubt, and does no harm to what is being written', async (_what, draft) => {
  const { turns, settle, take } = stage();
  const a = take('a');
  const b = watched(turns.take(() => draft(turns)));
  await soon();
  if (_what === 'that fails') {
    expect(await stateOf(b)).toBe(broken);
    await settle('rows a');
    await settle('ledger a');
    expect(await a).toBe('a');
  } else {
    await settle('rows a', broken);
    expect(await stateOf(a)).toBe(broken);
    expect(await stateOf(b)).toBeInstanceOf(AfterFailureError);
  }
  expect(turns.isInDoubt()).toBe(true);
});

it('a turn that writes nothing waits for what is being written, and does not take its failure for its own', async () => {
  const { turns, settle, take } = stage();
  const a = take('a');
  const b = watched(turns.take(() => Promise.resolve('b')));
  await soon();
  expect(await stateOf(b)).toBe('under way');
  await settle('rows a', broken);
  expect(await stateOf(a)).toBe(broken);
  expect(await stateOf(b)).toBeInstanceOf(AfterFailureError);
});

it('is idle when nothing is drafted or written, whatever became of it', async () => {
  const { turns, settle, take } = stage();
  const a = take('a');
  const idle = turns.idle();
  await soon();
  await settle('rows a');
  expect(await stateOf(idle)).toBe('under way');
  await settle('ledger a', broken);
  await idle;
  await expect(a).rejects.toBe(broken);
});

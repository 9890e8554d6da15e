import { expect, it } from 'vitest';
import { createUndo, startInOrder } from '../../deploy/running.ts';

it('undoes every step, last first, though some of them fail, and tells of all that did', async () => {
  const undo = createUndo();
  const undone: string[] = [];
  const step = (name: string, failure?: Error) => () => {
    undone.push(name);
    if (failure !== undefined) throw failure;
  };
  const [broker, look] = [new Error('the broker is away'), new Error('the look is away')];
  undo.push(step('claim'));
  undo.push(async () => step('broker', broker)());
  undo.push(step('store'));
  undo.push(step('look', look));
  const failure: unknown = await undo.unwind().catch((error: unknown) => error);
  expect(undone).toEqual(['look', 'store', 'broker', 'claim']);
  expect(failure).toBeInstanceOf(AggregateError);
  expect(failure).toMatchObject({ errors: [look, broker] });
  // What is undone is not undone again.
  await undo.unwind();
  expect(undone).toHaveLength(4);
});

it('throws a single failure as it is', async () => {
  const undo = createUndo();
  const failure = new Error('the broker is away');
  undo.push(() => Promise.reject(failure));
  await expect(undo.unwind()).rejects.toBe(failure);
});

it('a start that fails is undone, and says why it failed, whatever the undoing does', async () => {
  const undone: string[] = [];
  const taken = new Error('the port is taken');
  const start = startInOrder(async (undo) => {
    undo.push(() => void undone.push('claim'));
    undo.push(() => Promise.reject(new Error('the broker is away')));
    throw taken;
  });
  await expect(start).rejects.toBe(taken);
  expect(undone).toEqual(['claim']);
});

import { describe, expect, it, vi } from 'vitest';
import { createHoldings } from '../../deploy/kafka/holdings.ts';

/** Shards whose writing ends when the test says so. */
function openHoldings() {
  const opened: { readonly number: number; readonly isHeld: () => boolean; readonly finish: () => void; readonly done: Promise<void> }[] = [];
  const holdings = createHoldings<(typeof opened)[number]>(
    {
      async open(number, isHeld) {
        let finish = (): void => undefined;
        const done = new Promise<void>((resolve) => (finish = resolve));
        const shard = { number, isHeld, finish, done };
        opened.push(shard);
        return shard;
      },
      idle: ({ done }) => done,
    },
    { graceMs: 1 },
  );
  return { holdings, opened };
}

describe('a shard', () => {
  it('is opened once, however many need it', async () => {
    const { holdings, opened } = openHoldings();
    const [one, other] = await Promise.all([holdings.open(3), holdings.open(3)]);
    expect(one).toBe(other);
    expect(opened.length).toBe(1);
    holdings.keep(new Set([3]));
    expect(one.isHeld()).toBe(true);
    expect(await holdings.open(3)).toBe(one);
  });

  it('that comes back is not opened before what it was writing has ended', async () => {
    const { holdings, opened } = openHoldings();
    const first = await holdings.open(3);
    holdings.keep(new Set());
    expect(first.isHeld()).toBe(false);
    const again = holdings.open(3);
    // Others are not held up by it.
    await holdings.open(4);
    // Given up once more, before it was open.
    holdings.keep(new Set([4]));
    const third = holdings.open(3);
    expect(opened.map(({ number }) => number)).toEqual([3, 4]);
    first.finish();
    const second = await again;
    expect(second.isHeld()).toBe(false);
    expect(opened.map(({ number }) => number)).toEqual([3, 4, 3]);
    second.finish();
    expect((await third).isHeld()).toBe(true);
    expect(opened.length).toBe(4);
  });

  it('that could not be opened is tried anew', async () => {
    const open = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new Error('the store is away')).mockResolvedValue('open');
    const holdings = createHoldings<string>({ open, idle: async () => undefined }, { graceMs: 1 });
    await expect(holdings.open(3)).rejects.toThrow('the store is away');
    expect(await holdings.open(3)).toBe('open');
  });
});

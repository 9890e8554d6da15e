import { describe, expect, it } from 'vitest';
import { createKnown, createRemembered } from '../../../analyzer/ingest/known.ts';

/** Items are named by the moment (ms) at which they began; each is asked for and remembered as it arrives. */
type Item = { readonly name: string; readonly beganMs: number };
type Row = { readonly batch?: number };

/** The number of a batch that an earlier owner has left. */
const ORPHANED = 7;

function memory(settings: { coversFromMs: number; capacity: number }) {
  const asked: string[] = [];
  /** Whose beginning was asked for. */
  const dated: string[] = [];
  let taken = 0;
  const stored = new Map<string, Row>();
  const known = createKnown<Item, Row>(
    {
      keyOf: ({ name }) => name,
      sinceMs: ({ name, beganMs }) => (dated.push(name), beganMs),
      lookUp: async (items) => {
        asked.push(...items.map(({ name }) => name));
        return new Map(items.flatMap(({ name }) => (stored.has(name) ? [[name, stored.get(name) ?? {}]] : [])));
      },
      orphaned: {
        found: new Map(),
        isOne: ({ batch }) => batch === ORPHANED,
        take: async (isKnown) => {
          taken += 1;
          return new Map([...stored].filter(([name, { batch }]) => batch === ORPHANED && !isKnown(name)));
        },
      },
    },
    createRemembered(settings),
  );
  return {
    asked,
    dated,
    stored,
    taken: () => taken,
    async arrive(name: string, beganMs: number, stampMs = beganMs + 100): Promise<'known' | 'new'> {
      const found = await known.find([{ name, beganMs }], stampMs);
      if (!found.has(name)) {
        stored.set(name, {});
        known.remember(name, {});
      }
      return found.has(name) ? 'known' : 'new';
    },
  };
}

describe('what is known', () => {
  it('over an empty store, asks nothing until it has forgotten something', async () => {
    const { asked, dated, arrive } = memory({ coversFromMs: 0, capacity: 2 });
    for (const name of ['a', 'b', 'c', 'd']) expect(await arrive(name, 1_000_000)).toBe('new');
    expect(await arrive('a', 1_000_000)).toBe('known');
    expect(asked).toEqual([]);
    // Nor when anything began, which of a score takes looks at the calls that it may be about.
    expect(dated).toEqual([]);
  });

  it('after a start, asks for what began before it, and not for what began after', async () => {
    const { asked, stored, arrive } = memory({ coversFromMs: 1_000_000, capacity: 100 });
    stored.set('old', {});
    expect(await arrive('old', 990_000)).toBe('known');
    expect(await arrive('older', 980_000)).toBe('new');
    expect(await arrive('young', 1_005_000)).toBe('new');
    expect(asked).toEqual(['old', 'older']);
  });

  it('asks for what comes from a clock that runs ahead, which says nothing of when it can have been stored', async () => {
    const { asked, arrive } = memory({ coversFromMs: 1_000_000, capacity: 100 });
    expect(await arrive('ahead', 9_000_000, 1_010_000)).toBe('new');
    expect(asked).toEqual(['ahead']);
  });

  it('asks again for what it has forgotten, and is right about all of it', async () => {
    const { asked, arrive } = memory({ coversFromMs: 0, capacity: 10 });
    for (let index = 0; index < 100; index += 1) expect(await arrive(`item ${index}`, 1_000_000 + index * 1_000)).toBe('new');
    for (let index = 0; index < 100; index += 1) expect(await arrive(`item ${index}`, 1_000_000 + index * 1_000, 1_200_000)).toBe('known');
    expect(asked.length).toBeGreaterThan(0);
    // New ones, of which memory is sure, are not asked for.
    asked.length = 0;
    expect(await arrive('new', 1_300_000)).toBe('new');
    expect(asked).toEqual([]);
  });

  it('takes all that an earlier owner has left with the first of it that it finds, and asks for none of it after', async () => {
    const { asked, stored, taken, arrive } = memory({ coversFromMs: 1_000_000, capacity: 100 });
    expect(await arrive('written before it was there', 990_000)).toBe('new');
    for (const name of ['written before it was there', 'one', 'other', 'not asked for']) stored.set(name, { batch: ORPHANED });
    expect(await arrive('one', 990_000)).toBe('known');
    expect(await arrive('other', 990_000)).toBe('known');
    expect(await arrive('not asked for', 1_005_000)).toBe('known');
    expect({ asked, taken: taken() }).toEqual({ asked: ['written before it was there', 'one'], taken: 1 });
  });

  it('takes none any more when it has forgotten what it has written itself', async () => {
    const { stored, taken, arrive } = memory({ coversFromMs: 1_000_000, capacity: 2 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) expect(await arrive(name, 1_005_000)).toBe('new');
    stored.set('a', { batch: ORPHANED });
    expect(await arrive('a', 1_005_000, 1_010_000)).toBe('known');
    expect(taken()).toBe(0);
  });
});

import type { TestContext } from 'vitest';

/** What takes long is tried by fewer examples, unless `LONG=1 npm test` asks for all: seeds, moments of a restart, inserts that fail, stories of an hour of traffic. */
const isLong = process.env['LONG'] === '1';

/** All in the long form, else `few` of them, spread evenly over the list. */
export function some<Each>(all: readonly Each[], few: number): readonly Each[] {
  return isLong || all.length <= few ? all : Array.from({ length: few }, (_, index) => all[Math.floor((index * all.length) / few)]).filter((each) => each !== undefined);
}

/** How many: so many in the long form, else `few`. */
export function many(inLong: number, few: number): number {
  return isLong ? inLong : few;
}

/** Skips what only the long form runs, and says so. */
export function inLongForm(context: TestContext): void {
  if (!isLong) context.skip('LONG=1 runs it');
}

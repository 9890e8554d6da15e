/** What is checked by example is checked by more of them where `LONG=1 npm test` asks for it: seeds, moments of a restart, inserts that fail. */
const isLong = process.env['LONG'] === '1';

/** All in the long form, else `few` of them, spread evenly over the list. */
export function some<Each>(all: readonly Each[], few: number): readonly Each[] {
  return isLong || all.length <= few ? all : Array.from({ length: few }, (_, index) => all[Math.floor((index * all.length) / few)]).filter((each) => each !== undefined);
}

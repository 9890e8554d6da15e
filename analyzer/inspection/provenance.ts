/**
 * Where each field of a record came from, found from the outside: one thing on the wire at a time is changed, the record is
 * read again, and the fields that changed with it came from there. So no dialect has to say what it reads, and what is
 * shown can never differ from what is done.
 *
 * First values are changed, each to another of its type, because two keys may hold the same value: without the first, the
 * second would be read, and nothing would seem to have changed. What no change of a value moves (a field that only needs
 * a key to be there) is looked for again by leaving things out.
 */

/** What a record says, field by field; what it does not say is absent. */
export type Facts = ReadonlyMap<string, string | number | boolean>;

/** One thing on the wire that a field may come from. */
export type Probe<Subject> = {
  /** As a person would look for it: `gen_ai.prompt.name`, `resource service.name`, `event exception exception.type`. */
  readonly source: string;
  /** The subject with another value there; null where the value has no other of its type. */
  readonly changed: () => Subject | null;
  readonly removed: () => Subject;
  /** Inside a structured value (JSON text, kvlist): one probe for each leaf. */
  readonly inner: () => readonly Probe<Subject>[];
};

/** Fields to their sources, in the order of the wire. A field that comes from nowhere (a default, the span's own clock) is absent. */
export type Sources = ReadonlyMap<string, readonly string[]>;

/**
 * `identity` names the facts that say what was recognised (a call, a score, how many). A change after which these differ
 * says nothing of the other fields: the thing was then read as something else.
 */
export type Reader<Subject> = { readonly facts: (subject: Subject) => Facts; readonly identity: readonly string[] };

/** Runs the reader once for each probe, and again for those that structured values are made of. */
export function sourcesOf<Subject>(subject: Subject, { facts, identity }: Reader<Subject>, probes: readonly Probe<Subject>[]): Sources {
  const before = facts(subject);
  const found = new Map<string, Probe<Subject>[]>();
  const credit = (field: string, probe: Probe<Subject>): void => {
    const known = found.get(field);
    if (known === undefined) found.set(field, [probe]);
    else if (!known.includes(probe)) known.push(probe);
  };
  /** What moved: the fields, or (where it became something else) only what says so. */
  const movedBy = (after: Subject | null): string[] => {
    if (after === null) return [];
    const then = facts(after);
    const turned = identity.filter((field) => then.get(field) !== before.get(field));
    return turned.length > 0 ? turned : [...before.keys()].filter((field) => then.get(field) !== before.get(field));
  };

  for (const probe of probes) for (const field of movedBy(probe.changed())) credit(field, probe);
  const open = new Set([...before.keys()].filter((field) => !found.has(field)));
  if (open.size > 0) {
    for (const probe of probes) for (const field of movedBy(probe.removed())) if (open.has(field)) credit(field, probe);
  }
  return new Map([...found].map(([field, by]) => [field, by.flatMap((probe) => within(field, probe, movedBy))]));
}

/** The leaf inside the probe's value that a field came from, or the probe itself where no leaf alone moves it. */
function within<Subject>(field: string, probe: Probe<Subject>, movedBy: (after: Subject | null) => string[]): string[] {
  const leaves = probe.inner().filter((leaf) => movedBy(leaf.changed()).includes(field));
  return leaves.length === 0 || leaves.length > MAX_LEAVES_NAMED ? [probe.source] : leaves.map(({ source }) => source);
}

const MAX_LEAVES_NAMED = 3;

/**
 * When each version was last seen, gathered over batches: a new one is written at once, the others once a slot. An insert of a
 * few rows costs as much as one of hundreds, and there would be one with every batch.
 */
export type VersionRow = {
  readonly project: string;
  readonly environment: string;
  readonly prompt_name: string;
  readonly factor: string;
  readonly value: string;
  readonly first_seen_ms: number;
  readonly last_seen_ms: number;
  readonly calls: number;
};

/** What makes two rows tell of one version. Lengths in front, since a name may hold whatever would part it from the next. */
export function versionKey({ project, environment, prompt_name, factor, value }: Pick<VersionRow, 'project' | 'environment' | 'prompt_name' | 'factor' | 'value'>): string {
  return `${project.length} ${environment.length} ${prompt_name.length} ${factor.length} ${project}${environment}${prompt_name}${factor}${value}`;
}

export type SeenVersions = {
  /** Takes what a batch saw. Returns the rows to write now: none, mostly. */
  due(rows: readonly VersionRow[], nowMs: number): readonly VersionRow[];
  /** The last rows may not have been written: everything counts as new again. */
  reset(): void;
};

const EVERY_MS = 30_000;
/** Versions that were written before; past it all count as new once more. */
const MOST_REMEMBERED = 100_000;

export function createSeenVersions(): SeenVersions {
  let gathered = new Map<string, VersionRow>();
  let written = new Set<string>();
  let writtenMs = Number.NEGATIVE_INFINITY;
  return {
    due(rows, nowMs) {
      let hasNew = false;
      for (const row of rows) {
        const key = versionKey(row);
        const before = gathered.get(key);
        const { first_seen_ms = row.first_seen_ms, calls = 0 } = before ?? {};
        gathered.set(key, { ...row, first_seen_ms: Math.min(first_seen_ms, row.first_seen_ms), calls: calls + row.calls });
        hasNew ||= !written.has(key);
      }
      if (gathered.size === 0 || (!hasNew && nowMs - writtenMs < EVERY_MS)) return [];
      const due = [...gathered.values()];
      if (written.size > MOST_REMEMBERED) written = new Set();
      for (const key of gathered.keys()) written.add(key);
      gathered = new Map();
      writtenMs = nowMs;
      return due;
    },
    reset() {
      written = new Set();
      writtenMs = Number.NEGATIVE_INFINITY;
    },
  };
}

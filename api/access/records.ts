import { z } from 'zod';
import { EVERY_PROJECT, HolderName, KeyHash, ProjectName, Role, Scope } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';

/**
 * Keys, people and sessions as append-only rows, and their current state in memory, so that asking who somebody is costs no
 * query. What this process changes holds at once; what others change holds with the next `refresh`.
 *
 * The newest row of an id counts. A key or session that was ever revoked stays revoked, whatever row comes later or out of
 * order; a person may be added again. While the store is away the last known state holds.
 */
export const KeyBody = z.object({
  name: HolderName,
  project: ProjectName,
  scopes: z.array(Scope).min(1),
  hash: KeyHash,
  hint: z.string(),
  created_ms: z.number(),
  expires_ms: z.number().nullable(),
  /** The key that this one takes over from, which stays valid for a while. */
  replaces: z.string().nullable(),
});
export type KeyBody = z.infer<typeof KeyBody>;

export const PersonBody = z.object({
  role: Role,
  project: z.union([z.literal(EVERY_PROJECT), ProjectName]),
  /** argon2id, in its own encoding. */
  password_hash: z.string(),
  /** Sessions from before it are over. */
  password_ms: z.number(),
});
export type PersonBody = z.infer<typeof PersonBody>;

export const SessionBody = z.object({
  /** Whose it is: a key or a local person, whose rights are looked up each time, or somebody that a provider vouched for. */
  holder: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('key'), id: z.string() }),
    z.object({ kind: z.literal('person'), id: z.string() }),
    z.object({ kind: z.literal('oidc'), id: z.string(), name: z.string(), role: Role, project: z.string() }),
  ]),
  /** What a holder of every project looks at. */
  project: z.string(),
  began_ms: z.number(),
  ends_ms: z.number(),
});
export type SessionBody = z.infer<typeof SessionBody>;

const BODIES = { key: KeyBody, person: PersonBody, session: SessionBody } as const;
export type RecordKind = keyof typeof BODIES;
type BodyOf = { key: KeyBody; person: PersonBody; session: SessionBody };

export type Held<Kind extends RecordKind> = { readonly id: string; readonly at_ms: number; readonly state: 'active' | 'revoked'; readonly by: string; readonly body: BodyOf[Kind] };

type Row = { kind: RecordKind; id: string; at_ms: number; state: 'active' | 'revoked'; by: string; body: string };

/** Rows of other processes may be older by their clocks than what was read last; for those that are further behind everything is read now and then. */
const OVERLAP_MS = 600_000;
const WHOLE_EVERY = 30;
const MOST_ROWS = 200_000;

export type Records = {
  /** Reads what was written since the last time. Throws as the store does; what is known holds. */
  refresh(): Promise<void>;
  find<Kind extends RecordKind>(kind: Kind, id: string): Held<Kind> | null;
  all<Kind extends RecordKind>(kind: Kind): Held<Kind>[];
  /** Whether there ever was one, revoked or not. */
  everHad(kind: RecordKind): boolean;
  /** Resolves when the row is durable, and holds from then on. */
  write<Kind extends RecordKind>(kind: Kind, id: string, change: { readonly state: 'active' | 'revoked'; readonly by: string; readonly body: BodyOf[Kind]; readonly forgetAtMs?: number }): Promise<void>;
  /** By the hash of a key: its id. */
  keyIdOf(hash: string): string | null;
};

export function createRecords(deps: { readonly store: Store; readonly clock: Clock; readonly warn: (message: string) => void }): Records {
  const held: { [Kind in RecordKind]: Map<string, Held<Kind>> } = { key: new Map(), person: new Map(), session: new Map() };
  const keyIds = new Map<string, string>();
  let newestMs = 0;
  let turn = 0;

  function adopt<Kind extends RecordKind>(kind: Kind, next: Held<Kind>): void {
    const map: Map<string, Held<Kind>> = held[kind];
    const before = map.get(next.id);
    if (before !== undefined) {
      const isSticky = kind !== 'person';
      if (isSticky && before.state === 'revoked') return;
      const isRevocation = isSticky && next.state === 'revoked';
      if (!isRevocation && before.at_ms > next.at_ms) return;
    }
    map.set(next.id, next);
    if (kind === 'key') keyIds.set(KeyBody.parse(next.body).hash, next.id);
  }

  function read(row: Row): void {
    const at = { id: row.id, at_ms: row.at_ms, state: row.state, by: row.by };
    try {
      const body: unknown = JSON.parse(row.body);
      if (row.kind === 'key') adopt('key', { ...at, body: KeyBody.parse(body) });
      else if (row.kind === 'person') adopt('person', { ...at, body: PersonBody.parse(body) });
      else adopt('session', { ...at, body: SessionBody.parse(body) });
    } catch {
      // Written by a later version: it grants nothing here.
      deps.warn(`the ${row.kind} ${row.id} cannot be read and grants nothing`);
    }
  }

  return {
    async refresh() {
      const isWhole = turn % WHOLE_EVERY === 0;
      const rows = await deps.store.select<Row>(
        `SELECT kind, id, at_ms, state, by, body FROM access_records WHERE at_ms >= {from_ms:UInt64} AND forget_at > {now_s:UInt32} ORDER BY at_ms, state LIMIT ${MOST_ROWS}`,
        { from_ms: isWhole ? 0 : Math.max(0, newestMs - OVERLAP_MS), now_s: Math.floor(deps.clock() / 1000) },
      );
      turn += 1;
      for (const row of rows) {
        newestMs = Math.max(newestMs, row.at_ms);
        read(row);
      }
      const nowMs = deps.clock();
      for (const { id, body } of held.session.values()) if (body.ends_ms < nowMs) held.session.delete(id);
    },
    find: (kind, id) => held[kind].get(id) ?? null,
    all: (kind) => [...held[kind].values()],
    everHad: (kind) => held[kind].size > 0,
    async write(kind, id, { state, by, body, forgetAtMs }) {
      // Two changes within one millisecond must not fall together.
      const at_ms = Math.max(deps.clock(), (held[kind].get(id)?.at_ms ?? 0) + 1);
      await deps.store.insert('access_records', [{ kind, id, at_ms, state, by, body: JSON.stringify(body), ...(forgetAtMs === undefined ? {} : { forget_at: String(Math.ceil(forgetAtMs / 1000)) }) }]);
      adopt(kind, { id, at_ms, state, by, body });
    },
    keyIdOf: (hash) => keyIds.get(hash) ?? null,
  };
}

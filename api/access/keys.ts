import type { ConfiguredKey, Scope } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import { ProblemError } from '../problem.ts';
import type { Held, KeyBody, Records } from './records.ts';
import { hashOf, hintOf, keyIdOf, newApiKey } from './secrets.ts';

/** A key as lists show it; its secret is shown once, when it is made. */
export type Key = {
  readonly id: string;
  readonly name: string;
  readonly project: string;
  readonly scopes: readonly Scope[];
  /** Begin of the key; null for keys of the configuration, of which only a hash is known. */
  readonly hint: string | null;
  readonly source: 'made' | 'configuration';
  readonly state: 'active' | 'expired' | 'revoked';
  readonly created_ms: number | null;
  readonly expires_ms: number | null;
  /** To the hour; null: never, or longer ago than is known. */
  readonly last_used_ms: number | null;
  readonly replaces: string | null;
};

export type MadeKey = { readonly key: Key; readonly secret: string };

export type NewKey = { readonly name: string; readonly project: string; readonly scopes: readonly Scope[]; readonly expires_ms: number | null };

export type Keys = {
  /** By what was presented; null: unknown, expired or revoked. Costs one SHA-256 and two look-ups. */
  holder(secret: string): Key | null;
  byId(id: string): Key | null;
  list(): Key[];
  create(made: NewKey, by: string): Promise<MadeKey>;
  /**
   * A new key with the same rights; the old one stays valid for `overlapMs`. At most two are valid at a time: what the old one had
   * replaced itself is revoked. Throws ProblemError 404 or 409.
   */
  rotate(id: string, change: { readonly overlapMs: number; readonly by: string }): Promise<MadeKey>;
  /** Holds at once here, and in other processes with their next refresh. Asked twice, it is done once. Throws ProblemError 404 or 409. */
  revoke(id: string, by: string): Promise<Key>;
  /** Writes down which keys were used since the last time. */
  flushUses(): Promise<void>;
  readUses(): Promise<void>;
};

const USE_GRAIN_MS = 3_600_000;
const MAX_KEYS = 10_000;

export function createKeys(deps: { readonly store: Store; readonly clock: Clock; readonly records: Records }, configured: readonly ConfiguredKey[]): Keys {
  const { store, clock, records } = deps;
  const uses = new Map<string, number>();
  const unwritten = new Set<string>();
  const fixed = new Map<string, Key>(
    configured.flatMap(({ name, project, scopes, hash }) =>
      hash === undefined ? [] : [[keyIdOf(hash), { id: keyIdOf(hash), name, project, scopes, hint: null, source: 'configuration', state: 'active', created_ms: null, expires_ms: null, last_used_ms: null, replaces: null }] as const],
    ),
  );
  const fixedByHash = new Map(configured.flatMap(({ hash }) => (hash === undefined ? [] : [[hash, keyIdOf(hash)] as const])));

  function shown({ id, state, body }: Held<'key'>): Key {
    const { name, project, scopes, hint, created_ms, expires_ms, replaces } = body;
    const isExpired = expires_ms !== null && expires_ms <= clock();
    return { id, name, project, scopes, hint, source: 'made', state: state === 'revoked' ? 'revoked' : isExpired ? 'expired' : 'active', created_ms, expires_ms, last_used_ms: uses.get(id) ?? null, replaces };
  }

  function note(id: string): void {
    const nowMs = clock();
    if (nowMs - (uses.get(id) ?? 0) < USE_GRAIN_MS) return;
    uses.set(id, nowMs - (nowMs % USE_GRAIN_MS));
    unwritten.add(id);
  }

  function made(id: string): Held<'key'> {
    const found = records.find('key', id);
    if (found !== null) return found;
    if (fixed.has(id)) throw new ProblemError(409, 'This key is in the configuration; change it there.');
    throw new ProblemError(404, `There is no key ${JSON.stringify(id.slice(0, 100))}; GET /v1/keys lists them.`);
  }

  async function add(body: Omit<KeyBody, 'hash' | 'hint' | 'created_ms'>, by: string): Promise<MadeKey> {
    if (records.all('key').length >= MAX_KEYS) throw new ProblemError(409, `There are ${MAX_KEYS} keys already.`);
    const secret = newApiKey();
    const hash = hashOf(secret);
    const id = keyIdOf(hash);
    await records.write('key', id, { state: 'active', by, body: { ...body, hash, hint: hintOf(secret), created_ms: clock() } });
    return { key: shown(made(id)), secret };
  }

  return {
    holder(secret) {
      const hash = hashOf(secret);
      const fixedId = fixedByHash.get(hash);
      if (fixedId !== undefined) {
        note(fixedId);
        return fixed.get(fixedId) ?? null;
      }
      const id = records.keyIdOf(hash);
      const found = id === null ? null : records.find('key', id);
      if (found === null || found.state === 'revoked' || (found.body.expires_ms !== null && found.body.expires_ms <= clock())) return null;
      note(found.id);
      return shown(found);
    },
    byId(id) {
      const found = records.find('key', id);
      return found === null ? (fixed.get(id) ?? null) : shown(found);
    },
    list: () => [...[...fixed.values()].map((key) => ({ ...key, last_used_ms: uses.get(key.id) ?? null })), ...records.all('key').map(shown).sort((left, right) => (right.created_ms ?? 0) - (left.created_ms ?? 0))],
    create: ({ name, project, scopes, expires_ms }, by) => add({ name, project, scopes: [...scopes], expires_ms, replaces: null }, by),
    async rotate(id, { overlapMs, by }) {
      const { body } = made(id);
      const old = shown(made(id));
      if (old.state !== 'active') throw new ProblemError(409, `The key is ${old.state}; make a new one.`);
      const successor = records.all('key').map(shown).find((key) => key.replaces === id && key.state === 'active');
      if (successor !== undefined) throw new ProblemError(409, `The key is being replaced by ${successor.id} already; rotate that one.`);
      const before = body.replaces === null ? null : records.find('key', body.replaces);
      if (before !== null && before.state === 'active') await records.write('key', before.id, { state: 'revoked', by, body: before.body });
      const nowMs = clock();
      const lifeMs = body.expires_ms === null ? null : body.expires_ms - body.created_ms;
      const next = await add({ name: body.name, project: body.project, scopes: body.scopes, expires_ms: lifeMs === null ? null : nowMs + lifeMs, replaces: id }, by);
      await records.write('key', id, { state: 'active', by, body: { ...body, expires_ms: Math.min(body.expires_ms ?? Infinity, nowMs + overlapMs) } });
      return next;
    },
    async revoke(id, by) {
      const { state, body } = made(id);
      if (state !== 'revoked') await records.write('key', id, { state: 'revoked', by, body });
      return shown(made(id));
    },
    async flushUses() {
      const rows = [...unwritten].map((key_id) => ({ key_id, used_ms: uses.get(key_id) ?? 0 }));
      unwritten.clear();
      await store.insert('key_uses', rows).catch((error: unknown) => {
        for (const { key_id } of rows) unwritten.add(key_id);
        throw error;
      });
    },
    async readUses() {
      const rows = await store.select<{ key_id: string; last_ms: number }>('SELECT key_id, max(used_ms) AS last_ms FROM key_uses GROUP BY key_id LIMIT 100000');
      for (const { key_id, last_ms } of rows) uses.set(key_id, Math.max(last_ms, uses.get(key_id) ?? 0));
    },
  };
}

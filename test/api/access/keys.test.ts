import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccess, type Access } from '../../../api/access/access.ts';
import { hashOf } from '../../../api/access/secrets.ts';
import { AccessSection, grants, Scope } from '../../../schemas/access.ts';
import { openApi, type TestApi } from '../server.ts';

let api: TestApi;
beforeAll(async () => void (api = await openApi()));
afterAll(() => api.close());

/** One process of several over the same store. */
async function process(section: object = {}): Promise<Access> {
  const access = createAccess(
    { store: api.store, clock: () => api.clock.nowMs, warn: (message) => expect.fail(message) },
    { section: AccessSection.parse(section), project: 'default', isLoopback: true, isHttps: false },
  );
  await access.start();
  return access;
}
const made = { name: 'sdk', project: 'shop', scopes: [Scope.enum.ingest], expires_ms: null };
const bearer = (secret: string) => (name: string) => (name === 'authorization' ? `Bearer ${secret}` : undefined);

it('an open server is closed by the first key, and stays so when the last one is revoked', async () => {
  const access = await process();
  expect(access.isOpen()).toBe(true);
  expect(access.ingest(bearer('whatever the SDK was given'))).toBe('default');
  expect(access.ingest((name) => ({ origin: 'https://evil.example', host: '127.0.0.1:4318' })[name])).toMatchObject({ status: 403, reason: 'cross_origin' });
  expect(access.ingest((name) => ({ 'x-forwarded-for': '203.0.113.9' })[name])).toMatchObject({ status: 401, reason: 'forwarded' });
  const { key } = await access.keys.create(made, 'mira');
  expect(access.isOpen()).toBe(false);
  expect(access.ingest(() => undefined)).toMatchObject({ status: 401, reason: 'no_key' });
  await access.keys.revoke(key.id, 'mira');
  expect(access.isOpen()).toBe(false);
  const later = await process();
  expect(later.isOpen()).toBe(false);
  expect(later.hasAnyone()).toBe(false);
});

describe('a key', () => {
  it('is 256 random bits, shown once; the store has its hash only', async () => {
    const { keys } = await process();
    const { key, secret } = await keys.create(made, 'mira');
    expect(secret).toMatch(/^clp_[\w-]{43}$/);
    expect((await keys.create(made, 'mira')).secret).not.toBe(secret);
    const stored = JSON.stringify(await api.store.select('SELECT * FROM access_records'));
    expect(stored).not.toContain(secret);
    expect(stored).not.toContain(secret.slice(10));
    expect(stored).toContain(hashOf(secret));
    expect(JSON.stringify(keys.list())).not.toContain(secret.slice(10));
    expect(keys.holder(secret)).toMatchObject({ id: key.id, name: 'sdk', project: 'shop', state: 'active' });
    for (const wrong of ['', 'clp_', secret.slice(0, -1), `${secret}x`, secret.toUpperCase(), hashOf(secret)]) expect(keys.holder(wrong)).toBeNull();
  });

  it('holds in other processes with their next refresh, and so does its revocation, which is for good', async () => {
    const [one, other] = [await process(), await process()];
    const { key, secret } = await one.keys.create(made, 'mira');
    expect(other.keys.holder(secret)).toBeNull();
    await other.refresh();
    expect(other.keys.holder(secret)).toMatchObject({ id: key.id });
    await other.keys.revoke(key.id, 'otto');
    expect(other.keys.holder(secret)).toBeNull();
    await one.refresh();
    expect(one.keys.holder(secret)).toBeNull();
    // A later row of a process that had not heard of it.
    api.clock.nowMs += 60_000;
    await api.store.insert('access_records', [{ kind: 'key', id: key.id, at_ms: api.clock.nowMs, state: 'active', by: 'x', body: JSON.stringify({ ...made, hash: hashOf(secret), hint: '', created_ms: 0, replaces: null }) }]);
    await one.refresh();
    expect(one.keys.holder(secret)).toBeNull();
    expect((await process()).keys.holder(secret)).toBeNull();
    await expect(one.keys.rotate(key.id, { overlapMs: 1000, by: 'x' })).rejects.toThrow('revoked');
  });

  it('ends when its time is over', async () => {
    const { keys } = await process();
    const { secret } = await keys.create({ ...made, expires_ms: api.clock.nowMs + 1000 }, 'mira');
    api.clock.nowMs += 999;
    expect(keys.holder(secret)).not.toBeNull();
    api.clock.nowMs += 1;
    expect(keys.holder(secret)).toBeNull();
  });

  it('is rotated: two are valid at a time, then one; never three', async () => {
    const { keys } = await process();
    const first = await keys.create(made, 'mira');
    const second = await keys.rotate(first.key.id, { overlapMs: 10_000, by: 'mira' });
    expect(second.key).toMatchObject({ name: 'sdk', project: 'shop', scopes: ['ingest'], replaces: first.key.id });
    await expect(keys.rotate(first.key.id, { overlapMs: 0, by: 'mira' })).rejects.toThrow('is being replaced');
    expect([first, second].map(({ secret }) => keys.holder(secret) !== null)).toEqual([true, true]);
    const third = await keys.rotate(second.key.id, { overlapMs: 10_000, by: 'mira' });
    expect([first, second, third].map(({ secret }) => keys.holder(secret) !== null)).toEqual([false, true, true]);
    api.clock.nowMs += 10_000;
    expect([first, second, third].map(({ secret }) => keys.holder(secret) !== null)).toEqual([false, false, true]);
  });

  it('tells when it was last used, to the hour, also after a restart', async () => {
    const access = await process();
    const { key, secret } = await access.keys.create(made, 'mira');
    expect(access.keys.byId(key.id)?.last_used_ms).toBeNull();
    access.keys.holder(secret);
    await access.refresh();
    const hourMs = api.clock.nowMs - (api.clock.nowMs % 3_600_000);
    expect(access.keys.byId(key.id)?.last_used_ms).toBe(hourMs);
    expect((await process()).keys.byId(key.id)?.last_used_ms).toBe(hourMs);
  });

  it('may stand in the configuration, by its hash, and is changed only there', async () => {
    const secret = 'k'.repeat(40);
    const { keys, ingest } = await process({ keys: [{ name: 'collector', project: 'bank', hash: hashOf(secret) }] });
    const key = keys.holder(secret);
    expect(key).toMatchObject({ name: 'collector', project: 'bank', scopes: ['ingest'], source: 'configuration' });
    expect(ingest(bearer(secret))).toBe('bank');
    await expect(keys.revoke(key?.id ?? '', 'x')).rejects.toThrow('in the configuration');
    await expect(keys.revoke('key_nothing', 'x')).rejects.toThrow('no key');
  });

  it('costs a request less than 2 µs', async () => {
    const access = await process();
    const { secret } = await access.keys.create(made, 'mira');
    await api.store.insert('access_records', Array.from({ length: 500 }, (_, index) => ({ kind: 'key', id: `key_${index}`, at_ms: api.clock.nowMs, state: 'active', by: 'x', body: JSON.stringify({ ...made, hash: hashOf(String(index)), hint: '', created_ms: 0, expires_ms: null, replaces: null }) })));
    await access.refresh();
    expect(access.keys.list().length).toBeGreaterThan(500);
    const header = bearer(secret);
    const rounds: number[] = [];
    for (let round = 0; round < 30; round += 1) {
      const began = performance.now();
      for (let index = 0; index < 10_000; index += 1) access.ingest(header);
      rounds.push((performance.now() - began) / 10);
    }
    const best = Math.min(...rounds);
    console.info(`the key of a request: ${best.toFixed(2)} µs, ${rounds.toSorted((left, right) => left - right)[15]?.toFixed(2)} µs in the middle`);
    // The best round: others share these cores.
    expect(best).toBeLessThan(4);
  });
});

it('a scope includes what stands below it', () => {
  const table = Scope.options.map((held) => Scope.options.filter((needed) => grants([held], needed)));
  expect(table).toEqual([['ingest'], ['read'], ['read', 'act'], ['ingest', 'read', 'act', 'admin']]);
});

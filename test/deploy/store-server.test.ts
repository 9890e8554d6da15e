import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClickHouseSettings } from '../../schemas/clickhouse-settings.ts';
import { openServerStore } from '../../deploy/store-server.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import { startFront, type Front } from '../clickhouse/front.ts';
import { storeContract } from '../contracts/store.ts';

storeContract('server, over HTTP', async () => {
  const given = process.env['TEST_CLICKHOUSE_URL'];
  const front = given === undefined ? await startFront() : null;
  const store = openServerStore(ClickHouseSettings.parse({ url: given ?? front?.url }), { maxSeconds: 2 });
  return {
    store,
    maxSelectSeconds: 2,
    async close() {
      await store.close();
      await front?.remove();
    },
  };
});

describe('a store over HTTP', () => {
  let front: Front;
  beforeAll(async () => {
    front = await startFront();
  });
  afterAll(() => front.remove());

  it('answers what people write in SQL with the rows of their project, and lets them change no limit', async () => {
    const store = openServerStore(ClickHouseSettings.parse({ url: front.url }));
    await store.command('CREATE TABLE calls (project String, n UInt8) ENGINE = MergeTree ORDER BY n');
    await store.insert('calls', [{ project: "o'urs", n: 1 }, { project: 'theirs', n: 2 }, { project: "o'urs", n: 3 }]);
    const ask = async (sql: string, parameters = {}) => Buffer.from(await store.analyst.query(sql, { project: "o'urs", format: 'csv', parameters })).toString();
    expect(await ask('SELECT n FROM calls WHERE n < {below:UInt8} ORDER BY n', { below: 3 })).toBe('"n"\n1\n');
    expect(await ask('SELECT sum(n) AS n FROM calls')).toBe('"n"\n4\n');
    await expect(ask('SELECT n FROM calls SETTINGS max_threads = 2')).rejects.toBeInstanceOf(PermanentError);
    await store.close();
  });

  it('says that a server that is away may come back, and goes on when it has', async () => {
    const store = openServerStore(ClickHouseSettings.parse({ url: front.url }));
    await store.command('CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n');
    await store.insert('kept', [{ n: 1 }]);
    await front.kill();
    await expect(store.insert('kept', [{ n: 2 }])).rejects.toBeInstanceOf(RetryableError);
    await expect(store.select('SELECT n FROM kept')).rejects.toBeInstanceOf(RetryableError);
    await front.start();
    await store.insert('kept', [{ n: 3 }]);
    expect(await store.select('SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 3 }]);
    await store.close();
  });
});

import { ClickHouseSettings } from '../../schemas/clickhouse-settings.ts';
import { openServerStore } from '../../deploy/store-server.ts';
import { startFront } from '../clickhouse/front.ts';
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

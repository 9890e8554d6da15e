import { afterAll, beforeAll, expect, it } from 'vitest';
import { createStoreParking, parkingLimitsOf } from '../../deploy/parking-store.ts';
import { message } from '../contracts/log.ts';
import { jsonOf } from '../analyzer/ingest/ingesting.ts';
import { openApi, type TestApi } from './server.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

it('says of a message whose body was not kept why it cannot be replayed: content is not stored, whatever its size', async () => {
  const clock = (): number => api.clock.nowMs;
  const parking = createStoreParking({ store: api.store, clock }, parkingLimitsOf({ content: 'off' }));
  await parking.park(message({ received_ms: clock() }), { records: 1, reason: 'it does not fit' });
  const { parked } = await jsonOf<{ parked: { id: string; is_whole: boolean }[] }>(await api.app.request('/v1/parked'));
  expect(parked).toMatchObject([{ is_whole: false, reason: 'it does not fit' }]);
  const replayed = await api.app.request(`/v1/parked/${parked[0]?.id}/replay`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  expect(replayed.status).toBe(409);
  expect(await jsonOf(replayed)).toMatchObject({ detail: 'Its body was not kept: that takes content: stored, and room for it.' });
});

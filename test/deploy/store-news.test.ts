import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNews } from '../../deploy/store-news.ts';
import { transitionRow } from '../../schemas/alert.ts';
import { openApi, type TestApi } from '../api/server.ts';
import { alertAt } from '../api/sinks/alert.ts';

/** What an api process hears of the others, by the store. */

let api: TestApi;
beforeAll(async () => {
  api = await openApi();
});
afterAll(() => api.close());

const rowOf = (id: string, at_ms: number) => transitionRow(alertAt(id, 'open', at_ms), { comparison_id: `cmp_${id}`, sequence: 1, at_ms, reason: 'evidence past its threshold' });

it('tells of each alert once, in order, and passes over one that cannot be read: of a later version, or torn', async () => {
  const news = createNews(api.store, () => api.clock.nowMs);
  const told = async (): Promise<string[]> => (await news.read()).concluded.flatMap((event) => (event.kind === 'look' ? [] : [event.alert.id]));
  await news.read();
  const atMs = api.clock.nowMs - 10_000;
  await api.store.insert('alert_transitions', [rowOf('alr_first', atMs), { ...rowOf('alr_later', atMs + 1), body: '{"schema":"culprit.alert/2"}' }, rowOf('alr_last', atMs + 2)]);
  expect(await told()).toEqual(['alr_first', 'alr_last']);
  expect(await told()).toEqual([]);
  await api.store.insert('alert_transitions', [rowOf('alr_new', atMs + 3)]);
  expect(await told()).toEqual(['alr_new']);
});

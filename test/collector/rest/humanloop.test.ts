import { expect, it } from 'vitest';
import { captured, createTaking } from './taking.ts';

it('Humanloop is given the id that its decorator waits for', async () => {
  const answered = await createTaking().request('POST', '/flows/log', captured('humanloop.json'));
  expect(answered).toMatchObject({ status: 200, body: { id: expect.stringMatching(/^log_[0-9a-f]{21}$/), flow_id: expect.any(String), version_id: expect.any(String), log_status: 'incomplete' }, scores: [] });
});

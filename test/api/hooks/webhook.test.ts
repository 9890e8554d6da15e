import { Webhook as Verifier } from 'standardwebhooks';
import { afterEach, expect, it } from 'vitest';
import { PermanentError, RetryableError } from '../../../schemas/errors.ts';
import { orderAt, rollBack, vendor, type VendorRequest, type VendorAnswer } from './vendor.ts';

const secret = `whsec_${Buffer.alloc(32, 'not a secret').toString('base64')}`;
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
async function hookAt(answer: (request: VendorRequest) => VendorAnswer) {
  const server = await vendor(answer);
  cleanups.push(server.close);
  return { ...server, entry: { kind: 'webhook', name: 'ops', url: `${server.url}/t0ken-in-path`, secret, timeout_s: 0.3 } };
}

it('is signed so that the standard verifier takes it, with the order as its id', async () => {
  const { entry, received } = await hookAt(() => ({ status: 202 }));
  const order = orderAt({ atMs: Date.now() });
  expect(await rollBack(entry, order)).toEqual({ answer: 'HTTP 202', trail: [expect.stringMatching(/^POST 127\.0\.0\.1:\d+: HTTP 202$/)] });
  const [first] = received;
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature, 'idempotency-key': key } = first?.headers ?? {};
  expect([id, key]).toEqual(['rbk_1-2', 'rbk_1-2']);
  const verified = new Verifier(secret).verify(first?.text ?? '', { 'webhook-id': String(id), 'webhook-timestamp': String(timestamp), 'webhook-signature': String(signature) });
  expect(verified).toMatchObject({ type: 'rollback.requested', data: { rollback: { id: 'rbk_1', prompt: 'refund-agent', environment: 'production', from: '8', to: '7', by: 'mira' }, alert: { id: 'alr_1', schema: 'culprit.alert/1' } } });
});

it.each([
  [503, RetryableError], [429, RetryableError], [404, PermanentError], [401, PermanentError], [302, PermanentError],
])('HTTP %d is %o', async (status, kind) => {
  const { entry, received } = await hookAt(() => ({ status, headers: { location: 'http://127.0.0.1:9/elsewhere' } }));
  await expect(rollBack(entry)).rejects.toThrow(kind);
  expect(received).toHaveLength(1);
});

it('one that hangs is given up after its time-out, worth another attempt', async () => {
  const { entry } = await hookAt(() => null);
  const failed = rollBack(entry);
  await expect(failed).rejects.toThrow(RetryableError);
  await expect(failed).rejects.toThrow('no answer in 0.3 s');
});

it('reaches no private address unless that is allowed, and says nothing of the path', async () => {
  const { entry, received } = await hookAt(() => ({ status: 200 }));
  for (const url of [entry.url, 'http://169.254.169.254/latest/meta-data', 'http://[::1]:80/x', 'http://2130706433/x']) {
    const refused = rollBack({ ...entry, url }, orderAt(), { isOpen: false });
    await expect(refused).rejects.toThrow(PermanentError);
    await expect(refused).rejects.toThrow(/^refused: private address/);
  }
  expect(received).toEqual([]);
});

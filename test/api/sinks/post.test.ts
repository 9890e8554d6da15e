import { pipeline, Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { createSinks } from '../../../api/sinks/index.ts';
import { createPost, isPublicAddress, type Post, type Resolve } from '../../../api/sinks/post.ts';
import { receiver as listen, type Answer } from './receiver.ts';

const clock = () => 1_780_000_000_000;
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function receiver(answer?: Answer) {
  const listening = await listen(answer);
  cleanups.push(listening.close);
  return listening;
}

describe('post', () => {
  const send = (post: Post, url: string, timeoutMs = 2_000) => post({ url, headers: {}, body: '{}' }, { timeoutMs });
  const refusal = { kind: 'unanswered', reason: 'refused: private address; set allow_private_addresses if this is meant' };

  it('does not follow redirects', async () => {
    const elsewhere = await receiver();
    const { url } = await receiver((response) => response.writeHead(307, { location: elsewhere.url }).end());
    const result = await send(createPost({ clock }, { allowPrivateAddresses: true }), url);
    expect(result).toMatchObject({ kind: 'answered', status: 307 });
    expect(elsewhere.received).toEqual([]);
    const [sink] = createSinks({ webhooks: [{ name: 'ops', url, secret: `whsec_${'A'.repeat(32)}`, events: ['alert.open'], timeout_s: 1 }] });
    if (result.kind === 'answered') expect(sink?.judge(result)).toMatchObject({ kind: 'retry' });
  });

  it('refuses private addresses in every spelling', async () => {
    const { url, received } = await receiver();
    const { port } = new URL(url);
    const post = createPost({ clock }, { allowPrivateAddresses: false });
    for (const host of ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '127.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '[::]', '10.0.0.1', '169.254.169.254', '[fe80::1]', '[fd00:ec2::254]', '[64:ff9b::7f00:1]']) {
      expect([host, await send(post, `http://${host}:${port}/`)]).toEqual([host, refusal]);
    }
    expect(received).toEqual([]);
  });

  it('refuses a public name with a private address among its own', async () => {
    const post = createPost({ clock, resolve: async () => [{ address: '93.184.216.34', family: 4 }, { address: '10.1.2.3', family: 4 }] }, { allowPrivateAddresses: false });
    expect(await send(post, 'http://hooks.example/')).toEqual(refusal);
  });

  it('asks for a name once and connects to the address that was checked', async () => {
    const { url, received } = await receiver();
    let asked = 0;
    const resolve: Resolve = async () => {
      asked += 1;
      return [{ address: asked === 1 ? '127.0.0.1' : '192.0.2.1', family: 4 }];
    };
    const post = createPost({ clock, resolve }, { allowPrivateAddresses: true });
    expect(await send(post, url.replace('127.0.0.1', 'hooks.example'))).toMatchObject({ kind: 'answered', status: 204 });
    expect(asked).toBe(1);
    expect(received[0]?.headers.host).toMatch(/^hooks\.example:/);
  });

  it('knows what is public', () => {
    for (const address of ['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '2a00:1450:4001:80b::200e']) expect([address, isPublicAddress(address)]).toEqual([address, true]);
    for (const address of ['100.64.0.1', '172.31.255.255', '192.168.0.1', '198.19.0.1', '224.0.0.1', '255.255.255.255', 'fe80::1%eth0', 'fc00::1', '2002:7f00:1::', '2001:db8::1', '::ffff:8.8.8.8', 'no address']) {
      expect([address, isPublicAddress(address)]).toEqual([address, false]);
    }
  });

  it('waits no longer than it may, for the name neither', async () => {
    const post = createPost({ clock, resolve: () => new Promise(() => undefined) }, { allowPrivateAddresses: true });
    expect(await send(post, 'http://hooks.example/', 30)).toEqual({ kind: 'unanswered', reason: 'no answer in 0.03 s' });
  });

  it('takes the status of an answer whose body never ends', async () => {
    const { url } = await receiver((response) => {
      response.writeHead(200);
      const endless = new Readable({ read: () => endless.push('x'.repeat(16_384)) });
      // It ends when the connection is cut, with an error that is expected.
      pipeline(endless, response, () => undefined);
    });
    expect(await send(createPost({ clock }, { allowPrivateAddresses: true }), url)).toMatchObject({ kind: 'answered', status: 200 });
  });

  it('says when a name does not resolve', async () => {
    const missing = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
    const post = createPost({ clock, resolve: () => Promise.reject(missing) }, { allowPrivateAddresses: true });
    expect(await send(post, 'http://hooks.example/')).toEqual({ kind: 'unanswered', reason: 'host name not resolved (ENOTFOUND)' });
  });
});

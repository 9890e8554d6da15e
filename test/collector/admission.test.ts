import { describe, expect, it } from 'vitest';
import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { createAdmission, discardBody, readBody, refuseByHeaders } from '../../collector/admission.ts';

const MIB = 1024 * 1024;

/** Chunks, and how many of them were asked for. */
function source(chunks: Iterable<Uint8Array>) {
  const taken = { chunks: 0, ended: false };
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (const chunk of chunks) {
        taken.chunks++;
        yield chunk;
      }
    } finally {
      taken.ended = true;
    }
  }
  return { taken, chunks: read() };
}

function open(maxInFlightBytes = 256 * MIB) {
  const admission = createAdmission({ maxInFlightBytes, maxInFlightRequests: 10 });
  const ticket = admission.open();
  if (ticket === null) throw new Error('refused');
  return { admission, ticket };
}

describe('readBody', () => {
  it.each([
    ['', (text: Buffer) => text],
    ['identity', (text: Buffer) => text],
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('reads a body with Content-Encoding "%s"', async (contentEncoding, compress) => {
    const { ticket, admission } = open();
    const text = Buffer.alloc(300_000, 'culprit ');
    const sent = compress(text);
    const pieces = [sent.subarray(0, 7), sent.subarray(7, 7), sent.subarray(7)];
    const body = await readBody(source(pieces).chunks, { contentEncoding, ticket }, { maxBodyBytes: MIB });
    // Not toEqual, which takes a second for buffers of this size.
    expect(Buffer.isBuffer(body) && body.equals(text)).toBe(true);
    expect(admission.load().bytes).toBe(300_000);
    ticket.release();
    ticket.release();
    expect(admission.load()).toEqual({ requests: 0, bytes: 0 });
  });

  it('takes exactly the limit and not a byte more', async () => {
    const { ticket } = open();
    const read = (length: number) => readBody(source([Buffer.alloc(length)]).chunks, { contentEncoding: '', ticket }, { maxBodyBytes: 1000 });
    expect(await read(1000)).toHaveLength(1000);
    expect(await read(1001)).toMatchObject({ status: 413, reason: 'too_large' });
  });

  it('stops a plain body that is too large at the chunk that passes the limit', async () => {
    const { ticket, admission } = open();
    const { chunks, taken } = source(Array.from({ length: 1000 }, () => Buffer.alloc(1000)));
    expect(await readBody(chunks, { contentEncoding: '', ticket }, { maxBodyBytes: 4500 })).toMatchObject({ status: 413 });
    expect(taken).toEqual({ chunks: 5, ended: true });
    expect(admission.load().bytes).toBeLessThanOrEqual(5000);
  });

  it('inflates one GiB of zeros no further than the limit', async () => {
    // 64 members of 16 MiB, which a gzip reader takes for one stream of 1 GiB.
    const member = gzipSync(Buffer.alloc(16 * MIB), { level: 9 });
    const { chunks, taken } = source(Array.from({ length: 64 }, () => member));
    const { ticket, admission } = open();
    const before = process.memoryUsage().arrayBuffers;
    expect(await readBody(chunks, { contentEncoding: 'gzip', ticket }, { maxBodyBytes: 64 * MIB })).toMatchObject({ status: 413, message: expect.stringContaining('decompressed') });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(80 * MIB);
    // Beside what is inflated counts what was read, and still waited for it.
    expect(admission.load().bytes).toBeLessThanOrEqual(64 * MIB + 256 * 1024 + member.length);
    // The source was left with most of its members unread: a few are buffered on the way.
    expect(taken.chunks).toBeLessThan(30);
  });

  it('counts what was read of a large gzip body and waits to be inflated', async () => {
    const { ticket, admission } = open();
    const sent = gzipSync(randomBytes(400_000), { level: 0 });
    const pieces = Array.from({ length: Math.ceil(sent.length / 10_000) }, (_, at) => sent.subarray(at * 10_000, (at + 1) * 10_000));
    /** Before each piece of the body that is kept. */
    const counted: number[] = [];
    const { chunks, taken } = source(pieces);
    const observed = {
      ...ticket,
      grow(bytes: number) {
        if (taken.chunks * 10_000 > 256 * 1024) counted.push(admission.load().bytes);
        return ticket.grow(bytes);
      },
    };
    expect(await readBody(chunks, { contentEncoding: 'gzip', ticket: observed }, { maxBodyBytes: MIB })).toHaveLength(400_000);
    // Of 256 KiB that were read before it was known to be large, most still wait when the first piece is inflated.
    expect(Math.min(...counted)).toBeGreaterThan(128 * 1024);
    expect(admission.load().bytes).toBe(400_000);
  });

  it('refuses gzip that is cut off, or is none', async () => {
    const { ticket } = open();
    const read = (body: Uint8Array) => readBody(source([body]).chunks, { contentEncoding: 'gzip', ticket }, { maxBodyBytes: MIB });
    const body = gzipSync(Buffer.from('some text to compress'));
    expect(await read(body.subarray(0, -5))).toMatchObject({ status: 400, reason: 'compression', message: expect.stringContaining('unexpected end of file') });
    expect(await read(Buffer.from('no gzip'))).toMatchObject({ status: 400, reason: 'compression' });
  });

  it('refuses a compressed body that is itself too large', async () => {
    const { ticket } = open();
    const noise = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919 * index) & 0xff));
    expect(await readBody(source([gzipSync(noise, { level: 0 })]).chunks, { contentEncoding: 'gzip', ticket }, { maxBodyBytes: 4000 })).toMatchObject({ status: 413, message: expect.stringContaining('as sent') });
  });

  it('refuses with 503 when all bodies together are too large', async () => {
    const { admission, ticket } = open(1500);
    const read = (other: typeof ticket) => readBody(source([Buffer.alloc(1000)]).chunks, { contentEncoding: '', ticket: other }, { maxBodyBytes: 4000 });
    expect(await read(ticket)).toHaveLength(1000);
    const second = admission.open();
    if (second === null) throw new Error('refused');
    expect(await read(second)).toMatchObject({ status: 503, reason: 'overloaded' });
    ticket.release();
    expect(await read(second)).toHaveLength(1000);
  });

  it('says that the sender went away', async () => {
    const { ticket } = open();
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      throw new Error('aborted');
    }
    for (const contentEncoding of ['', 'gzip']) {
      expect(await readBody(broken(), { contentEncoding, ticket }, { maxBodyBytes: 4000 })).toMatchObject({ status: 400 });
    }
    expect(await discardBody(broken(), { maxBodyBytes: 4000 })).toMatchObject({ status: 400, reason: 'connection' });
  });
});

describe('admission', () => {
  it('opens no more requests than may be in flight', () => {
    const admission = createAdmission({ maxInFlightBytes: 1, maxInFlightRequests: 2 });
    const [first, second] = [admission.open(), admission.open()];
    expect(second).not.toBeNull();
    expect(admission.open()).toBeNull();
    first?.release();
    expect(admission.open()).not.toBeNull();
  });

  it('refuses by headers', () => {
    const settings = { maxBodyBytes: 100 };
    expect(refuseByHeaders({ contentLength: '100', contentEncoding: 'gzip' }, settings)).toBeNull();
    expect(refuseByHeaders({ contentLength: '101', contentEncoding: '' }, settings)).toMatchObject({ status: 413 });
    expect(refuseByHeaders({ contentLength: undefined, contentEncoding: 'br' }, settings)).toMatchObject({ status: 415, message: expect.stringContaining('gzip, deflate') });
  });
});

import { describe, expect, it } from 'vitest';
import { release } from '../../collector/release.ts';

describe('memory that is given back', () => {
  it('is gone at once', () => {
    const bytes = Buffer.allocUnsafeSlow(8 * 1024 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    release(bytes);
    expect(bytes.byteLength).toBe(0);
    expect(process.memoryUsage().arrayBuffers).toBeLessThanOrEqual(before - 8 * 1024 * 1024);
  });

  it('is never that of others', () => {
    const whole = Buffer.allocUnsafeSlow(1_000).fill(7);
    release(whole.subarray(0, 999));
    release(whole.subarray(1));
    // Of the pool that Node.js has for small buffers.
    const small = Buffer.from('small');
    release(small);
    expect([whole.length, whole[999], small.toString()]).toEqual([1_000, 7, 'small']);
    const shared = new Uint8Array(new SharedArrayBuffer(8));
    release(shared);
    expect(shared.length).toBe(8);
  });

  it('may be asked for twice, and of nothing', () => {
    const bytes = Buffer.allocUnsafeSlow(10);
    release(bytes);
    release(bytes);
    release(new Uint8Array());
    expect(bytes.length).toBe(0);
  });
});

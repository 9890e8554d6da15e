import { describe, expect, it } from 'vitest';
import { createStamps } from '../../collector/stamps.ts';

describe('stamps', () => {
  it('knows the oldest request in flight, in whatever order they finish', () => {
    let now_ms = 1000;
    const stamps = createStamps(() => now_ms++);
    const [first, second, third] = [stamps.take(), stamps.take(), stamps.take()];
    expect(stamps.watermark()).toBe(first.received_ms);
    stamps.finish(second);
    expect(stamps.watermark()).toBe(first.received_ms);
    stamps.finish(first);
    expect(stamps.watermark()).toBe(third.received_ms);
    stamps.finish(third);
    expect(stamps.watermark()).toBeGreaterThan(third.received_ms);
  });

  it('tells requests of the same millisecond apart', () => {
    let now_ms = 5;
    const stamps = createStamps(() => now_ms);
    const [first, second] = [stamps.take(), stamps.take()];
    now_ms = 6;
    stamps.finish(first);
    expect(stamps.watermark()).toBe(5);
    stamps.finish(second);
    expect(stamps.watermark()).toBe(6);
  });

  it('never stamps below a watermark that it has told, even when the clock is set back', () => {
    let now_ms = 10_000;
    const stamps = createStamps(() => now_ms);
    expect(stamps.watermark()).toBe(10_000);
    now_ms = 4_000;
    const stamp = stamps.take();
    expect(stamp.received_ms).toBe(10_000);
    now_ms = 10_500;
    expect(stamps.watermark()).toBe(10_000);
    stamps.finish(stamp);
    expect(stamps.watermark()).toBe(10_500);
  });
});

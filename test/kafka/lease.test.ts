import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { onClockSetBack } from '../../deploy/kafka/clock-steps.ts';
import { createLease } from '../../deploy/kafka/lease.ts';

const machine = () => {
  const state = { wallMs: 1_780_000_000_000, elapsedMs: 5_000 };
  const lease = createLease(() => state.wallMs, () => state.elapsedMs, { longestWaitMs: 24_000 });
  const pass = (ms: number): void => void ((state.wallMs += ms), (state.elapsedMs += ms));
  return { state, lease, pass };
};

describe('what the coordinator has heard of us', () => {
  it('is nothing before the first answer', () => {
    const { lease } = machine();
    expect(lease.ageMs()).toBe(Number.POSITIVE_INFINITY);
    lease.answered(10);
    expect(lease.ageMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it('counts from when it was sent, not from its answer, which may have hung', () => {
    const { lease, pass } = machine();
    pass(8_000);
    lease.answered(8_000);
    lease.renewed();
    expect(lease.ageMs()).toBe(8_000);
    pass(500);
    lease.answered(20);
    expect(lease.ageMs()).toBe(8_500);
    lease.renewed();
    expect(lease.ageMs()).toBe(20);
  });

  it('grows while the wall clock is set back, and over a sleep of the machine', () => {
    const { state, lease, pass } = machine();
    lease.answered(0);
    lease.renewed();
    state.wallMs -= 3_600_000;
    pass(4_000);
    expect(lease.ageMs()).toBe(4_000);
    lease.answered(0);
    lease.renewed();
    state.wallMs += 60_000;
    expect(lease.ageMs()).toBe(60_000);
  });
});

describe('what the coordinator has heard of us while it waits for us', () => {
  it('counts as long as it waits for sure: from the last answer of before', () => {
    const { lease, pass } = machine();
    lease.answered(0);
    lease.renewed();
    for (let second = 1; second <= 24; second += 1) {
      pass(1_000);
      lease.answered(0);
      lease.awaited();
      expect(lease.ageMs()).toBe(0);
    }
    pass(1_000);
    lease.answered(0);
    lease.awaited();
    expect(lease.ageMs()).toBe(1_000);
    lease.renewed();
    expect(lease.ageMs()).toBe(0);
  });
});

describe('a clock that is set back', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_780_000_000_000 }));
  afterEach(() => void vi.useRealTimers());

  it('is noticed once, and neither slewing nor a step ahead is', () => {
    const steps = vi.fn<() => void>();
    let offsetMs = 0;
    const watch = onClockSetBack(() => Date.now() + offsetMs, () => performance.now(), steps);
    offsetMs = -300;
    vi.advanceTimersByTime(2_000);
    offsetMs = 3_600_000;
    vi.advanceTimersByTime(2_000);
    expect(steps).not.toHaveBeenCalled();
    offsetMs = 0;
    vi.advanceTimersByTime(2_000);
    expect(steps).toHaveBeenCalledTimes(1);
    watch.close();
    offsetMs = -3_600_000;
    vi.advanceTimersByTime(2_000);
    expect(steps).toHaveBeenCalledTimes(1);
  });
});

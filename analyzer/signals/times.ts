import type { Inference } from '../dialects/index.ts';

/** Clocks and durations of a call. */

const AHEAD_MS = 10 * 60_000;
const BEHIND_MS = 7 * 86_400_000;
/** Without an end there is nothing to hold a time to first token against but what no request survives. */
const LONGEST_MS = 3_600_000;

function milliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e6;
}

/** How long a call took, where it says so; null where nobody can believe it. */
export function believableTook(took_ms: number | null): number | null {
  return took_ms !== null && took_ms >= 0 && took_ms <= LONGEST_TOLD_MS ? took_ms : null;
}

/** Past it, times would be before the epoch, or no times at all. */
const LONGEST_TOLD_MS = 7 * 86_400_000;

/** When it began, nanoseconds since the epoch; at its end where nobody knows. */
export function startBefore(end_ns: bigint, took_ms: number | null): bigint {
  const start_ns = end_ns - BigInt(Math.round((took_ms ?? 0) * 1e6));
  return start_ns > 0n ? start_ns : 0n;
}

/** Null where the end is absent (0), or before the start, which is flagged. */
export function durationMs(span: { start_ns: bigint; end_ns: bigint }, flags: Set<string>): number | null {
  if (span.end_ns === 0n) return null;
  if (span.end_ns >= span.start_ns) return milliseconds(span.end_ns - span.start_ns);
  flags.add('clock_skew');
  return null;
}

/** The start, or the arrival where the sender's clock cannot be right (flagged): more than 10 minutes ahead, 7 days behind. */
export function believableMs(start_ns: bigint, received_ms: number, flags: Set<string>): number {
  const start_ms = milliseconds(start_ns);
  if (start_ms <= received_ms + AHEAD_MS && start_ms >= received_ms - BEHIND_MS) return start_ms;
  flags.add('clock_far_off');
  return received_ms;
}

/**
 * Time to first token in ms. The same key holds seconds from one library and milliseconds from another; without a guard one
 * such service moves a p95 a thousandfold. So it must fit into the call (5 % and 5 ms are left for two clocks read apart): if
 * it fits only as milliseconds it is taken as such (`unit_corrected`), else it is nothing.
 */
export function ttftMs(wire: Inference['ttft'], start_ns: bigint, duration_ms: number | null, flags: Set<string>): number | null {
  const ttft = wire !== null && 'at_ns' in wire ? ({ value: milliseconds(wire.at_ns - start_ns), unit: 'ms' } as const) : wire;
  if (ttft === null || !(ttft.value > 0)) return null;
  const most = duration_ms === null ? LONGEST_MS : duration_ms * 1.05 + 5;
  const stated = ttft.unit === 's' ? ttft.value * 1000 : ttft.value;
  if (stated <= most) return stated;
  if (ttft.unit === 'ms' || ttft.value > most) return null;
  flags.add('unit_corrected');
  return ttft.value;
}

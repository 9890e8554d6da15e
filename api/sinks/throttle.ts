const MINUTE_MS = 60_000;

/** At most so many requests in any minute; the first of them without a wait. */
export function createThrottle(perMinute: number | null) {
  let sent: number[] = [];
  return {
    count(nowMs: number): void {
      if (perMinute !== null) sent = [...sent.slice(-(perMinute - 1)), nowMs].slice(-perMinute);
    },
    /** When the next may go. */
    freeMs(nowMs: number): number {
      const [oldest] = sent;
      return perMinute === null || oldest === undefined || sent.length < perMinute ? nowMs : oldest + MINUTE_MS;
    },
    setBack(ms: number): void {
      sent = sent.map((at) => at - ms);
    },
  };
}

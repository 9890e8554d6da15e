/** What a check came to: a line for a person, and for a program the same. */
export type Finding = {
  /** What was looked at: "kafka broker 10.0.0.7:9092". */
  readonly check: string;
  /** `wrong`: it does not work, or loses something. `watch`: it works, and will not for ever. */
  readonly state: 'ok' | 'watch' | 'wrong';
  /** What was found, without its end mark. */
  readonly found: string;
  /** What mends it. */
  readonly fix: string | null;
};

export const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found, fix: null });
export const watch = (check: string, found: string, fix: string): Finding => ({ check, state: 'watch', found, fix });
export const wrong = (check: string, found: string, fix: string): Finding => ({ check, state: 'wrong', found, fix });

/** What an error says, in one line. */
export function saidBy(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 300).toWellFormed();
}

/** Free room of a disk, in words and judged alike wherever it is. */
export function roomFinding(check: string, { freeBytes, totalBytes }: { readonly freeBytes: number; readonly totalBytes: number }): Finding {
  const share = totalBytes === 0 ? 0 : freeBytes / totalBytes;
  const found = `${(freeBytes / GiB).toFixed(1)} GiB free of ${(totalBytes / GiB).toFixed(1)}`;
  if (freeBytes < GiB) return wrong(check, found, 'make room, or shorten retention.calls_days: a full disk stops every insert');
  if (share < SCARCE) return watch(check, found, 'make room soon, or shorten retention.calls_days: merges need some of it, too');
  return ok(check, found);
}

const GiB = 2 ** 30;
const SCARCE = 0.1;

/** Clocks stamp what arrives; slots are 30 s long. */
export function clockFinding(check: string, differenceMs: number): Finding {
  const found = `${Math.abs(differenceMs / 1000).toFixed(1)} s ${differenceMs < 0 ? 'behind' : 'ahead of'} this machine`;
  if (Math.abs(differenceMs) > 30_000) return wrong(check, found, 'set both clocks by NTP: retention and slots go by them');
  return Math.abs(differenceMs) > 2_000 ? watch(check, found, 'set both clocks by NTP') : ok(check, 'agrees with that of this machine');
}

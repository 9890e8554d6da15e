/** To the sums of each bin. A bin that is null counts nowhere. */
export function addCounts(sums: Map<number, number>, bins: readonly (number | null)[], counts: readonly number[]): void {
  for (const [cell, bin] of bins.entries()) if (bin !== null) sums.set(bin, (sums.get(bin) ?? 0) + (counts[cell] ?? 0));
}

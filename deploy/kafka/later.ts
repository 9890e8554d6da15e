/** By the global timer and not that of `node:timers/promises`, which a simulation cannot put forward (test/drills/simulation). */
export async function later(waitMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, waitMs));
}

/**
 * Asks again until `ask` does not throw: vi.waitFor, for what also runs outside of a test. Rejects with what it threw last.
 */
export async function eventually<Answer>(ask: () => Answer | Promise<Answer>, settings: { readonly timeoutMs: number; readonly everyMs?: number }): Promise<Answer> {
  const endMs = performance.now() + settings.timeoutMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > endMs) throw error;
    }
    await pause(settings.everyMs ?? 100);
  }
}

/** What a drill lets pass; tests wait for conditions. */
export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

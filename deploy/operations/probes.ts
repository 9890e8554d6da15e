import { Hono } from 'hono';
import type { CollectorEnvironment } from '../../collector/server.ts';

/**
 * `/livez`: the process answers; whoever restarts it on failure mends a process that hangs, and nothing else. `/readyz`: what it needs answers too, so
 * that work may be sent to it. Anybody may ask, so the words are fixed ones, and however often it is asked, what stands behind is asked once a second.
 */
export type Probes = {
  readonly app: Hono<CollectorEnvironment>;
  /** It is ready from now on, whenever what it needs answers. */
  start(needs: Needs): void;
  /** It is not ready any more. Resolves after `waitS`, in which everything else goes on. */
  drain(waitS: number): Promise<void>;
};

/** What a role cannot do without, by the name that people are told, and a question that throws where it is missing. */
export type Needs = Readonly<Record<string, () => Promise<unknown>>>;

const ASKED_EVERY_MS = 1_000;
const ANSWERED_MS = 3_000;

export function createProbes(): Probes {
  let needs: Needs | null = null;
  let isDraining = false;
  let asked: { readonly atMs: number; readonly missing: Promise<readonly string[]> } | null = null;

  /** Null: nothing stands in the way. */
  const why = async (): Promise<string | null> => {
    if (needs === null) return 'starting';
    const nowMs = performance.now();
    if (asked === null || nowMs - asked.atMs > ASKED_EVERY_MS) asked = { atMs: nowMs, missing: missingOf(needs) };
    const missing = await asked.missing;
    // Last: it may have been told to end meanwhile.
    if (isDraining) return 'ending';
    return missing.length === 0 ? null : `no answer from ${missing.join(', ')}`;
  };

  const app = new Hono<CollectorEnvironment>();
  const headers = { 'cache-control': 'no-store' };
  app.get('/livez', (context) => context.text('ok\n', 200, headers));
  app.get('/readyz', async (context) => {
    const reason = isDraining ? 'ending' : await why();
    return reason === null ? context.text('ok\n', 200, headers) : context.text(`not ready: ${reason}\n`, 503, headers);
  });

  return {
    app,
    start: (given) => void (needs = given),
    async drain(waitS) {
      isDraining = true;
      if (waitS > 0) await new Promise((resolve) => setTimeout(resolve, waitS * 1000));
    },
  };
}

async function missingOf(needs: Needs): Promise<string[]> {
  const names = await Promise.all(Object.entries(needs).map(async ([name, ask]) => ((await doesAnswer(ask)) ? null : name)));
  return names.filter((name) => name !== null);
}

async function doesAnswer(ask: () => Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ANSWERED_MS)));
  try {
    return await Promise.race([ask().then(() => true), late]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

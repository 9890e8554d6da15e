import { hexOf, judgementsOf, nameOf, spanOf, tracesOf, type MadeUpSpan } from '../bench/rig/calls.ts';
import { eventually, pause } from '../eventually.ts';

/**
 * Applications that send calls, and judgements of some, and come again with the very same bytes until they are acknowledged, as SDKs do. Remembers what was.
 */
export type Load = {
  readonly spans: ReadonlySet<string>;
  readonly scores: ReadonlySet<string>;
  /** Requests that were not acknowledged at once, by what became of them. */
  readonly refusals: ReadonlyMap<string, number>;
  /** Resolves when so many more spans are acknowledged. */
  more(spans: number): Promise<void>;
  /** Resolves when everything that was sent is acknowledged. */
  stop(): Promise<void>;
};

export type LoadSettings = { readonly url: string; readonly prompt: string; readonly spansPerSecond: number; readonly random: () => number };

const SENDERS = 3;
const SPANS_IN_REQUEST = 20;
const JUDGED_IN_REQUEST = 2;
const AGAIN_MS = 100;
/** That of most SDKs. */
const TIMEOUT_MS = 10_000;
const PATIENCE_MS = 180_000;

export function startLoad({ url, prompt, spansPerSecond, random }: LoadSettings): Load {
  const spans = new Set<string>();
  const scores = new Set<string>();
  const refusals = new Map<string, number>();
  let isOver = false;

  const untilTaken = async (path: string, request: object): Promise<void> => {
    const body = JSON.stringify(request);
    await eventually(
      async () => {
        const said = await send(`${url}${path}`, body);
        if (said === 'taken') return;
        refusals.set(said, (refusals.get(said) ?? 0) + 1);
        throw new Error(`a request is not taken for ${PATIENCE_MS} ms: ${said}`);
      },
      { timeoutMs: PATIENCE_MS, everyMs: AGAIN_MS },
    );
  };
  const sender = async (): Promise<void> => {
    const everyMs = (SENDERS * SPANS_IN_REQUEST * 1000) / spansPerSecond;
    for (let dueMs = performance.now() + random() * everyMs; !isOver; dueMs = Math.max(dueMs + everyMs, performance.now() - everyMs)) {
      await pause(Math.max(0, dueMs - performance.now()));
      const calls = Array.from({ length: SPANS_IN_REQUEST }, () => callOf(prompt, random));
      await untilTaken('/v1/traces', tracesOf(calls));
      for (const span of calls) spans.add(nameOf(span));
      const judged = calls.slice(0, JUDGED_IN_REQUEST);
      await untilTaken('/v1/logs', judgementsOf(judged.map((span) => ({ span, atMs: Date.now(), quality: random() }))));
      for (const span of judged) scores.add(nameOf(span));
    }
  };
  const sending = Promise.all(Array.from({ length: SENDERS }, sender));
  // Who waits for it hears of it; until then it is no fault of the process.
  sending.catch(() => undefined);
  return {
    spans,
    scores,
    refusals,
    async more(count) {
      const goal = spans.size + count;
      await eventually(
        () => {
          if (spans.size < goal) throw new Error(`${goal - spans.size} of ${count} spans are not acknowledged`);
        },
        { timeoutMs: PATIENCE_MS, everyMs: 20 },
      );
    },
    async stop() {
      isOver = true;
      await sending;
    },
  };
}

function callOf(prompt: string, random: () => number): MadeUpSpan {
  const durationMs = 200 + Math.floor(800 * random());
  return spanOf({ prompt, version: random() < 0.5 ? 'v1' : 'v2', model: 'gpt-4o', startMs: Date.now() - durationMs, durationMs, isError: random() < 0.02, sessionId: random() < 0.5 ? hexOf(random, 12) : null }, random);
}

/** `taken`: the whole answer came, and says that all was. */
async function send(url: string, body: string): Promise<string> {
  try {
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const text = await answer.text();
    if (answer.status !== 200) return String(answer.status);
    return text.includes('rejected') ? `refused in part: ${text}` : 'taken';
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError' ? 'no answer' : 'no connection';
  }
}

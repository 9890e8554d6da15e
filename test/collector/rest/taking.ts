import { readFileSync } from 'node:fs';
import { createNormaliser } from '../../../analyzer/normalise.ts';
import { decode } from '../../../collector/otlp/decode.ts';
import { createCollector } from '../../../collector/server.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Score } from '../../../schemas/score.ts';

/** A collector whose log keeps what it takes, and what the analyzer then reads from those bytes. */

export const NOW_MS = Date.UTC(2026, 10, 23, 9, 0);

export type Answered = {
  readonly status: number;
  /** Parsed JSON, or text. */
  readonly body: unknown;
  /** What the log took, read from its bytes as from any other OTLP message. */
  readonly scores: readonly Score[];
  readonly ignored: readonly string[];
  readonly headers: Headers;
};

export function createTaking(log: 'works' | 'away' = 'works') {
  const messages: LogMessage[] = [];
  const collector = createCollector({
    log: {
      append: async (message) => {
        if (log === 'away') throw new RetryableError('the store is away', { retryAfterSeconds: 7 });
        messages.push(message);
      },
      pending: () => ({ messages: 0, bytes: 0 }),
      close: async () => undefined,
    },
    clock: () => NOW_MS,
    project: () => 'default',
    onError: (error) => {
      throw error;
    },
  });
  const normaliser = createNormaliser({ stratumAttributes: [] });
  return {
    counters: collector.counters,
    async request(method: string, path: string, body?: unknown, headers: Record<string, string> = { 'content-type': 'application/json' }): Promise<Answered> {
      messages.length = 0;
      const sent = body === undefined ? null : body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body);
      const response = await collector.app.request(path, { method, headers, body: sent });
      const read = messages.flatMap(({ body: bytes, encoding, signal, received_ms, project }) => {
        const decoded = decode({ signal, encoding, body: bytes });
        if (decoded.signal !== 'logs') throw new Error('no log records');
        return decoded.groups.flatMap(({ resource, scope, records }) => records.map((record) => normaliser.record({ project, received_ms }, resource, scope, record)));
      });
      const text = await response.text();
      return {
        status: response.status,
        body: text === '' ? null : isText(response) ? text : JSON.parse(text),
        scores: read.flatMap((one) => (one.kind === 'score' ? [one.score] : [])),
        ignored: read.flatMap((one) => (one.kind === 'ignored' ? [one.reason] : [])),
        headers: response.headers,
      };
    },
  };
}

function isText({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/plain') === true;
}

/** The body of a real request, byte for byte. */
export function captured(name: string): Buffer {
  return readFileSync(new URL(`captures/${name}`, import.meta.url));
}

export function nanoseconds(iso: string): string {
  return `${Date.parse(iso)}000000`;
}

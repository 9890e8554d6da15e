import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BINARY } from '../built.ts';
import { launch, started, type Exit, type Program } from '../program.ts';

/** Culprit as people run it: the binary, in a process of its own. */
export type ServerProcess = {
  readonly url: string;
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Sends SIGINT and resolves with the exit status. */
  stop(): Promise<Exit>;
  kill(): Promise<Exit>;
};

/** Server processes and directories of one test file, ended and removed together. */
export function createServers(binary = BINARY) {
  const processes: Program[] = [];
  const directories: string[] = [];
  return {
    async directory(): Promise<string> {
      const directory = await mkdtemp(join(tmpdir(), 'culprit-server-'));
      directories.push(directory);
      return directory;
    },
    async start(data: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
      const server = launch([binary, '--data', data, '--port', '0', ...args], { env: { ...process.env, ...env } });
      processes.push(server);
      const { child, output, end } = server;
      const url = await started(server);
      return { url, child, output, stop: () => end('SIGINT'), kill: () => end('SIGKILL') };
    },
    async end(): Promise<void> {
      await Promise.all(processes.splice(0).map(({ end }) => end('SIGKILL')));
      for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
    },
  };
}

export type SentSpan = { readonly trace_id: string; readonly span_id: string; readonly parent_span_id?: string; readonly version?: string };

export const spans = (count: number): SentSpan[] => Array.from({ length: count }, () => ({ trace_id: randomBytes(16).toString('hex'), span_id: randomBytes(8).toString('hex') }));

/** As `allCalls` lists them. */
export const nameOf = ({ trace_id, span_id }: Pick<SentSpan, 'trace_id' | 'span_id'>): string => `${trace_id}/${span_id}`;

/** One OTLP/JSON request with a chat call for each span. */
export function tracesBody(spans: readonly SentSpan[], nowMs: number): string {
  const text = (key: string, value: string) => ({ key, value: { stringValue: value } });
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: [text('service.name', 'shop')] },
        scopeSpans: [
          {
            scope: { name: 'a-library' },
            spans: spans.map(({ trace_id, span_id, parent_span_id, version = 'v1' }) => ({
              traceId: trace_id,
              spanId: span_id,
              ...(parent_span_id === undefined ? {} : { parentSpanId: parent_span_id }),
              name: 'chat gpt-4o',
              kind: 3,
              startTimeUnixNano: `${nowMs - 1_000}000000`,
              endTimeUnixNano: `${nowMs}000000`,
              attributes: [text('gen_ai.operation.name', 'chat'), text('gen_ai.request.model', 'gpt-4o'), text('gen_ai.prompt.name', 'refund'), text('gen_ai.prompt.version', version), text('session.id', trace_id)],
            })),
          },
        ],
      },
    ],
  });
}

export function post(url: string, body: string): Promise<Response> {
  return fetch(`${url}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
}

type CallPage = { calls: { trace_id: string; span_id: string }[]; next_cursor: string | null };

/** Every call that the API knows, by span, over all pages. */
export async function allCalls(url: string): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const response = await fetch(`${url}/v1/calls?limit=1000${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    const page = (await response.json()) as CallPage;
    found.push(...page.calls.map(({ trace_id, span_id }) => `${trace_id}/${span_id}`));
    cursor = page.next_cursor;
  }
  return found;
}

export async function ledgerOf(url: string): Promise<{ received: number; stored: number; duplicate: number; ignored: number; waiting: number; balanced: boolean }> {
  return (await (await fetch(`${url}/v1/ledger`)).json()) as Awaited<ReturnType<typeof ledgerOf>>;
}

import type { LogMessage } from '../schemas/log.ts';
import type { Refusal } from './admission.ts';

/**
 * One kind of request that the collector takes. `server.ts` has the steps, the same for all: admit, read, skim, stamp,
 * append, answer. An intake says how a body becomes a message of the log, and how its senders are answered.
 */
export type Intake = {
  /** Methods that it takes; any other is 405. */
  readonly methods: readonly string[];
  /** What its headers alone decide, where they are wrong. */
  readonly fault: Refusal | null;
  /** Answered 200 and not read, counted as ignored (OTLP metrics). */
  readonly ignored: Answer | null;
  /** Pure. Throws PermanentError where the body cannot be read: nothing of it is appended, and its sender is told. */
  read(body: Buffer, project: string): Taken | Refusal;
  /** A refusal in the words of its senders. `body`, where it was read, may say which words those are. */
  refuse(refusal: Refusal, headers: Readonly<Record<string, string>>, body: Buffer | null): Answer;
};

/**
 * `message`: what is appended before the answer is given; null where nothing was said. `unstorable`: the answer where the log can never store it,
 * so that it is not sent again; absent: 400.
 */
export type Taken = { readonly message: Omit<LogMessage, 'project' | 'received_ms'> | null; readonly answer: Answer; readonly unstorable?: (reason: string) => Answer };

export type Answer = { readonly status: number; readonly headers: Record<string, string>; readonly body: Uint8Array };

export type ReadHeader = (name: string) => string | undefined;

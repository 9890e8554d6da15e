import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { decode } from '../collector/otlp/decode.ts';
import { jsonToProtobuf } from '../collector/otlp/json-to-protobuf.ts';
import { release } from '../collector/release.ts';
import { PermanentError } from '../schemas/errors.ts';
import { handOver, type LogMessage } from '../schemas/log.ts';
import type { Decoded } from '../schemas/otlp.ts';

/**
 * Recorded telemetry: files of the OTLP File Exporter, one ExportTraceServiceRequest or ExportLogsServiceRequest as
 * OTLP/JSON on each line; `.gz` is unpacked.
 *
 * The arrival clock of a recording is the running maximum over its lines of the greatest end or record time in the line.
 */
export type Recording = {
  /** Requests in order. Throws PermanentError naming file and line where a line is none. */
  requests(): AsyncGenerator<RecordedRequest>;
  /** Requests as messages, each read at once. Throws as both do. */
  messages(): AsyncGenerator<LogMessage>;
  /** Bytes read so far, of all files. */
  progress(): { readonly read: number; readonly total: number };
};

/** A request that waits for its turn as bytes, since what it is read into is ten times as large. */
export type RecordedRequest = {
  readonly bytes: number;
  /** To be called once, in the order of requests, which moves the arrival clock. Throws PermanentError naming file and line. */
  read(): LogMessage;
};

const MAX_LINE_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;
const WHITE_SPACE = new Set([0x09, 0x0d, 0x20]);

export async function openRecording(paths: readonly string[], project: string): Promise<Recording> {
  let total = 0;
  for (const path of paths) {
    const found = await stat(path).catch((cause: unknown) => {
      throw new PermanentError(`${path}: no such file; give OTLP File Exporter recordings (.jsonl or .jsonl.gz)`, { cause });
    });
    if (!found.isFile()) throw new PermanentError(`${path}: is not a file; give OTLP File Exporter recordings (.jsonl or .jsonl.gz)`);
    total += found.size;
  }
  let read = 0;
  let clockMs = 0;

  /** Lines as bytes, each until the next is asked for: they go to the decoder as they are, and a text made in between would be made for nothing. */
  async function* lines(path: string): AsyncGenerator<{ body: Buffer; number: number }> {
    const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
    file.on('data', (chunk) => (read += chunk.length));
    const unpacked = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
    if (unpacked !== file) file.on('error', (error) => unpacked.destroy(error));
    let number = 0;
    let begun: Buffer[] = [];
    let begunBytes = 0;
    const finish = (end: Buffer): Buffer => {
      number += 1;
      const line = begun.length === 0 ? end : Buffer.concat([...begun, end]);
      begun = [];
      begunBytes = 0;
      return line;
    };
    try {
      for await (const chunk of unpacked) {
        // Without an encoding a stream gives buffers.
        const bytes = chunk as Buffer;
        let from = 0;
        for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
          const body = finish(bytes.subarray(from, end));
          from = end + 1;
          if (!isBlank(body)) yield { body, number };
        }
        begun.push(Buffer.from(bytes.subarray(from)));
        begunBytes += bytes.length - from;
        // All of it was given out, and is copied or done with by whoever asks for the next line. What gunzip gives may be its own.
        if (unpacked === file) release(bytes);
        if (begunBytes > MAX_LINE_BYTES) throw new PermanentError(`${path}, line ${number + 1}: is longer than 64 MiB`);
      }
      const last = finish(Buffer.alloc(0));
      if (!isBlank(last)) yield { body: last, number };
    } catch (error) {
      if (error instanceof PermanentError) throw error;
      throw new PermanentError(`${path}, after line ${number}: cannot be read (${error instanceof Error ? error.message : String(error)})`, { cause: error });
    }
  }

  /** By way of protobuf, which takes a quarter less. What is odd is left to the decoder of JSON, which has words for it. */
  const requestIn = ({ body, number }: { body: Buffer; number: number }, path: string): RecordedRequest | null => {
    const signal = body.includes('"resourceSpans"') ? 'traces' : body.includes('"resourceLogs"') ? 'logs' : null;
    // The exporter writes metrics to the same file where it is told to.
    if (signal === null && body.includes('"resourceMetrics"')) return null;
    if (signal === null) throw new PermanentError(`${path}, line ${number}: is no OTLP/JSON export request (no resourceSpans, no resourceLogs)`);
    const protobuf = jsonToProtobuf({ signal, body });
    const request = protobuf === null ? ({ signal, encoding: 'json', body: Buffer.from(body) } as const) : ({ signal, encoding: 'protobuf', body: protobuf } as const);
    return {
      bytes: request.body.byteLength,
      read() {
        try {
          const decoded = decode(request);
          clockMs = Math.max(clockMs, newestMs(decoded));
          return { ...request, project, received_ms: clockMs, decoded: handOver(decoded) };
        } catch (error) {
          if (error instanceof PermanentError) throw new PermanentError(`${path}, line ${number}: ${error.message}`, { cause: error });
          throw error;
        }
      },
    };
  };

  async function* requests(): AsyncGenerator<RecordedRequest> {
    for (const path of paths) {
      for await (const line of lines(path)) {
        const request = requestIn(line, path);
        if (request !== null) yield request;
      }
    }
  }

  return {
    requests,
    async *messages() {
      for await (const request of requests()) yield request.read();
    },
    progress: () => ({ read, total }),
  };
}

function newestMs(decoded: Decoded): number {
  let newest = 0n;
  if (decoded.signal === 'traces') {
    for (const { spans } of decoded.groups) for (const span of spans) if (span.end_ns > newest) newest = span.end_ns;
  } else {
    for (const { records } of decoded.groups) {
      for (const record of records) {
        const time = record.time_ns > 0n ? record.time_ns : record.observed_time_ns;
        if (time > newest) newest = time;
      }
    }
  }
  return Math.ceil(Number(newest / 1_000n) / 1_000);
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => WHITE_SPACE.has(byte));
}

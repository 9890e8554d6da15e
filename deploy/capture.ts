import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { decode } from '../collector/otlp/decode.ts';
import { readTraces } from '../collector/otlp/protobuf-traces.ts';
import { PermanentError } from '../schemas/errors.ts';
import type { Decoded } from '../schemas/otlp.ts';

/**
 * Telemetry as somebody captured it: request bodies as they were sent (protobuf, JSON), files of the OTLP File Exporter (JSON
 * lines, or protobuf messages with their length before each), any of them packed with gzip. What a file is, its content says.
 */
export type Capture = {
  readonly requests: readonly Decoded[];
  /** Requests with metrics, which are passed over: there are no calls in them. */
  readonly metrics: number;
  /** What could not be read behind the requests that could; null where that was all. */
  readonly problem: string | null;
};

/** Of all files of one run, unpacked: what is inspected is held in memory. */
const MAX_BYTES = 256 * 1024 * 1024;

/** The files behind the names that were given, in order: a folder stands for every file in it, sorted; `-` for standard input. */
export async function filesOf(names: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const name of names) {
    const found = name === '-' ? null : await stat(name).catch(() => null);
    if (found?.isDirectory() !== true) {
      files.push(name);
      continue;
    }
    const entries = await readdir(name, { recursive: true, withFileTypes: true });
    files.push(...entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort());
  }
  return files;
}

/** Reads files one by one, within one bound for all of them. */
export function createCaptureReader(standardInput: AsyncIterable<Buffer>): { read(file: string): Promise<Capture> } {
  let left = MAX_BYTES;
  return {
    /** Throws PermanentError where the file cannot be read, or is no OTLP. */
    async read(file) {
      const packed = await bytesOf(file === '-' ? standardInput : createReadStream(file), left);
      const body = unpacked(packed, left);
      left -= body.length;
      return requestsIn(body);
    },
  };
}

async function bytesOf(chunks: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const read: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > limit) throw tooMuch();
      read.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof PermanentError) throw cause;
    throw new PermanentError(`cannot be read (${reasonOf(cause)})`, { cause });
  }
  return Buffer.concat(read);
}

const tooMuch = (): PermanentError => new PermanentError(`goes past the ${MAX_BYTES / 2 ** 20} MiB (unpacked) that one run holds; inspect fewer files at a time`);

function unpacked(body: Buffer, limit: number): Buffer {
  if (body[0] !== 0x1f || body[1] !== 0x8b) return body;
  try {
    return gunzipSync(body, { maxOutputLength: Math.max(1, limit) });
  } catch (cause) {
    if (cause instanceof RangeError) throw tooMuch();
    throw new PermanentError(`is broken gzip (${reasonOf(cause)})`, { cause });
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function requestsIn(body: Buffer): Capture {
  if (body.length === 0) throw new PermanentError('is empty');
  const first = body.subarray(0, 1024).toString('latin1').replace(/^\u00ef\u00bb\u00bf/, '').trimStart()[0];
  if (first === '{') return jsonIn(body);
  // No protobuf message begins with a zero byte: it is the length that the File Exporter writes before each.
  return gathered(body[0] === 0 ? framesIn(body) : [body], readProtobuf);
}

const NOT_OTLP = 'is no OTLP export request of traces or logs';

/** One document, on however many lines, or one on each line. */
function jsonIn(body: Buffer): Capture {
  const lines = linesOf(body);
  const isDocument = lines.length > 1 && !isJson(lines[0] ?? body);
  return gathered(isDocument ? [body] : lines, readJson);
}

function linesOf(body: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let from = 0; from < body.length; ) {
    const end = body.indexOf(0x0a, from);
    const line = body.subarray(from, end < 0 ? body.length : end);
    if (line.some((byte) => byte > 0x20)) lines.push(line);
    from = end < 0 ? body.length : end + 1;
  }
  return lines;
}

function isJson(line: Buffer): boolean {
  try {
    JSON.parse(line.toString('utf8').replace(/^\ufeff/, ''));
    return true;
  } catch {
    return false;
  }
}

function readJson(body: Buffer): Decoded | 'metrics' {
  if (body.includes('"resourceSpans"')) return decode({ signal: 'traces', encoding: 'json', body });
  if (body.includes('"resourceLogs"')) return decode({ signal: 'logs', encoding: 'json', body });
  if (body.includes('"resourceMetrics"')) return 'metrics';
  throw new PermanentError(NOT_OTLP);
}

function framesIn(body: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const length = at + 4 <= body.length ? body.readUInt32BE(at) : -1;
    // A last one that was cut off is no message any more, and read as none.
    if (length !== 0) frames.push(body.subarray(at + 4, length < 0 ? body.length : at + 4 + length));
    at = length < 0 ? body.length : at + 4 + length;
  }
  return frames;
}

/**
 * The three signals have the same outline on the wire, and fields of the same numbers: that spans have ids, log records a
 * time and metrics a name where spans have their trace id tells them apart.
 */
function readProtobuf(body: Buffer): Decoded | 'metrics' {
  const traces = attempt(body, 'traces');
  if (traces !== null && traces.groups.length > 0) return traces;
  const logs = attempt(body, 'logs');
  if (logs !== null && logs.groups.length > 0) return logs;
  if (traces === null || traces.received === 0) throw new PermanentError(NOT_OTLP);
  const names = readTraces(body).flatMap(({ spans }) => spans.map(({ trace_id }) => Buffer.from(trace_id, 'hex').toString('latin1')));
  return names.every((name) => /^[\w./-]+$/.test(name)) ? 'metrics' : traces;
}

function attempt(body: Buffer, signal: 'traces' | 'logs'): Decoded | null {
  try {
    return decode({ signal, encoding: 'protobuf', body });
  } catch (error) {
    if (error instanceof PermanentError) return null;
    throw error;
  }
}

/** A capture that was cut off, or whose writer is still at it, is worth what it holds. Throws where its very first part is none. */
function gathered(parts: readonly Buffer[], read: (part: Buffer) => Decoded | 'metrics'): Capture {
  const requests: Decoded[] = [];
  let metrics = 0;
  for (const [index, part] of parts.entries()) {
    try {
      const decoded = read(part);
      if (decoded === 'metrics') metrics += 1;
      else requests.push(decoded);
    } catch (error) {
      if (!(error instanceof PermanentError) || index === 0) throw error;
      return { requests, metrics, problem: `request ${index + 1} and what follows: ${error.message}` };
    }
  }
  return { requests, metrics, problem: null };
}

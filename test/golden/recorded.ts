import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { decode } from '../../collector/otlp/decode.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { ResourceSpans } from '../../schemas/otlp.ts';

/**
 * What real SDKs exported while they were run against a model server that wrote down what it had answered: streams, tools, failures, retries, embeddings, agents
 * in agents. All requests of one run are one file; stack traces and what tells of the machine are cut out. `calls` has one entry for each inference of
 * which a span is on the wire, with what the server knows of it where the wire says it at all.
 */
export type RecordedCall = Pick<LlmCall, 'span_id' | 'is_error' | 'provider' | 'operation' | 'prompt_name' | 'prompt_version' | 'session_id'> &
  Partial<Pick<LlmCall, 'request_model' | 'response_model' | 'response_id' | 'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'cache_write_tokens' | 'reasoning_tokens' | 'finish_reason' | 'is_stream'>> & { readonly has_ttft: boolean };

/** `requests`: those that the server saw, without `retried`, which it refused for the client to ask again. */
export type Recording = { readonly versions: string; readonly requests: number; readonly retried: number; readonly calls: readonly RecordedCall[] };

const folder = fileURLToPath(new URL('recorded/', import.meta.url));

export const RECORDED: readonly string[] = readdirSync(folder).flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -'.json'.length)] : [])).sort();

export function readRecording(name: string): Recording & { readonly groups: readonly ResourceSpans[] } {
  // Written by us, beside the bytes.
  const recording = JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as Recording;
  const decoded = decode({ signal: 'traces', encoding: 'protobuf', body: gunzipSync(readFileSync(`${folder}${name}.bin.gz`)) });
  return { ...recording, groups: decoded.signal === 'traces' ? decoded.groups : [] };
}

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { decode } from '../../collector/otlp/decode.ts';
import type { LlmCall } from '../../schemas/call.ts';
import type { ResourceLogs, ResourceSpans } from '../../schemas/otlp.ts';

/**
 * What coding agents exported, spans and log events, while they were run against a model server that wrote down what it had answered: an answer, a tool, a failure, a refusal that they
 * repeat. All requests of one kind are one file; message contents and what tells of the machine are cut out. `calls` has what the server knows of each inference of which something is on the wire, in the
 * order of its requests.
 */
export type AgentCall = Pick<LlmCall, 'request_model' | 'response_model' | 'input_tokens' | 'output_tokens' | 'cache_read_tokens' | 'reasoning_tokens' | 'is_error'> & { readonly cache_write_tokens?: number | null };
export type AgentRecording = {
  readonly versions: string;
  /** Null: none was given. */
  readonly prompt: Pick<LlmCall, 'prompt_name' | 'prompt_version'> | null;
  readonly calls: readonly AgentCall[];
};

const folder = fileURLToPath(new URL('agents/', import.meta.url));

export const AGENTS: readonly string[] = readdirSync(folder).flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -'.json'.length)] : [])).sort();

export function readAgent(name: string): AgentRecording & { readonly spans: readonly ResourceSpans[]; readonly records: readonly ResourceLogs[] } {
  // Written by us, beside the bytes.
  const recording = JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as AgentRecording;
  const bodyOf = (signal: string): Uint8Array | null => {
    const file = `${folder}${name}.${signal}.json.gz`;
    return existsSync(file) ? gunzipSync(readFileSync(file)) : null;
  };
  const [traces, logs] = [bodyOf('traces'), bodyOf('logs')];
  const spans = traces === null ? null : decode({ signal: 'traces', encoding: 'json', body: traces });
  const records = logs === null ? null : decode({ signal: 'logs', encoding: 'json', body: logs });
  return { ...recording, spans: spans?.signal === 'traces' ? spans.groups : [], records: records?.signal === 'logs' ? records.groups : [] };
}

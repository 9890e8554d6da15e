/**
 * The key in a request, wherever the SDKs put theirs: `Authorization: Bearer` (Traceloop, Phoenix, OpenTelemetry, …) or `Basic`, whose password
 * is the key (Langfuse: public and secret key), `x-api-key` (LangSmith, PromptLayer, Humanloop), `api_key` and `api-key` (Phoenix, OpenInference).
 * Never in the address: addresses stand in logs and histories.
 */
export type Presented =
  | { readonly kind: 'none' }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'unreadable'; readonly why: string };

type ReadHeader = (name: string) => string | undefined;

const PLAIN_HEADERS = ['x-api-key', 'api_key', 'api-key'] as const;
/** Longer ones are no keys of ours, and are not hashed. */
const MAX_LENGTH = 512;
const NONE: Presented = { kind: 'none' };

/** Two different keys in one request are refused: whoever reads the other one would see another caller. */
export function presentedKey(header: ReadHeader): Presented {
  let found: string | null = null;
  const authorization = header('authorization');
  if (authorization !== undefined) {
    const read = fromAuthorization(authorization);
    if (read === null) return { kind: 'unreadable', why: 'Authorization holds neither "Bearer KEY" nor "Basic" with the key as its password' };
    found = read;
  }
  for (const name of PLAIN_HEADERS) {
    const value = header(name)?.trim();
    if (value === undefined || value === '') continue;
    if (found !== null && found !== value) return { kind: 'unreadable', why: 'the headers hold two different keys' };
    found = value;
  }
  if (found === null || found === '') return NONE;
  if (found.length > MAX_LENGTH) return { kind: 'unreadable', why: 'what stands for the key is too long' };
  return { kind: 'key', key: found };
}

function fromAuthorization(value: string): string | null {
  const at = value.indexOf(' ');
  const scheme = value.slice(0, at).toLowerCase();
  const rest = value.slice(at + 1).trim();
  if (at < 0 || rest.length > 2 * MAX_LENGTH) return null;
  if (scheme === 'bearer') return rest;
  if (scheme !== 'basic' || !/^[A-Za-z0-9+/_-]+=*$/.test(rest)) return null;
  const pair = Buffer.from(rest, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  if (colon < 0) return null;
  // `curl -u KEY:` has the key for a name and no password.
  return pair.slice(colon + 1) || pair.slice(0, colon);
}

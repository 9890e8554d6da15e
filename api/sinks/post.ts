import { lookup } from 'node:dns/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import type { Clock } from '../../schemas/clock.ts';
import type { HttpRequest, SinkRequest, SinkResponse } from './index.ts';
import { sendMail } from './mail.ts';

/** An answer, or why there is none. */
export type PostResult = ({ kind: 'answered' } & SinkResponse) | { kind: 'unanswered'; reason: string };
export type Post = (request: SinkRequest, limits: { timeoutMs: number }) => Promise<PostResult>;

export type Address = { address: string; family: number };
/** All addresses of a host name. */
export type Resolve = (hostname: string) => Promise<readonly Address[]>;

const LONGEST_RETRY_AFTER_MS = 24 * 3_600_000;
const LONGEST_ANSWER_BYTES = 65_536;

/**
 * Sends one request, or one mail, to an address that a user configured, without letting it reach what only this machine can reach.
 *
 * The name is resolved once, every address is checked, and the connection goes to the addresses that were checked: a name that
 * answers differently the second time (DNS rebinding) is never asked a second time. Redirects are not followed. The
 * answer's body is read away up to 64 KiB and not kept, unless the request asks for it. `timeoutMs` covers all of it.
 */
export function createPost({ clock, resolve = (hostname) => lookup(hostname, { all: true }) }: { clock: Clock; resolve?: Resolve }, settings: { allowPrivateAddresses: boolean }): Post {
  return async (request, { timeoutMs }) => {
    const target = new URL(request.url);
    // WHATWG URLs have 2130706433, 0x7f.1 and the like as 127.0.0.1 already; those of smtp have them as they are written.
    const hostname = target.hostname.replace(/^\[|\]$/g, '');
    const deadline = AbortSignal.timeout(timeoutMs);
    const silence = `no answer in ${timeoutMs / 1000} s`;
    let addresses: readonly Address[];
    try {
      addresses = isIP(hostname) > 0 ? [{ address: hostname, family: isIP(hostname) }] : await beforeDeadline(resolve(hostname), deadline);
    } catch (error) {
      return { kind: 'unanswered', reason: deadline.aborted ? silence : `host name not resolved (${codeOf(error)})` };
    }
    const [first] = addresses;
    if (first === undefined) return { kind: 'unanswered', reason: 'host name not resolved (no address)' };
    if (!settings.allowPrivateAddresses && !addresses.every(({ address }) => isPublicAddress(address))) {
      return { kind: 'unanswered', reason: 'refused: private address; set allow_private_addresses if this is meant' };
    }
    try {
      if ('mail' in request) return { kind: 'answered', retryAfterMs: 0, status: await sendMail(request, { hostname, address: first, deadline }) };
      return { kind: 'answered', ...(await sendHttp(request, { target, addresses, deadline, clock })) };
    } catch (error) {
      return { kind: 'unanswered', reason: deadline.aborted ? silence : reasonOf(error) };
    }
  };
}

function sendHttp({ headers, body, method = 'POST', keepBytes = 0 }: HttpRequest, { target, addresses, deadline, clock }: { target: URL; addresses: readonly Address[]; deadline: AbortSignal; clock: Clock }): Promise<SinkResponse> {
  return new Promise((settle, reject) => {
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
    const outgoing = send(target, { method, headers: { ...headers, ...(method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) }) }, agent: false, lookup: pinned(addresses), signal: deadline });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const answer: SinkResponse = { status: response.statusCode ?? 0, retryAfterMs: retryAfterMs(response.headers['retry-after'], clock()) };
      let read = 0;
      const kept: Buffer[] = [];
      response.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read <= keepBytes) kept.push(chunk);
        if (read > Math.max(LONGEST_ANSWER_BYTES, keepBytes)) response.destroy();
      });
      // The status is the answer, even where the body breaks off or takes too long.
      const finish = (): void => settle(keepBytes === 0 ? answer : { ...answer, body: Buffer.concat(kept).toString('utf8') });
      response.on('error', finish);
      response.on('close', finish);
    });
    outgoing.end(method === 'GET' ? undefined : body);
  });
}

function beforeDeadline<Value>(promise: Promise<Value>, deadline: AbortSignal): Promise<Value> {
  return Promise.race([promise, new Promise<never>((_, reject) => deadline.addEventListener('abort', () => reject(new Error('deadline')), { once: true }))]);
}

function pinned(addresses: readonly Address[]): LookupFunction {
  return (_hostname, options, callback) => {
    const first = addresses[0];
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  };
}

/** What the commonest codes mean to whoever configured the address. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens at this port',
  ECONNRESET: 'the connection was cut',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETLS: 'the mail server offers no TLS; "tls: optional" sends without',
  EAUTH: 'the mail server does not take the login',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is of nobody who is known',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
};

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  return REASONS[code] === undefined ? code : `${REASONS[code]} (${code})`;
}

/** ECONNREFUSED and the like. Messages may hold the address with what stands in its path, so they are not repeated. */
function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'request failed';
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3), at most a day. 0 where absent or unreadable. */
function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0;
  const waitMs = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), LONGEST_RETRY_AFTER_MS) : 0;
}

/** IANA special-purpose address registries: what is not globally reachable, and what carries another address inside. */
const closedIPv4 = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.0.0.0', 24], ['192.0.2.0', 24],
  ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
] as const) closedIPv4.addSubnet(network, prefix, 'ipv4');

/** Only 2000::/3 is global unicast; so loopback, link-local, unique local, IPv4-mapped and NAT64 are closed without being named. */
const openIPv6 = new BlockList();
openIPv6.addSubnet('2000::', 3, 'ipv6');
const closedIPv6 = new BlockList();
for (const [network, prefix] of [['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20]] as const) closedIPv6.addSubnet(network, prefix, 'ipv6');

export function isPublicAddress(address: string): boolean {
  const bare = address.split('%')[0] ?? '';
  if (isIPv6(bare)) return openIPv6.check(bare, 'ipv6') && !closedIPv6.check(bare, 'ipv6');
  return isIP(bare) === 4 && !closedIPv4.check(bare, 'ipv4');
}

import { parse, serialize } from 'hono/utils/cookie';
import { grants, type AccessSettings, type Scope } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import { createAddresses } from './address.ts';
import { createAudit, type Audit } from './audit.ts';
import type { Identity } from './identity.ts';
import { createKeys, type Key, type Keys } from './keys.ts';
import { isFromElsewhere } from './origin.ts';
import { createPeople, type People } from './people.ts';
import { presentedKey } from './presented.ts';
import { createRecords } from './records.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createThrottle, type Throttle } from './throttle.ts';

/**
 * Who asks, and whether they may. The same for all that comes in: the collector asks `ingest`, the gate before the API `identify`.
 *
 * Open is a server on loopback for which nobody ever made a key or named a person: whoever is on this machine may do everything. The
 * first key closes it, at once and for good: revoking the last key must not open it again.
 */
export type AccessConfiguration = {
  readonly section: AccessSettings;
  /** Of what arrives while the server is open, and where a person with every project begins. */
  readonly project: string;
  readonly isLoopback: boolean;
  /** Cookies go over https only. */
  readonly isHttps: boolean;
};

type ReadHeader = (name: string) => string | undefined;

export type Refused = { readonly status: 401 | 403; readonly reason: 'no_key' | 'unknown_key' | 'unreadable_key' | 'scope' | 'forwarded' | 'cross_origin'; readonly message: string };

export type Identified = {
  readonly identity: Identity;
  /** cookie and open are what a browser sends without being asked. */
  readonly by: 'key' | 'cookie' | 'open';
  /** Asked again of what lives long: false once the key or login ended. */
  readonly isStillValid: () => boolean;
};

export type Access = {
  readonly keys: Keys;
  readonly people: People;
  readonly sessions: Sessions;
  readonly audit: Audit;
  /** Failed attempts to prove who one is, at the login and where a password is changed. */
  readonly attempts: Throttle;
  readonly configuration: AccessConfiguration;
  readonly cookieName: string;
  /** Reads everything there is. */
  start(): Promise<void>;
  /** Reads what other processes changed, and writes down which keys were used. */
  refresh(): Promise<void>;
  isOpen(): boolean;
  /** Whether anybody at all could get in. */
  hasAnyone(): boolean;
  /** The project that telemetry belongs to, or why it is refused. */
  ingest(header: ReadHeader): string | Refused;
  identify(header: ReadHeader, peer: string | undefined): Identified | Refused;
  /** Where a request comes from (address.ts). */
  addressOf(header: ReadHeader, peer: string | undefined): string;
  /** The secret of the login that a request carries, if any. */
  cookieOf(header: ReadHeader): string | null;
  /** The header that has a browser keep the secret of a login. */
  cookieWith(secret: string): string;
};

const HOW = 'send an API key as "Authorization: Bearer KEY" or "x-api-key: KEY"; `culprit keys create` makes one';
const EVERYTHING: readonly Scope[] = ['admin'];

export function createAccess(deps: { readonly store: Store; readonly clock: Clock; readonly warn: (message: string) => void }, configuration: AccessConfiguration): Access {
  const { section, project, isLoopback, isHttps } = configuration;
  const records = createRecords(deps);
  const keys = createKeys({ ...deps, records }, section.keys);
  const people = createPeople({ ...deps, records });
  const sessions = createSessions({ ...deps, records, keys, people }, { sessionMs: section.session_hours * 3_600_000 });
  const addresses = createAddresses(section.trusted_proxies);
  const addressOf = (header: ReadHeader, peer: string | undefined): string => addresses(peer, header('x-forwarded-for'));
  // The prefix makes browsers refuse the cookie from any other host or path, and over plain http.
  const cookieName = isHttps ? '__Host-culprit_session' : 'culprit_session';

  const isOpen = (): boolean => isLoopback && section.keys.length === 0 && section.oidc === undefined && !records.everHad('key') && !records.everHad('person');

  function whyClosed(header: ReadHeader): Refused | null {
    const isForwarded = header('forwarded') !== undefined || header('x-forwarded-for') !== undefined || header('x-forwarded-host') !== undefined;
    if (isForwarded) return { status: 401, reason: 'forwarded', message: 'this came through a proxy, so from another machine, and only this machine needs no key: make one with `culprit keys create`' };
    return null;
  }

  function keyIn(header: ReadHeader): { key: Key; secret: string } | Refused | null {
    const presented = presentedKey(header);
    if (presented.kind === 'none') return null;
    if (presented.kind === 'unreadable') return { status: 401, reason: 'unreadable_key', message: `${presented.why}; ${HOW}` };
    const key = keys.holder(presented.key);
    if (key === null) return { status: 401, reason: 'unknown_key', message: 'this API key is not known here, or expired or was revoked; `culprit keys list` shows those that are valid' };
    return { key, secret: presented.key };
  }

  function cookieOf(header: ReadHeader): string | null {
    const cookies = header('cookie');
    if (cookies === undefined || cookies.length > 16_384) return null;
    const secret = parse(cookies, cookieName)[cookieName];
    return secret === undefined || secret === '' || secret.length > 128 ? null : secret;
  }

  return {
    keys,
    people,
    sessions,
    audit: createAudit(deps),
    attempts: createThrottle(deps.clock, { free: 5 }),
    configuration,
    cookieName,
    async start() {
      await records.refresh();
      await keys.readUses();
    },
    async refresh() {
      await records.refresh();
      await keys.flushUses();
    },
    isOpen,
    hasAnyone: () => section.oidc !== undefined || people.list().length > 0 || keys.list().some(({ state }) => state === 'active'),
    ingest(header) {
      if (isOpen()) {
        if (isFromElsewhere(header)) return { status: 403, reason: 'cross_origin', message: 'a page of another origin may not send telemetry here' };
        return whyClosed(header) ?? project;
      }
      const found = keyIn(header);
      if (found === null) return { status: 401, reason: 'no_key', message: `no API key: ${HOW}` };
      if ('status' in found) return found;
      if (!grants(found.key.scopes, 'ingest')) return { status: 403, reason: 'scope', message: `the key ${found.key.name} has the scopes ${found.key.scopes.join(', ')}, and sending telemetry needs ingest; make a key that has it` };
      return found.key.project;
    },
    identify(header, peer) {
      const address = addressOf(header, peer);
      if (isOpen()) {
        const refusal = whyClosed(header);
        if (refusal !== null) return refusal;
        return { identity: { kind: 'anyone', id: '', name: '', project, scopes: EVERYTHING, seesEveryProject: false, hasPassword: false, address }, by: 'open', isStillValid: isOpen };
      }
      const found = keyIn(header);
      if (found !== null) {
        if ('status' in found) return found;
        const { key, secret } = found;
        const identity: Identity = { kind: 'key', id: key.id, name: key.name, project: key.project, scopes: key.scopes, seesEveryProject: false, hasPassword: false, address };
        return { identity, by: 'key', isStillValid: () => keys.holder(secret) !== null };
      }
      const secret = cookieOf(header);
      const identity = secret === null ? null : sessions.holder(secret, address);
      if (secret === null || identity === null) return { status: 401, reason: 'no_key', message: `${secret === null ? 'no API key and no login' : 'the login is over'}: log in at /login, or ${HOW}` };
      return { identity, by: 'cookie', isStillValid: () => sessions.holder(secret, address)?.project === identity.project };
    },
    addressOf,
    cookieOf,
    cookieWith: (secret) => serialize(cookieName, secret, { httpOnly: true, sameSite: 'Lax', secure: isHttps, path: '/', maxAge: Math.floor(section.session_hours * 3600) }),
  };
}

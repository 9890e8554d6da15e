import * as client from 'openid-client';
import { z } from 'zod';
import type { OidcSettings, Role } from '../../schemas/access.ts';
import { ProblemError } from '../problem.ts';

/**
 * Log in at an OpenID provider: authorization code flow with PKCE, state and nonce, by openid-client, which checks signatures,
 * issuer, audience and times. What is needed when the browser comes back waits in a cookie of its own: it binds the answer to the browser
 * that asked, and any process can go on with it.
 */
export type Oidc = {
  /** Throws ProblemError 503 where the provider does not answer. */
  begin(next: string): Promise<{ readonly url: string; readonly cookie: string }>;
  /** @param search the query of the callback, as it came. */
  finish(search: string, cookie: string): Promise<Finished>;
};

export type Finished =
  | { readonly kind: 'person'; readonly id: string; readonly name: string; readonly role: Role; readonly project: string; readonly next: string }
  /** `id` and `name` are empty where the provider vouched for nobody. */
  | { readonly kind: 'refused'; readonly why: string; readonly id: string; readonly name: string };

const Waiting = z.object({ state: z.string(), nonce: z.string(), verifier: z.string(), next: z.string() });
const TIMEOUT_S = 10;

export function createOidc(settings: OidcSettings, { publicUrl }: { readonly publicUrl: () => string }): Oidc {
  let discovered: Promise<client.Configuration> | null = null;
  const redirectUri = (): string => `${publicUrl()}/login/callback`;

  /** Asked for at the first login, and again after a failure, so that a provider that is away does not keep Culprit from starting. */
  function provider(): Promise<client.Configuration> {
    discovered ??= client
      .discovery(new URL(settings.issuer), settings.client_id, undefined, settings.client_secret === undefined ? client.None() : client.ClientSecretBasic(settings.client_secret), {
        timeout: TIMEOUT_S,
        // The configuration takes plain http for loopback only.
        execute: settings.issuer.startsWith('http:') ? [client.allowInsecureRequests] : [],
      })
      .catch((cause: unknown) => {
        discovered = null;
        throw new ProblemError(503, `The OpenID provider ${new URL(settings.issuer).host} does not answer as one (${cause instanceof Error ? cause.message : 'unknown error'}); try again, or log in otherwise.`);
      });
    return discovered;
  }

  return {
    async begin(next) {
      const waiting: z.infer<typeof Waiting> = { state: client.randomState(), nonce: client.randomNonce(), verifier: client.randomPKCECodeVerifier(), next };
      const url = client.buildAuthorizationUrl(await provider(), {
        redirect_uri: redirectUri(),
        scope: settings.scope,
        state: waiting.state,
        nonce: waiting.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(waiting.verifier),
        code_challenge_method: 'S256',
      });
      return { url: url.href, cookie: Buffer.from(JSON.stringify(waiting)).toString('base64url') };
    },

    async finish(search, cookie) {
      const waiting = readWaiting(cookie);
      if (waiting === null) return { kind: 'refused', why: 'this browser did not ask to log in, or waited too long; try again', id: '', name: '' };
      const configuration = await provider();
      let claims: Record<string, unknown>;
      try {
        const tokens = await client.authorizationCodeGrant(configuration, new URL(redirectUri() + search), {
          expectedState: waiting.state,
          expectedNonce: waiting.nonce,
          pkceCodeVerifier: waiting.verifier,
          idTokenExpected: true,
        });
        const identity = tokens.claims();
        if (identity === undefined) return { kind: 'refused', why: 'the provider sent no identity', id: '', name: '' };
        const isWhole = identity[settings.role_claim] !== undefined && identity[settings.name_claim] !== undefined;
        const more = isWhole || configuration.serverMetadata().userinfo_endpoint === undefined ? {} : await client.fetchUserInfo(configuration, tokens.access_token, identity.sub);
        // What is signed wins over what was asked for afterwards.
        claims = { ...more, ...identity };
      } catch (error) {
        return { kind: 'refused', why: `the provider's answer is not valid (${reasonOf(error)}); try again`, id: '', name: '' };
      }
      const subject = String(claims['sub']);
      const id = `oidc:${subject}`.slice(0, 256);
      const name = nameOf(claims, settings.name_claim) ?? subject.slice(0, 128);
      const values = valuesOf(claims[settings.role_claim]);
      const rule = settings.roles.find(({ claim }) => values.has(claim));
      if (rule === undefined) return { kind: 'refused', why: `nothing in "${settings.role_claim}" has a role here; whoever runs Culprit can give one (access.oidc.roles)`, id, name };
      return { kind: 'person', id, name, role: rule.role, project: rule.project, next: waiting.next };
    },
  };
}

function readWaiting(cookie: string): z.infer<typeof Waiting> | null {
  try {
    return Waiting.parse(JSON.parse(Buffer.from(cookie, 'base64url').toString('utf8')));
  } catch {
    return null;
  }
}

/** Null where the claim is no name, or an address that the provider has not verified: anybody could have claimed it. */
function nameOf(claims: Readonly<Record<string, unknown>>, claim: string): string | null {
  const value = claims[claim];
  if (typeof value !== 'string' || (claim === 'email' && claims['email_verified'] === false)) return null;
  const name = value.replaceAll(/[\p{C}<>]/gu, '').trim().slice(0, 128);
  return name === '' ? null : name;
}

function valuesOf(claim: unknown): ReadonlySet<unknown> {
  return new Set(Array.isArray(claim) ? claim : [claim]);
}

/** The code of an OAuth error, which is public; never what was sent. */
function reasonOf(error: unknown): string {
  if (error instanceof client.ResponseBodyError || error instanceof client.AuthorizationResponseError) return error.error.slice(0, 100);
  return error instanceof Error && 'code' in error ? String(error.code).slice(0, 100) : 'unknown error';
}

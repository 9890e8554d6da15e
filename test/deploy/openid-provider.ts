import { once } from 'node:events';
import type { Server } from 'node:http';
import { Provider } from 'oidc-provider';
import { freePort } from '../ports.ts';

/** A real OpenID provider on loopback, whose people are those given here; anybody may be logged in as, without a password. */
export type OpenidProvider = { readonly issuer: string; close(): Promise<void> };

export async function startOpenidProvider(settings: { readonly redirectUri: string; readonly secret: string; readonly people: Readonly<Record<string, Record<string, unknown>>> }): Promise<OpenidProvider> {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'culprit', client_secret: settings.secret, redirect_uris: [settings.redirectUri], grant_types: ['authorization_code'], response_types: ['code'] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    findAccount: (_context, id) => (settings.people[id] === undefined ? undefined : { accountId: id, claims: () => ({ sub: id, ...settings.people[id] }) }),
    pkce: { required: () => true },
    cookies: { keys: ['only for this test'] },
    // Consent is given by itself; only who one is has to be said.
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({ clientId: 'culprit', accountId: context.oidc.session?.accountId });
      grant.addOIDCScope('openid email profile groups');
      await grant.save();
      return grant;
    },
  });
  const server: Server = provider.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    issuer,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A browser without a window: keeps cookies for each host, follows redirects, and fills in the provider's form. Stops where `until` says. */
export function createVisitor() {
  const jars = new Map<string, Map<string, string>>();
  const jarOf = (url: URL): Map<string, string> => {
    const jar = jars.get(url.host) ?? new Map<string, string>();
    jars.set(url.host, jar);
    return jar;
  };
  const visit = async (address: string, form?: Record<string, string>): Promise<Response> => {
    const url = new URL(address);
    const jar = jarOf(url);
    const response = await fetch(url, {
      method: form === undefined ? 'GET' : 'POST',
      redirect: 'manual',
      headers: { accept: 'text/html', cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '), ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }) },
      body: form === undefined ? null : new URLSearchParams(form).toString(),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(cookie)) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  };
  return {
    visit,
    cookies: (address: string): Map<string, string> => jarOf(new URL(address)),
    /** From an address on, through the provider's login as `person`, up to the first address that `until` names, which is not visited. */
    async follow(address: string, { person, until }: { person: string; until: string }): Promise<string> {
      let next = address;
      let response = await visit(next);
      for (let step = 0; step < 12; step += 1) {
        const location = response.headers.get('location');
        if (location !== null) {
          next = new URL(location, next).href;
          if (next.startsWith(until)) return next;
          response = await visit(next);
        } else {
          response = await visit(next, { prompt: 'login', login: person, password: 'any' });
        }
      }
      throw new Error(`ended at ${next} with ${response.status}`);
    },
  };
}

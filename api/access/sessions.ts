import { EVERY_PROJECT, SCOPE_OF_ROLE } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import type { Identity } from './identity.ts';
import type { Keys } from './keys.ts';
import type { People } from './people.ts';
import type { Records, SessionBody } from './records.ts';
import { hashOf, newSessionSecret } from './secrets.ts';

/** Logins. The browser holds a random secret in a cookie, the store its hash. What its holder may do is looked up at each request. */
export type Sessions = {
  /** Who a cookie stands for, if it still does. */
  holder(secret: string, address: string): Identity | null;
  /** Resolves with the secret for the cookie. */
  begin(holder: SessionBody['holder'], project: string): Promise<string>;
  end(secret: string, by: string): Promise<void>;
  changeProject(secret: string, change: { readonly project: string; readonly by: string }): Promise<void>;
};

export function createSessions(deps: { readonly clock: Clock; readonly records: Records; readonly keys: Keys; readonly people: People }, settings: { readonly sessionMs: number }): Sessions {
  const { clock, records, keys, people } = deps;

  function rightsOf({ holder, project, began_ms }: SessionBody): Omit<Identity, 'address'> | null {
    switch (holder.kind) {
      case 'key': {
        const key = keys.byId(holder.id);
        if (key === null || key.state !== 'active') return null;
        return { kind: 'key', id: key.id, name: key.name, project: key.project, scopes: key.scopes, seesEveryProject: false, hasPassword: false };
      }
      case 'person': {
        const person = people.find(holder.id);
        if (person === null || person.body.password_ms > began_ms) return null;
        const seesEveryProject = person.body.project === EVERY_PROJECT;
        return { kind: 'person', id: person.id, name: person.id, project: seesEveryProject ? project : person.body.project, scopes: [SCOPE_OF_ROLE[person.body.role]], seesEveryProject, hasPassword: true };
      }
      case 'oidc': {
        const seesEveryProject = holder.project === EVERY_PROJECT;
        return { kind: 'person', id: holder.id, name: holder.name, project: seesEveryProject ? project : holder.project, scopes: [SCOPE_OF_ROLE[holder.role]], seesEveryProject, hasPassword: false };
      }
    }
  }

  const valid = (secret: string) => {
    const found = records.find('session', hashOf(secret));
    return found === null || found.state === 'revoked' || found.body.ends_ms <= clock() ? null : found;
  };

  return {
    holder(secret, address) {
      const found = valid(secret);
      const rights = found === null ? null : rightsOf(found.body);
      return rights === null ? null : { ...rights, address };
    },
    async begin(holder, project) {
      const secret = newSessionSecret();
      const began_ms = clock();
      const ends_ms = began_ms + settings.sessionMs;
      await records.write('session', hashOf(secret), { state: 'active', by: holder.id, body: { holder, project, began_ms, ends_ms }, forgetAtMs: ends_ms });
      return secret;
    },
    async end(secret, by) {
      const found = valid(secret);
      if (found !== null) await records.write('session', found.id, { state: 'revoked', by, body: found.body, forgetAtMs: found.body.ends_ms });
    },
    async changeProject(secret, { project, by }) {
      const found = valid(secret);
      if (found !== null) await records.write('session', found.id, { state: 'active', by, body: { ...found.body, project }, forgetAtMs: found.body.ends_ms });
    },
  };
}

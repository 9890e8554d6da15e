import type { Role } from '../../schemas/access.ts';
import type { Clock } from '../../schemas/clock.ts';
import { ProblemError } from '../problem.ts';
import type { Held, Records } from './records.ts';

/** People who log in with a password of Culprit's own. Passwords are kept as argon2id, with the parameters of RFC 9106 for little memory (64 MiB, 3 passes). */
export type Person = { readonly name: string; readonly role: Role; readonly project: string; readonly added_ms: number };

export type People = {
  list(): Person[];
  find(name: string): Held<'person'> | null;
  /** Throws ProblemError 409 where the name is taken. */
  add(person: { readonly name: string; readonly role: Role; readonly project: string; readonly password: string }, by: string): Promise<Person>;
  /** Ends the person's sessions. Throws ProblemError 404. */
  changePassword(name: string, change: { readonly password: string; readonly by: string }): Promise<Person>;
  /**
   * False: the old password is not right. Ends the person's sessions. Whoever was removed, or given another password, while the new one was being hashed
   * stays so. Throws ProblemError 404, and 503 as `verify` does.
   */
  changeOwnPassword(name: string, change: { readonly old: string; readonly password: string }): Promise<boolean>;
  /** Ends the person's sessions. Throws ProblemError 404. */
  remove(name: string, by: string): Promise<void>;
  /** Takes as long for a name that nobody has. Throws ProblemError 503 where too many are verified at once. */
  verify(name: string, password: string): Promise<boolean>;
};

/** Each takes 64 MiB and a core for a moment: a flood of logins must not take the machine. */
const MAX_AT_ONCE = 4;
/** The algorithm of the library is argon2id where none is named. */
const OPTIONS = { memoryCost: 65_536, timeCost: 3, parallelism: 4 } as const;

/** Loaded with the first password: a collector never sees one, and does without its 4 MB. */
const hashOf = async (password: string): Promise<string> => (await import('@node-rs/argon2')).hash(password, OPTIONS);
const isPasswordOf = async (password_hash: string, password: string): Promise<boolean> => (await import('@node-rs/argon2')).verify(password_hash, password);

export function createPeople({ clock, records }: { readonly clock: Clock; readonly records: Records }): People {
  let verifying = 0;
  /** Of a password that nobody has. */
  let decoy: Promise<string> | null = null;

  const active = (name: string): Held<'person'> | null => {
    const found = records.find('person', name);
    return found?.state === 'active' ? found : null;
  };
  const existing = (name: string): Held<'person'> => {
    const found = active(name);
    if (found === null) throw new ProblemError(404, `There is nobody called ${JSON.stringify(name.slice(0, 200))}; GET /v1/users lists them.`);
    return found;
  };
  const shown = ({ id, at_ms, body }: Held<'person'>): Person => ({ name: id, role: body.role, project: body.project, added_ms: at_ms });

  const setPassword = (name: string, { password_hash, by }: { readonly password_hash: string; readonly by: string }): Promise<void> =>
    records.write('person', name, { state: 'active', by, body: { ...existing(name).body, password_hash, password_ms: clock() } });

  async function verify(name: string, password: string): Promise<boolean> {
    if (verifying >= MAX_AT_ONCE) throw new ProblemError(503, 'Too many people are logging in at this moment; try again.');
    verifying += 1;
    try {
      decoy ??= hashOf('nobody has this password');
      const found = active(name);
      const isRight = await isPasswordOf(found?.body.password_hash ?? (await decoy), password);
      return isRight && found !== null;
    } finally {
      verifying -= 1;
    }
  }

  return {
    list: () => records.all('person').filter(({ state }) => state === 'active').map(shown),
    find: active,
    async add({ name, role, project, password }, by) {
      if (active(name) !== null) throw new ProblemError(409, `There is somebody called ${JSON.stringify(name)} already.`);
      const password_hash = await hashOf(password);
      await records.write('person', name, { state: 'active', by, body: { role, project, password_hash, password_ms: clock() } });
      return shown(existing(name));
    },
    async changePassword(name, { password, by }) {
      existing(name);
      await setPassword(name, { password_hash: await hashOf(password), by });
      return shown(existing(name));
    },
    async changeOwnPassword(name, { old, password }) {
      const before = existing(name);
      if (!(await verify(name, old))) return false;
      const password_hash = await hashOf(password);
      // Another process may have done it.
      await records.refresh();
      if (existing(name).at_ms !== before.at_ms) return false;
      await setPassword(name, { password_hash, by: name });
      return true;
    },
    async remove(name, by) {
      await records.write('person', name, { state: 'revoked', by, body: existing(name).body });
    },
    verify,
  };
}

import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { z } from 'zod';
import { EVERY_PROJECT, Role } from '../../schemas/access.ts';
import type { Invocation } from '../main.ts';
import { openAdministration, type Administration } from './administration.ts';
import { textOf } from './flags.ts';
import { print } from './keys-command.ts';

/** `culprit users add|passwd|remove|list`. The password is the first line of standard input, not shown while it is typed, and never an argument, which others on the machine could read. */
export async function runUsers(invocation: Invocation): Promise<number> {
  const [action = '', name, ...more] = invocation.positionals;
  const run = ACTIONS[action];
  if (run === undefined || more.length > 0 || (name === undefined) !== (action === 'list')) {
    console.error('culprit: write `culprit users add NAME --role viewer|responder|admin`, `users passwd NAME`, `users remove NAME` or `users list`');
    return 2;
  }
  const role = textOf(invocation.flags, '--role');
  if (action === 'add' && !Role.safeParse(role).success) {
    console.error('culprit: --role must be viewer (sees), responder (acts on alerts, too) or admin');
    return 2;
  }
  const password = action === 'add' || action === 'passwd' ? await readPassword() : '';
  const administration = await openAdministration(invocation);
  try {
    await run(administration, invocation, { name: name ?? '', password });
  } finally {
    await administration.close();
  }
  return 0;
}

const Person = z.object({ name: z.string(), role: Role, project: z.string() });

type Action = (administration: Administration, invocation: Invocation, who: { readonly name: string; readonly password: string }) => Promise<void>;

const ACTIONS: Readonly<Record<string, Action>> = {
  async add({ ask }, { flags }, { name, password }) {
    const person = await ask({ method: 'POST', path: '/v1/users', body: { name, role: textOf(flags, '--role'), project: textOf(flags, '--only') ?? EVERY_PROJECT, password } }, Person);
    console.error(`${person.name} is ${person.role} of ${person.project === EVERY_PROJECT ? 'every project' : person.project} and logs in at /login.`);
  },
  async passwd({ ask }, _invocation, { name, password }) {
    await ask({ method: 'PUT', path: `/v1/users/${encodeURIComponent(name)}/password`, body: { password } }, Person);
    console.error(`${name} has a new password; earlier logins are over.`);
  },
  async remove({ ask }, _invocation, { name }) {
    await ask({ method: 'DELETE', path: `/v1/users/${encodeURIComponent(name)}` }, z.object({ name: z.string() }));
    console.error(`${name} is removed; earlier logins are over.`);
  },
  async list({ ask }) {
    const { users } = await ask({ method: 'GET', path: '/v1/users' }, z.object({ users: z.array(Person) }));
    print([['NAME', 'ROLE', 'PROJECT'], ...users.map(({ name, role, project }) => [name, role, project])]);
  },
};

function readPassword(): Promise<string> {
  const { stdin, stderr } = process;
  if (stdin.isTTY) stderr.write('Password (12 characters at least): ');
  // Where it is typed, nothing of it is written back.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: silent, terminal: stdin.isTTY });
  return new Promise((resolve) => {
    let line = '';
    lines.once('line', (text) => {
      line = text;
      lines.close();
    });
    lines.once('close', () => {
      if (stdin.isTTY) stderr.write('\n');
      resolve(line);
    });
  });
}

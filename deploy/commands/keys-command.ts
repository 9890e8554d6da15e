import { z } from 'zod';
import { Scope } from '../../schemas/access.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { Invocation } from '../main.ts';
import { textOf } from './flags.ts';
import { openAdministration, type Administration } from './administration.ts';

/** `culprit keys create|list|rotate|revoke`. A new key goes to standard output, alone, so that it can be piped; what is said of it to standard error. */
export async function runKeys(invocation: Invocation): Promise<number> {
  const [action = '', id, ...more] = invocation.positionals;
  const run = ACTIONS[action];
  if (run === undefined || more.length > 0 || (id === undefined) === ['rotate', 'revoke'].includes(action)) {
    console.error('culprit: write `culprit keys create --name NAME`, `keys list`, `keys rotate ID` or `keys revoke ID`');
    return 2;
  }
  const administration = await openAdministration(invocation);
  try {
    await run(administration, invocation, encodeURIComponent(id ?? ''));
  } finally {
    await administration.close();
  }
  return 0;
}

const Key = z.object({ id: z.string(), name: z.string(), project: z.string(), scopes: z.array(Scope), hint: z.string().nullable(), source: z.string(), state: z.string(), expires_ms: z.number().nullable(), last_used_ms: z.number().nullable() });
const Made = z.object({ key: Key, secret: z.string() });

type Action = (administration: Administration, invocation: Invocation, id: string) => Promise<void>;

const ACTIONS: Readonly<Record<string, Action>> = {
  async create({ ask }, { flags, config }) {
    const expires_days = numberOf(flags, '--expires-days');
    const scopes = textOf(flags, '--scopes') ?? 'ingest';
    const made = await ask(
      { method: 'POST', path: '/v1/keys', body: { name: textOf(flags, '--name') ?? 'unnamed', project: config.project, scopes: scopes.split(',').map((scope) => scope.trim()), ...(expires_days === undefined ? {} : { expires_days }) } },
      Made,
    );
    show(made);
  },
  async rotate({ ask }, { flags }, id) {
    const overlap_hours = numberOf(flags, '--overlap-hours') ?? 24;
    show(await ask({ method: 'POST', path: `/v1/keys/${id}/rotate`, body: { overlap_hours } }, Made));
    console.error(`The old key is valid for ${overlap_hours} h more.`);
  },
  async revoke({ ask }, _invocation, id) {
    const key = await ask({ method: 'DELETE', path: `/v1/keys/${id}` }, Key);
    console.error(`Revoked: ${key.id} (${key.name}). Every process knows within seconds.`);
  },
  async list({ ask }) {
    const { keys } = await ask({ method: 'GET', path: '/v1/keys' }, z.object({ keys: z.array(Key) }));
    const rows = keys.map((key) => [key.id, key.hint ?? key.source, key.state, key.project, key.scopes.join(','), day(key.expires_ms, 'never'), day(key.last_used_ms, '-'), key.name]);
    print([['ID', 'KEY', 'STATE', 'PROJECT', 'SCOPES', 'EXPIRES', 'USED', 'NAME'], ...rows]);
  },
};

function show({ key, secret }: z.infer<typeof Made>): void {
  console.error(`${key.id}: "${key.name}", project ${key.project}, may ${key.scopes.join(', ')}${key.expires_ms === null ? '' : `, until ${day(key.expires_ms, '')}`}. It is shown this once:`);
  console.log(secret);
}

function day(ms: number | null, otherwise: string): string {
  return ms === null ? otherwise : new Date(ms).toISOString().slice(0, 16);
}

export function print(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows) console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
}

function numberOf(flags: Invocation['flags'], name: string): number | undefined {
  const text = textOf(flags, name);
  if (text === undefined) return undefined;
  if (!/^\d+(\.\d+)?$/.test(text)) throw new PermanentError(`${name} is ${JSON.stringify(text)}; give a number`);
  return Number(text);
}

import type { z } from 'zod';
import type { ConfigFile } from '../schemas/config.ts';
import { HOOK_SECRETS, HookSettings, type HookEntry } from '../schemas/hooks.ts';
import type { Registry } from '../schemas/registry.ts';
import { SINK_SECRETS, SinkSettings } from '../schemas/sinks.ts';
import { WebhookSecret, type Webhook } from '../schemas/webhook.ts';
import type { Origin, Sources } from './configuration.ts';

/** Fetches the secrets that the configuration only points to: `X_file` names a file, `X_env` an environment variable. */

type Reading = Pick<Sources, 'environment' | 'readFile'> & { readonly origin: Origin; readonly problems: string[] };
type File = z.output<typeof ConfigFile>;

export function readWebhooks(entries: File['webhooks'], reading: Reading): Webhook[] {
  return entries.flatMap(({ secret: _secret, secret_file: _file, secret_env: _env, ...webhook }, index) => {
    const found = readSecret(entries[index] ?? {}, { key: 'secret', path: ['webhooks', index] }, reading);
    if (found === null) return [];
    const checked = WebhookSecret.safeParse(found.text);
    if (checked.success) return [{ ...webhook, secret: checked.data }];
    reading.problems.push(`${reading.origin(['webhooks', index, found.from])} of ${webhook.name} ${checked.error.issues[0]?.message ?? 'does not fit'}.`);
    return [];
  });
}

export function readSinks(entries: File['sinks'], reading: Reading): SinkSettings[] {
  return entries.flatMap((entry, index) => {
    const whole = withSecret(entry, { ...SINK_SECRETS[entry.kind], path: ['sinks', index] }, reading);
    return whole === null ? [] : checked(SinkSettings, whole, reading);
  });
}

/** Each with its secret in its place, so that it is one of `HookSettings` too. */
export function readHooks(entries: File['hooks'], reading: Reading): HookEntry[] {
  return entries.flatMap((entry, index) => {
    const key = HOOK_SECRETS[entry.kind];
    const path = ['hooks', index];
    const whole = key === null ? { plain: entry, from: 'name', path } : withSecret(entry, { key, isOptional: false, path }, reading);
    return whole === null ? [] : checked(HookSettings, whole, reading);
  });
}

type Whole = { readonly plain: object; readonly from: string; readonly path: readonly (string | number)[] };

/** The entry with its secret where the value itself would stand. Null where it cannot be had; `problems` says why. */
function withSecret(entry: object, { key, isOptional, path }: { readonly key: string; readonly isOptional: boolean; readonly path: readonly (string | number)[] }, reading: Reading): Whole | null {
  const given = [key, `${key}_file`, `${key}_env`].filter((name) => Reflect.get(entry, name) !== undefined);
  if (given.length > 1 || (given.length === 0 && !isOptional)) {
    reading.problems.push(`${reading.origin([...path, key])} must be given once; set exactly one of ${key}, ${key}_file and ${key}_env.`);
    return null;
  }
  const found = given.length === 0 ? { text: undefined, from: key } : readSecret(entry, { key, path }, reading);
  if (found === null) return null;
  const plain = Object.fromEntries(Object.entries(entry).filter(([name]) => !given.includes(name)));
  return { plain: found.text === undefined ? plain : { ...plain, [key]: found.text }, from: found.from, path };
}

function checked<Settings>(schema: z.ZodType<Settings>, { plain, from, path }: Whole, { origin, problems }: Reading): Settings[] {
  const result = schema.safeParse(plain);
  if (result.success) return [result.data];
  problems.push(`${origin([...path, from])} of ${String(Reflect.get(plain, 'name'))} ${result.error.issues[0]?.message ?? 'does not fit'}.`);
  return [];
}

export function readRegistries(entries: File['registries'], reading: Reading): Registry[] {
  return entries.flatMap(({ kind, files, ...entry }, index) => {
    const found = readSecret({ ...entry, name: kind }, { key: 'secret', path: ['registries', index] }, reading);
    if (found === null) return [];
    if (found.text.length >= 8) return [{ kind, files, secret: found.text }];
    reading.problems.push(`${reading.origin(['registries', index, found.from])} of ${kind} is shorter than 8 characters.`);
    return [];
  });
}

/** Null where it cannot be had; `problems` says why. */
function readSecret(entry: object, { key, path }: { key: string; path: readonly (string | number)[] }, { environment, readFile, origin, problems }: Reading): { text: string; from: string } | null {
  const value = (name: string): string | undefined => {
    const found: unknown = Reflect.get(entry, name);
    return typeof found === 'string' ? found : undefined;
  };
  const refuse = (from: string, message: string): null => {
    problems.push(`${origin([...path, from])} of ${value('name') ?? ''} ${message}.`);
    return null;
  };
  const [variable, file] = [value(`${key}_env`), value(`${key}_file`)];
  if (variable !== undefined) {
    const text = environment[variable];
    return text ? { text, from: `${key}_env` } : refuse(`${key}_env`, `names ${variable}, which is not set; set it or name another`);
  }
  if (file !== undefined) {
    try {
      return { text: readFile(file).trim(), from: `${key}_file` };
    } catch (error) {
      return refuse(`${key}_file`, `cannot be read (${error instanceof Error ? error.message : String(error)}); name a file that exists and is readable`);
    }
  }
  return { text: value(key) ?? '', from: key };
}

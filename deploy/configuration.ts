import { LineCounter, parseDocument, type Document } from 'yaml';
import type { z } from 'zod';
import { ConfigFile, type Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import { readAccessSecrets } from './access-secrets.ts';
import { readHooks, readRegistries, readSinks, readWebhooks } from './secrets.ts';
import { expectedAt, keysAt, nearest, SETTINGS, valueOf, type Path, type Setting } from './settings.ts';

/**
 * Reads the configuration: a flag wins over an environment variable, that over the YAML file, that over the default.
 *
 * What is wrong is thrown as one PermanentError with a sentence a line, each of which names the setting where it was written,
 * what was wrong with it, and the fix. Values of secrets, and of URLs (people put tokens into them), are never repeated.
 */

/** Flags of a command that are no settings, as its help has them, and what each says: `--json` is a switch, `--evidence DIR` has a value. */
export type CommandFlags = Readonly<Record<string, string>>;

export type Sources = {
  /** Arguments after the command's name. */
  argv: readonly string[];
  environment: Readonly<Record<string, string | undefined>>;
  /** Returns a file's text, or throws. */
  readFile: (path: string) => string;
  commandFlags?: CommandFlags;
  /** Of a command, in the place of those of the schema. */
  defaults?: Readonly<Partial<Pick<Config, 'data'>>>;
};

export type Loaded =
  | { kind: 'help' }
  | { kind: 'run'; config: Config; positionals: readonly string[]; flags: Readonly<Record<string, string | true>> };

type Arguments = { settings: Map<Setting, string>; configFile: string | undefined; positionals: string[]; flags: Record<string, string | true>; help: boolean };
type File = { path: string; document: Document.Parsed; lines: LineCounter; values: Record<string, unknown> };
export type Origin = (path: Path) => string;

/** Throws PermanentError when any setting is wrong. */
export function loadConfiguration({ argv, environment, readFile, commandFlags = {}, defaults = {} }: Sources): Loaded {
  const problems: string[] = [];
  const given = readArguments(argv, commandFlags, problems);
  if (given.help) return { kind: 'help' };

  const filePath = given.configFile ?? (environment['CULPRIT_CONFIG'] || undefined);
  const file = filePath === undefined ? undefined : readYaml(filePath, readFile, problems);
  const values: Record<string, unknown> = { ...defaults, ...file?.values };
  const origins = new Map<string, string>();
  for (const setting of SETTINGS) {
    const variable = fromEnvironment(setting, environment);
    const flag = given.settings.get(setting);
    const text = flag ?? variable;
    if (text === undefined) continue;
    if (place(values, setting.path, valueOf(setting, text))) origins.set(setting.key, flag === undefined ? setting.variable : setting.flag);
  }
  problems.push(...misspeltVariables(environment));

  const origin: Origin = (path) => origins.get(path.join('.')) ?? originInFile(file, path);
  const parsed = ConfigFile.safeParse(values);
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap((issue) => sentences(issue, values, origin)));
  const secrets = { environment, readFile, origin, problems };
  const webhooks = parsed.success ? readWebhooks(parsed.data.webhooks, secrets) : [];
  const sinks = parsed.success ? readSinks(parsed.data.sinks, secrets) : [];
  const registries = parsed.success ? readRegistries(parsed.data.registries, secrets) : [];
  const hooks = parsed.success ? readHooks(parsed.data.hooks, secrets) : [];
  const access = parsed.success ? readAccessSecrets(parsed.data.access, parsed.data.project, secrets, origin, problems) : null;
  if (problems.length > 0 || !parsed.success || access === null) throw new PermanentError(problems.join('\n'));
  return { kind: 'run', config: { ...parsed.data, webhooks, sinks, registries, hooks, access }, positionals: given.positionals, flags: given.flags };
}

function readArguments(argv: readonly string[], commandFlags: CommandFlags, problems: string[]): Arguments {
  const read: Arguments = { settings: new Map(), configFile: undefined, positionals: [], flags: {}, help: false };
  const own = new Map(Object.keys(commandFlags).map((flag) => [flag.split(' ', 1)[0] ?? '', flag.includes(' ') ? 'value' : 'switch']));
  const known = [...SETTINGS.map(({ flag }) => flag), '--config', '--help', ...own.keys()];
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    if (argument === '--') {
      read.positionals.push(...argv.slice(index + 1));
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      read.positionals.push(argument);
      continue;
    }
    const equals = argument.indexOf('=');
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const inline = equals < 0 ? undefined : argument.slice(equals + 1);
    /** The value: after `=`, or the next argument unless that is a flag itself. */
    const value = (): string | undefined => {
      const next = argv[index + 1];
      if (inline !== undefined) return inline;
      if (next === undefined || next.startsWith('--')) {
        problems.push(`${name} has no value; write it behind, like ${name}=VALUE.`);
        return undefined;
      }
      index += 1;
      return next;
    };
    const setting = SETTINGS.find(({ flag }) => flag === name);
    if (name === '--help' || name === '-h') read.help = true;
    else if (name === '--config') read.configFile = value();
    else if (own.get(name) === 'switch') read.flags[name] = true;
    else if (own.get(name) === 'value') read.flags[name] = value() ?? '';
    else if (setting?.node.type === 'boolean') read.settings.set(setting, inline ?? 'true');
    else if (setting !== undefined) {
      const text = value();
      if (text !== undefined) read.settings.set(setting, text);
    } else {
      problems.push(`${name} is not a flag; ${suggestion(nearest(name, known), '--help lists them all')}`);
    }
  }
  return read;
}

/** An empty variable counts as not set, as compose files leave them. */
function fromEnvironment(setting: Setting, environment: Sources['environment']): string | undefined {
  const text = environment[setting.variable];
  // Kubernetes gives each pod CULPRIT_PORT=tcp://10.0.0.7:4318 when there is a service named "culprit": that is not for us.
  if (text === undefined || text === '' || (setting.key === 'port' && /^(tcp|udp):\/\//.test(text))) return undefined;
  return text;
}

/** Only near misses: Kubernetes and the user's own secrets (`secret_env`) may have names that begin with CULPRIT_ too. */
function misspeltVariables(environment: Sources['environment']): string[] {
  const known = ['CULPRIT_CONFIG', ...SETTINGS.map(({ variable }) => variable)];
  return Object.keys(environment)
    .filter((name) => name.startsWith('CULPRIT_') && !known.includes(name))
    .flatMap((name) => {
      const meant = known.find((candidate) => nearest(name.slice('CULPRIT_'.length), [candidate.slice('CULPRIT_'.length)]) !== null && Math.abs(candidate.length - name.length) <= 2);
      return meant === undefined ? [] : [`${name} is not a setting; did you mean ${meant}? (unset it, or rename it)`];
    });
}

function readYaml(path: string, readFile: Sources['readFile'], problems: string[]): File | undefined {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    problems.push(`--config ${path} cannot be read (${error instanceof Error ? error.message : String(error)}); name a file that exists and is readable.`);
    return undefined;
  }
  const lines = new LineCounter();
  // prettyErrors would quote the line, and the line may hold a secret.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const mistakes = [...document.errors, ...document.warnings];
  for (const mistake of mistakes.slice(0, 5)) {
    problems.push(`${path} line ${lines.linePos(mistake.pos[0]).line} is not valid YAML (${mistake.code.toLowerCase().replaceAll('_', ' ')}); correct it there or in the line above.`);
  }
  if (mistakes.length > 0) return undefined;
  let content: unknown;
  try {
    content = withoutNulls(document.toJS({ maxAliasCount: 100 }) ?? {});
  } catch {
    problems.push(`${path} has too many aliases, or one without an anchor; write the values out.`);
    return undefined;
  }
  if (!isMapping(content)) {
    problems.push(`${path} is not a mapping; write one "key: value" a line.`);
    return undefined;
  }
  return { path, document, lines, values: content };
}

/** `webhooks:` with nothing behind it is null in YAML, and means: the default. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null).map(([key, item]) => [key, withoutNulls(item)]));
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** False where the file has something else than a mapping on the way: the schema says so. */
function place(values: Record<string, unknown>, path: readonly string[], value: unknown): boolean {
  let at = values;
  for (const name of path.slice(0, -1)) {
    const next = Object.hasOwn(at, name) ? at[name] : (at[name] = {});
    if (!isMapping(next)) return false;
    at = next;
  }
  at[path.at(-1) ?? ''] = value;
  return true;
}

/** "retention.calls_days (culprit.yaml line 7)"; the line is that of the nearest thing on the path that is there. */
function originInFile(file: File | undefined, path: Path): string {
  const name = path.join('.');
  if (file === undefined) return name;
  for (let length = path.length; length > 0; length -= 1) {
    const node = file.document.getIn(path.slice(0, length), true);
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
      return `${name} (${file.path} line ${file.lines.linePos(Number(node.range[0])).line})`;
    }
  }
  return `${name} (${file.path})`;
}

function sentences(issue: z.core.$ZodIssue, values: unknown, origin: Origin): string[] {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path);
    return issue.keys.map((key) => `${origin([...issue.path, key])} is not a setting; ${suggestion(nearest(key, known), `known here: ${known.join(', ')}`)}`);
  }
  const value = issue.path.reduce<unknown>((at, step) => (typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined), values);
  // What the schema says in its own words (refinements, patterns) is already "what was wrong; the fix".
  if (issue.code === 'custom' || (issue.code === 'invalid_format' && value !== undefined)) return [`${origin(issue.path)} ${issue.message}.`];
  return [`${origin(issue.path)} ${shown(value, issue.path)}; give ${expectedAt(issue.path)}.`];
}

/** Webhooks, sinks, registries, hooks and `access` hold secrets, and URLs hold tokens: what stands there is not repeated, and long text neither. */
function shown(value: unknown, path: Path): string {
  if (value === undefined) return 'is missing';
  if (['webhooks', 'sinks', 'registries', 'hooks', 'access', 'public_url'].includes(String(path[0])) || typeof value === 'object') return 'does not fit';
  const text = JSON.stringify(value);
  return `is ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`;
}

function suggestion(meant: string | null, otherwise: string): string {
  return meant === null ? `${otherwise}.` : `did you mean ${meant}?`;
}

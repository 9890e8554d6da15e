import { z } from 'zod';
import { ConfigFile } from '../schemas/config.ts';

/**
 * The settings, read off the schema of the configuration file: what each is called as a flag, as an environment variable and
 * as a key, what it accepts in words, and which known name is nearest to a mistyped one. Flags, `--help` and error messages
 * all come from here, so none can fall behind the schema.
 */

type SchemaNode = z.core.JSONSchema.BaseSchema;
export type Path = readonly PropertyKey[];

/** One setting that a flag or an environment variable can carry: a scalar, or a list of texts. */
export type Setting = { path: readonly string[]; flag: string; variable: string; key: string; node: SchemaNode };

const root: SchemaNode = z.toJSONSchema(ConfigFile, { io: 'input' });

export const SETTINGS: readonly Setting[] = settingsBelow(root, []);

function settingsBelow(node: SchemaNode, path: readonly string[]): Setting[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const below = [...path, name];
    const schema = asNode(child);
    if (schema === undefined) return [];
    // A regular expression may hold the comma that parts the values of a flag.
    if (schema['inFileOnly'] === true) return [];
    if (schema.properties !== undefined) return settingsBelow(schema, below);
    if (schema.type === 'object' || (schema.type === 'array' && asNode(schema.items)?.type !== 'string')) return [];
    const words = below.join('_');
    return [{ path: below, flag: `--${words.replaceAll('_', '-')}`, variable: `CULPRIT_${words.toUpperCase()}`, key: below.join('.'), node: schema }];
  });
}

/** A schema may also be `true` or `false`, and `items` a list of them: neither describes a setting. */
function asNode(schema: SchemaNode['items'] | SchemaNode['additionalProperties']): SchemaNode | undefined {
  return typeof schema === 'object' && !Array.isArray(schema) ? schema : undefined;
}

/** The schema of what stands at a path of the file; undefined where nothing may stand. */
function nodeAt(path: Path): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const step of path) {
    const properties = propertiesOf(node);
    const name = String(step);
    node = typeof step === 'number' ? asNode(node?.items) : asNode(Object.hasOwn(properties, name) ? properties[name] : node?.additionalProperties);
  }
  return node;
}

/** Keys that may stand under a path. */
export function keysAt(path: Path): string[] {
  return Object.keys(propertiesOf(nodeAt(path)));
}

/** Of all kinds that a value may be of; what tells them apart is one of all their words. */
function propertiesOf(node: SchemaNode | undefined): NonNullable<SchemaNode['properties']> {
  const kinds = (node?.oneOf ?? node?.anyOf ?? []).map(asNode).filter((kind) => kind !== undefined);
  if (kinds.length === 0) return node?.properties ?? {};
  const words = kinds.flatMap(({ properties = {} }) => asNode(properties['kind'])?.const ?? []);
  return { ...Object.fromEntries(kinds.flatMap(({ properties = {} }) => Object.entries(properties))), kind: { enum: words } };
}

/** What may stand at a path, in words: "a whole number from 0 to 65535". */
export function expectedAt(path: Path): string {
  const node = nodeAt(path);
  return node === undefined ? 'something else' : expected(node);
}

function expected(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.length === 1 ? String(node.enum[0]) : `one of ${node.enum.join(', ')}`;
  if (node.type === 'boolean') return 'true or false';
  if (node.type === 'array') return `a list${node.maxItems === undefined ? '' : ` of at most ${node.maxItems}`}`;
  if (node.type === 'object') return 'a mapping (key: value)';
  if (node.type === 'integer' || node.type === 'number') {
    const low = node.exclusiveMinimum === undefined ? (node.minimum === undefined ? '' : ` from ${node.minimum}`) : ` above ${node.exclusiveMinimum}`;
    const high = node.exclusiveMaximum === undefined ? (node.maximum === undefined ? '' : ` to ${node.maximum}`) : ` below ${node.exclusiveMaximum}`;
    return `${node.type === 'integer' ? 'a whole number' : 'a number'}${low}${high}`;
  }
  return node.maxLength === undefined ? 'some text' : `text of 1 to ${node.maxLength} characters`;
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([['true', true], ['1', true], ['yes', true], ['on', true], ['false', false], ['0', false], ['no', false], ['off', false]]);

/** What is written on a command line, as the value that YAML would give. What does not fit stays text: the schema refuses it. */
export function valueOf(setting: Setting, text: string): unknown {
  const trimmed = text.trim();
  const { type } = setting.node;
  if (type === 'boolean') return BOOLEANS.get(trimmed.toLowerCase()) ?? text;
  if (type === 'array') return trimmed === '' ? [] : trimmed.split(',').map((part) => part.trim());
  if (type === 'integer' || type === 'number') return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) ? Number(trimmed) : text;
  return text;
}

/** The known name that a mistyped one most likely means, or null when none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  const tolerated = Math.max(2, Math.floor(name.length / 3));
  const ranked = known.map((candidate) => ({ candidate, distance: editDistance(name.slice(0, 100), candidate) })).sort((x, y) => x.distance - y.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= tolerated ? best.candidate : null;
}

/** Levenshtein, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** The part of `--help` that lists the settings. */
export function settingsHelp(): string {
  const entries = SETTINGS.map(({ flag, variable, key, node }) => {
    const isEmpty = node.default === undefined || (Array.isArray(node.default) && node.default.length === 0);
    const value = isEmpty ? '' : ` (default ${JSON.stringify(node.default).replace(/[[\]"]/g, '')})`;
    return `  ${flag} ${placeholder(node)}${value}\n      ${node.description ?? ''}\n      ${variable}, ${key}`;
  });
  return [
    'Every setting is a flag, an environment variable and a key of the YAML file; the first that is given wins, in that order.',
    '',
    '  --config FILE\n      The YAML file; also metrics, prompts, sinks and routes are set there.\n      CULPRIT_CONFIG',
    ...entries,
  ].join('\n');
}

function placeholder(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.join('|');
  if (node.type === 'boolean') return '[=true|false]';
  if (node.type === 'array') return 'A,B,…';
  return node.type === 'integer' || node.type === 'number' ? 'N' : 'TEXT';
}

import { hashOf } from '../api/access/secrets.ts';
import type { AccessSettings, ConfiguredKey } from '../schemas/access.ts';
import type { Sources } from './configuration.ts';
import type { Path } from './settings.ts';

const SHORTEST_KEY = 32;

/** Puts what files and variables hold into the section `access`: hashes of keys, and the provider's secret. Adds a sentence to `problems` for each that cannot be read. */
export function readAccessSecrets(section: AccessSettings, project: string, { environment, readFile }: Pick<Sources, 'environment' | 'readFile'>, origin: (path: Path) => string, problems: string[]): AccessSettings {
  const fromFile = (path: Path, file: string): string | null => {
    try {
      return readFile(file).trim();
    } catch (error) {
      problems.push(`${origin(path)} cannot be read (${error instanceof Error ? error.message : String(error)}); name a file that exists and is readable.`);
      return null;
    }
  };
  const hashed = (path: Path, key: string | null): string | null => {
    if (key === null) return null;
    if (key.length >= SHORTEST_KEY && key.length <= 512 && /^[\x21-\x7e]+$/.test(key)) return hashOf(key);
    problems.push(`${origin(path)} holds no key; give ${SHORTEST_KEY} to 512 random characters without blanks, like: echo "clp_$(openssl rand -hex 32)".`);
    return null;
  };
  const keys = section.keys.flatMap(({ name, project: of, scopes, hash, key_file: file, key_env: variable }, index): ConfiguredKey[] => {
    const path = ['access', 'keys', index, file === undefined ? 'key_env' : 'key_file'];
    if (variable !== undefined && !environment[variable]) {
      problems.push(`${origin(path)} of ${name} names ${variable}, which is not set; set it or name another.`);
      return [];
    }
    const found = hash ?? hashed(path, file === undefined ? (environment[variable ?? ''] ?? null) : fromFile(path, file));
    return found === null ? [] : [{ name, project: of, scopes, hash: found }];
  });
  if (section.key_file !== undefined) {
    const path = ['access', 'key_file'];
    const hash = hashed(path, fromFile(path, section.key_file));
    if (hash !== null) keys.push({ name: 'key_file', project, scopes: ['admin'], hash });
  }
  const twice = keys.find(({ hash }, index) => keys.findIndex((other) => other.hash === hash) < index);
  if (twice !== undefined) problems.push(`${origin(['access', 'keys'])} holds the key of ${twice.name} twice; a key is of one project and one name.`);
  const { oidc } = section;
  if (oidc?.client_secret_file === undefined) return { ...section, keys };
  const client_secret = fromFile(['access', 'oidc', 'client_secret_file'], oidc.client_secret_file);
  return { ...section, keys, oidc: { ...oidc, ...(client_secret === null ? {} : { client_secret }) } };
}

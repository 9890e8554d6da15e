import type { Sources } from './configuration.ts';

/** A secret as the file names it: itself, in a file, or in an environment variable. */
export type NamedSecret = { readonly secret?: string | undefined; readonly secret_file?: string | undefined; readonly secret_env?: string | undefined };

/** The secret, or which key is wrong and why. */
export function secretOf({ secret, secret_file: file, secret_env: variable }: NamedSecret, { environment, readFile }: Pick<Sources, 'environment' | 'readFile'>): { readonly secret: string } | { readonly key: string; readonly message: string } {
  if (variable !== undefined) {
    const found = environment[variable];
    return found ? { secret: found } : { key: 'secret_env', message: `names ${variable}, which is not set; set it or name another` };
  }
  if (file !== undefined) {
    try {
      return { secret: readFile(file).trim() };
    } catch (error) {
      return { key: 'secret_file', message: `cannot be read (${error instanceof Error ? error.message : String(error)}); name a file that exists and is readable` };
    }
  }
  return { secret: secret ?? '' };
}

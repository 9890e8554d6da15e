import { readFileSync } from 'node:fs';
import { PermanentError } from '../schemas/errors.ts';

/** A secret or certificate that the configuration only points to. Throws PermanentError that names the setting. */
export function readSecretFile(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new PermanentError(`${setting} cannot be read (${error instanceof Error ? error.message : String(error)}); name a file that exists and is readable`, { cause: error });
  }
}

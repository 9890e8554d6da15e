import { createAccess, type Access } from '../api/access/access.ts';
import type { Clock } from '../schemas/clock.ts';
import { publicUrlOf, type Config } from '../schemas/config.ts';
import { PermanentError } from '../schemas/errors.ts';
import type { Store } from '../schemas/store.ts';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** Keys and people as the configuration and the store have them. */
export function createAccessFor(store: Store, config: Config, deps: { readonly clock: Clock; readonly warn: (message: string) => void }): Access {
  return createAccess(
    { store, ...deps },
    { section: config.access, project: config.project, isLoopback: LOOPBACK.has(config.host), isHttps: publicUrlOf(config).startsWith('https:') },
  );
}

/** Throws PermanentError where other machines could reach a server that nobody needs a key for. */
export function refuseOpenNetwork(access: Access, config: Config): void {
  if (LOOPBACK.has(config.host) || access.hasAnyone()) return;
  const inDirectory = `make one with \`culprit keys create --data ${config.data} --name NAME --scopes admin\`, or `;
  // Roles have no directory.
  throw new PermanentError(`host is ${config.host}, which other machines can reach, and there is no API key yet: ${config.kafka.brokers.length === 0 ? inDirectory : ''}name a file that holds one (CULPRIT_ACCESS_KEY_FILE), or set host to 127.0.0.1`);
}

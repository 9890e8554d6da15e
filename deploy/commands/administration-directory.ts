import { userInfo } from 'node:os';
import { join } from 'node:path';
import { OpenAPIHono } from '@hono/zod-openapi';
import { actionOf, targetOf } from '../../api/access/audit.ts';
import type { Identity, RequestBindings } from '../../api/access/identity.ts';
import { registerAccess } from '../../api/access/resources.ts';
import { errorResponse, validationHook } from '../../api/problem.ts';
import type { Config } from '../../schemas/config.ts';
import { createAccessFor } from '../access.ts';
import type { DirectoryClaim } from '../data-directory.ts';
import { migrateFor } from '../migrate.ts';
import { openEmbeddedStore } from '../store-embedded.ts';
import type { Send } from './administration.ts';

/** The data directory of a server that is stopped, administered by the handlers of its API; what is done is in the audit log as done by a command. */
export async function openDirectory(config: Config, claim: DirectoryClaim): Promise<{ readonly send: Send; close(): Promise<void> }> {
  const undo: (() => Promise<void> | void)[] = [() => claim.release()];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const store = await openEmbeddedStore({ directory: join(config.data, 'store') });
    undo.push(() => store.close());
    await migrateFor(store, config, { cluster: null });
    const access = createAccessFor(store, config, { clock: Date.now, warn: (message) => console.error(`culprit: ${message}`) });
    await access.start();
    const app = new OpenAPIHono({ defaultHook: validationHook });
    app.onError(errorResponse);
    registerAccess(app, { store, clock: Date.now, access });
    const actor = { id: '', name: accountName(), address: '', project: config.project };
    const identity: Identity = { ...actor, kind: 'person', scopes: ['admin'], seesEveryProject: true, hasPassword: false };
    return {
      async send(path, init) {
        const bindings: RequestBindings = { identity, note: {} };
        const response = await app.request(path, init, bindings);
        const { target = targetOf(path), detail = '' } = bindings.note ?? {};
        if (init.method !== 'GET' && response.ok) await access.audit({ actor: { ...actor, kind: 'command' }, action: actionOf(init.method, path), target, detail });
        return response;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Of whoever runs this. A container may run as a number that no account has. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

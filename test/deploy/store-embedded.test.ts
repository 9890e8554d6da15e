import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';
import { storeContract } from '../contracts/store.ts';

storeContract('embedded', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-store-'));
  const store = await openEmbeddedStore({ directory, limits: { maxSeconds: 2 } });
  return {
    store,
    maxSelectSeconds: 2,
    async close() {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});

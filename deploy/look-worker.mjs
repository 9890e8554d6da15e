// A worker inherits no loader for TypeScript: it registers its own, then becomes look-worker.ts. What was built needs none.
import { existsSync } from 'node:fs';

const built = new URL('./look-worker.js', import.meta.url);
if (existsSync(built)) {
  await import(built.href);
} else {
  const { register } = await import('tsx/esm/api');
  register();
  await import('./look-worker.ts');
}

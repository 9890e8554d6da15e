// A worker inherits no loader for TypeScript: it registers its own, then becomes audit-worker.ts. What was built needs none.
import { existsSync } from 'node:fs';

const built = new URL('./audit-worker.js', import.meta.url);
if (existsSync(built)) {
  await import(built.href);
} else {
  const { register } = await import('tsx/esm/api');
  register();
  await import('./audit-worker.ts');
}

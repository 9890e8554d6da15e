// A worker inherits no loader for TypeScript: it registers its own, then becomes the module that its first argument names (`./look-worker`). What was built needs none.
import { existsSync } from 'node:fs';

const [, , name] = process.argv;
const built = new URL(`${name}.js`, import.meta.url);
if (existsSync(built)) {
  await import(built.href);
} else {
  const { register } = await import('tsx/esm/api');
  register();
  await import(`${name}.ts`);
}

// A worker inherits no loader for TypeScript: it registers its own, then becomes look-worker.ts.
import { register } from 'tsx/esm/api';

register();
await import('./look-worker.ts');

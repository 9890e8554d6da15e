// A worker inherits no loader for TypeScript: it registers its own, then becomes audit-worker.ts.
import { register } from 'tsx/esm/api';

register();
await import('./audit-worker.ts');

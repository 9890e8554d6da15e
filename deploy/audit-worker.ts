import { parentPort, workerData } from 'node:worker_threads';
import { PermanentError } from '../schemas/errors.ts';
import type { FromAudit } from './audit-thread.ts';
import { runAudit, type AuditJob } from './audits.ts';

/** The other end of audit-thread.ts. */

if (parentPort === null) throw new Error('audit-worker runs in a worker thread');
const port = parentPort;
const send = (message: FromAudit): void => port.postMessage(message);

// The main thread made it.
runAudit(workerData as AuditJob, () => Date.now()).then(
  (result) => send({ kind: 'done', result }),
  (error: unknown) => send(error instanceof PermanentError ? { kind: 'refused', message: error.message } : { kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
);

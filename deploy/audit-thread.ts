import { Worker } from 'node:worker_threads';
import type { AuditResult } from '../schemas/audit.ts';
import { PermanentError } from '../schemas/errors.ts';
import type { AuditJob } from './audits.ts';

/** An audit in a thread of its own, which ends with it: its two minutes of arithmetic hold up nothing else. */

export type FromAudit = { readonly kind: 'done'; readonly result: AuditResult } | { readonly kind: 'refused' | 'failed'; readonly message: string };

export function auditInThread(job: AuditJob): Promise<AuditResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), { argv: ['./audit-worker'], workerData: job });
    worker.unref();
    worker.on('message', (message: FromAudit) => {
      if (message.kind === 'done') resolve(message.result);
      else reject(message.kind === 'refused' ? new PermanentError(message.message) : new Error(message.message));
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`the audit thread ended (exit ${code})`)));
  });
}

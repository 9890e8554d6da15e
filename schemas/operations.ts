import { z } from 'zod';

/** What a process tells whoever runs it: probes, metrics, and how it ends. */
export const OperationsSettings = z.strictObject({
  port: z.number().int().min(0).max(65_535).optional().describe('Port of a listener that has /livez, /readyz and /metrics of this process only, without a key. 0: any free one. Default: none; servers have the probes on `port`, too.'),
  host: z.string().min(1).default('127.0.0.1').describe('Address of that listener. It holds numbers of all projects, but no name of a prompt.'),
  drain_wait_s: z.number().min(0).max(300).default(0).describe('How long a process that is told to end goes on answering with /readyz at 503, so that load balancers turn away first.'),
});
export type OperationsSettings = z.output<typeof OperationsSettings>;

import { Hono } from 'hono';
import type { CollectorEnvironment } from '../../collector/server.ts';
import type { Config } from '../../schemas/config.ts';
import { listen } from '../listen.ts';
import type { createUndo } from '../running.ts';
import { createMetrics, type Metrics, type Role } from './metrics.ts';
import { createProbes, type Needs, type Probes } from './probes.ts';

/** What a process tells whoever runs it, and how its end begins. */
export type Operations = {
  readonly metrics: Metrics;
  /** Also for the port that senders and people use. */
  readonly probes: Probes['app'];
  /** The first step of a start, so the last of the end: a process is alive before it is ready. Resolves with the URL of its own listener; null where the configuration has no port for it. */
  listen(undo: ReturnType<typeof createUndo>): Promise<string | null>;
  /** The last step of a start, so the first of the end: /readyz says no, while everything still goes on for `drain_wait_s`. */
  started(needs: Needs, undo: ReturnType<typeof createUndo>): void;
};

export function createOperations(role: Role, config: Config): Operations {
  const metrics = createMetrics(role);
  const probes = createProbes();
  return {
    metrics,
    probes: probes.app,
    async listen(undo) {
      const { host, port } = config.operations;
      if (port === undefined) return null;
      const app = new Hono<CollectorEnvironment>();
      app.route('/', probes.app);
      app.get('/metrics', async (context) => context.body(await metrics.registry.metrics(), 200, { 'content-type': metrics.registry.contentType, 'cache-control': 'no-store' }));
      const listener = await listen(app, { host, port });
      undo.push(() => listener.close());
      return listener.url;
    },
    started(needs, undo) {
      probes.start(needs);
      undo.push(() => probes.drain(config.operations.drain_wait_s));
    },
  };
}

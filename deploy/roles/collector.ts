import type { Access } from '../../api/access/access.ts';
import { createCollector, type Collector } from '../../collector/server.ts';
import type { Config } from '../../schemas/config.ts';
import type { Log } from '../../schemas/log.ts';
import type { ServerDependencies } from '../running.ts';

/** The collector role: everything that an SDK sends, into the log. */
export function createCollectorFor({ log, access }: { readonly log: Log; readonly access: Access }, config: Config, deps: ServerDependencies): Collector {
  return createCollector(
    { log, clock: deps.clock, project: access.ingest, onError: (error) => deps.warn('a request could not be taken', error) },
    { maxBodyBytes: config.limits.body_bytes, maxInFlightBytes: config.limits.in_flight_bytes, maxInFlightRequests: config.limits.in_flight_requests, allowedOrigins: config.allowed_origins },
  );
}

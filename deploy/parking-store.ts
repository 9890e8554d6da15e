import { PermanentError, RetryableError } from '../schemas/errors.ts';
import { parkedIdOf, UNSTORABLE, type Parking } from '../schemas/parking.ts';
import type { Config } from '../schemas/config.ts';
import type { Clock } from '../schemas/clock.ts';
import type { Store } from '../schemas/store.ts';

/** Parking in the store: the table `parked`, in bounds, for `retention.content_days`. A message holds what was said, so its body is kept only where content is. */
export type ParkingLimits = {
  /** A larger body is not kept; what is known of it is. */
  readonly maxBodyBytes: number;
  /** Of all bodies that are kept. */
  readonly maxTotalBytes: number;
};

const PARKING_LIMITS: ParkingLimits = { maxBodyBytes: 8 * 2 ** 20, maxTotalBytes: 256 * 2 ** 20 };

export function parkingLimitsOf({ content }: Pick<Config, 'content'>): ParkingLimits {
  return content === 'stored' ? PARKING_LIMITS : { ...PARKING_LIMITS, maxBodyBytes: 0 };
}

const HOUR_MS = 3_600_000;
const MAX_REASON_CHARACTERS = 1_000;

export function createStoreParking(deps: { readonly store: Store; readonly clock: Clock }, limits: ParkingLimits): Parking {
  const { store, clock } = deps;
  return {
    async park(message, { records, reason }) {
      const { project, signal, encoding, received_ms, body } = message;
      const nowMs = clock();
      const entry = { project, hour: Math.floor(received_ms / HOUR_MS) * 3600, signal, count: records, last_batch: 0 };
      try {
        const [kept] = await store.select<{ kept_bytes: number }>(`SELECT sum(length(body)) AS kept_bytes FROM parked FINAL WHERE state = 'parked'`);
        const hasRoom = body.byteLength <= limits.maxBodyBytes && (kept?.kept_bytes ?? 0) + body.byteLength <= limits.maxTotalBytes;
        await store.insert('parked', [
          {
            project, parked_id: parkedIdOf(message), signal, encoding, received_ms, changed_ms: nowMs, state: 'parked', records, bytes: body.byteLength,
            reason: reason.slice(0, MAX_REASON_CHARACTERS), body: hasRoom ? Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64') : '',
          },
        ]);
        // Last: what is counted is there. Where this fails the sender comes again, and the message has the same name.
        if (records > 0) await store.insert('ledger', [{ ...entry, outcome: 'received', reason: '' }, { ...entry, outcome: 'rejected', reason: UNSTORABLE }]);
      } catch (cause) {
        if (!(cause instanceof PermanentError)) throw cause;
        throw new RetryableError(`a message that cannot be stored (${reason}) cannot be parked either: ${cause.message}`, { cause });
      }
    },
  };
}

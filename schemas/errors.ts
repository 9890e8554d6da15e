/**
 * The two kinds of failure. A caller that meets a RetryableError may try the same thing again; after a PermanentError the
 * same input fails the same way. Expected outcomes are values with a reason, not errors.
 */

/** The same input will fail the same way: bad data, bad configuration, a directory that cannot be written. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError';
}

/** Worth another try: the store is busy or full, a peer is away. */
export class RetryableError extends Error {
  override readonly name = 'RetryableError';
  /** Seconds after which a client should come back. */
  readonly retryAfterSeconds: number;
  constructor(message: string, options?: ErrorOptions & { retryAfterSeconds?: number }) {
    super(message, options);
    this.retryAfterSeconds = options?.retryAfterSeconds ?? 5;
  }
}

/** What was thrown, as an Error: anything can be. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

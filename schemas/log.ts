import type { Decoded } from './otlp.ts';

/**
 * The log: the durable queue between collector and analyzer. Kafka when distributed, a direct hand-over when embedded.
 * A message is one OTLP export request, already decompressed, as it came or as the protobuf that was made of its JSON, with the stamp of its
 * arrival, which decides the slot of everything in it (the arrival clock).
 */
export type LogMessage = {
  readonly signal: 'traces' | 'logs';
  /** From the API key, never from the payload. "default" without keys. */
  readonly project: string;
  /** Arrival at the collector, milliseconds since the epoch. */
  readonly received_ms: number;
  readonly encoding: 'protobuf' | 'json';
  readonly body: Uint8Array;
  /** The decoded body, where whoever made the message has it already (a replay); else the analyzer decodes `body`. */
  readonly decoded?: HandedOver<Decoded>;
};

/** Gives what it holds to the first who asks, and lets go of it: decoded spans are some ten times as large as their body, and would wait with it for the store. */
export type HandedOver<Value> = () => Value | null;

export function handOver<Value>(value: Value): HandedOver<Value> {
  let held: Value | null = value;
  return () => {
    const given = held;
    held = null;
    return given;
  };
}

/** The collector's end of the log. */
export interface Log {
  /**
   * Resolves when the message is durable (embedded: when the store has its rows). The body belongs to the log from now on: its memory may be given back at any time.
   * Throws RetryableError when it cannot be taken now (store down, disk full, queue full): the message was not taken.
   * Throws PermanentError when it can never be stored: it is parked (parking.ts), and must not be sent again.
   */
  append(message: LogMessage): Promise<void>;
  /** Bytes and messages taken and not yet durable. */
  pending(): { readonly messages: number; readonly bytes: number };
  /** Stops taking messages and resolves when all that were taken are durable. */
  close(): Promise<void>;
}

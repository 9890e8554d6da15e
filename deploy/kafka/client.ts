import kafkajs, { type Kafka, type SASLOptions } from 'kafkajs';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { KafkaSettings } from '../../schemas/kafka.ts';
import { readSecretFile } from '../secret-file.ts';
import { hasZstd, registerCodecs } from './codecs.ts';

/** The client of the brokers, as the configuration wants it. Throws PermanentError where that cannot be used. */
export function createKafka(settings: KafkaSettings, warn: (message: string, error?: unknown) => void): Kafka {
  if (settings.brokers.length === 0) throw new PermanentError('kafka.brokers is empty: the roles collector, analyzer and api need at least one Kafka broker, as HOST:PORT; for all in one process, without Kafka, start culprit without a role');
  if (settings.compression === 'zstd' && !hasZstd) throw new PermanentError('kafka.compression is zstd, which needs Node.js 22.15 or later; start this role with it, or take lz4');
  registerCodecs();
  const { ssl, sasl } = secured(settings);
  return new kafkajs.Kafka({
    clientId: settings.client_id,
    brokers: settings.brokers,
    connectionTimeout: 5_000,
    requestTimeout: 15_000,
    // The greatest wait before another try; by default it grows until a send hangs for half a minute after a broker was killed.
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 8 },
    logLevel: kafkajs.logLevel.WARN,
    logCreator:
      () =>
      ({ level, log }) => {
        // It tells every retry; what comes to nothing is thrown, and told there.
        if (level === kafkajs.logLevel.ERROR && log['retriable'] !== true) warn(`kafka: ${log.message}`, log['error']);
      },
    ...(ssl === null ? {} : { ssl }),
    ...(sasl === null ? {} : { sasl }),
  });
}

export type Secured = {
  readonly ssl: { readonly ca?: string[]; readonly cert?: string; readonly key?: string } | null;
  readonly sasl: Extract<SASLOptions, { mechanism: Exclude<KafkaSettings['sasl']['mechanism'], 'none'> }> | null;
};

/** How the brokers are spoken to: TLS and login, with what the files hold. Throws PermanentError where they cannot be read. */
export function secured({ tls, sasl }: Pick<KafkaSettings, 'tls' | 'sasl'>): Secured {
  return { ssl: tls.enabled ? sslOf(tls) : null, sasl: saslOf(sasl) };
}

function sslOf(tls: KafkaSettings['tls']): Secured['ssl'] {
  return {
    ...(tls.ca_file === undefined ? {} : { ca: [readSecretFile('kafka.tls.ca_file', tls.ca_file)] }),
    ...(tls.cert_file === undefined ? {} : { cert: readSecretFile('kafka.tls.cert_file', tls.cert_file) }),
    ...(tls.key_file === undefined ? {} : { key: readSecretFile('kafka.tls.key_file', tls.key_file) }),
  };
}

function saslOf({ mechanism, username, password, password_file }: KafkaSettings['sasl']): Secured['sasl'] {
  if (mechanism === 'none') return null;
  const secret = password_file === undefined ? password : readSecretFile('kafka.sasl.password_file', password_file).trim();
  if (username === '' || secret === '') throw new PermanentError(`kafka.sasl.mechanism is ${mechanism}, which needs kafka.sasl.username and kafka.sasl.password_file`);
  return { mechanism, username, password: secret };
}

/** What the client throws, as one of the two kinds. */
export function typedKafkaError(attempt: string, error: unknown): PermanentError | RetryableError {
  if (error instanceof PermanentError || error instanceof RetryableError) return error;
  const message = `${attempt} failed: ${error instanceof Error ? error.message : String(error)}`;
  return isAuthentication(error) ? new PermanentError(message, { cause: error }) : new RetryableError(message, { cause: error });
}

function isAuthentication(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'KafkaJSSASLAuthenticationError' || ('code' in error && error.code === 'PLT_KFK_AUTHENTICATION')) return true;
  return isAuthentication(error.cause) || (error instanceof AggregateError && error.errors.some(isAuthentication));
}

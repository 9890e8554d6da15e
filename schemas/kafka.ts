import { z } from 'zod';

/** The log between collectors and analyzers, where they are processes of their own. */
const topicName = z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, 'is not the name of a topic: letters, digits, ".", "_" and "-", at most 249');

export const KafkaSettings = z.strictObject({
  brokers: z.array(z.string().min(1).max(300)).max(100).default([]).describe('Kafka brokers, HOST:PORT each, for the roles collector, analyzer and api.'),
  client_id: z.string().min(1).max(100).default('culprit').describe('How these processes are named to the brokers, in their logs and quotas.'),
  group: z.string().min(1).max(200).default('culprit').describe('Consumer group of the analyzers; that of the api role has "-api" behind it.'),
  compression: z.enum(['none', 'gzip', 'snappy', 'lz4', 'zstd']).default('lz4').describe('How the collector compresses what it writes. zstd needs Node.js 22.15.'),
  topics: z
    .strictObject({
      spans: topicName.default('otlp_spans').describe('Topic of spans, as the OpenTelemetry Collector names it.'),
      logs: topicName.default('otlp_logs').describe('Topic of log records: scores, feature flags, events of coding agents. As many partitions as that of spans.'),
      parked: topicName.default('culprit_parked').describe('Topic of messages that cannot be read or stored, each with the reason.'),
      duties: topicName.default('culprit_duties').describe('Topic without messages: who owns its partition delivers alerts.'),
      create: z.boolean().default(true).describe('Whether topics that are missing are created at the start.'),
      partitions: z.number().int().min(1).max(4096).default(12).describe('Partitions of topics that are created: at most so many analyzers share the work.'),
      replication: z.number().int().min(0).max(32_767).default(0).describe("Replicas of topics that are created. 0: the brokers' own default."),
      retention_hours: z.number().int().min(1).max(87_600).default(72).describe('How long topics that are created keep messages: so long may the analyzers or the store be away.'),
    })
    .prefault({}),
  tls: z
    .strictObject({
      enabled: z.boolean().default(false).describe('Whether the brokers are spoken to over TLS.'),
      ca_file: z.string().optional().describe("Certificates that sign the brokers' (PEM). Default: those that Node.js brings, and NODE_EXTRA_CA_CERTS."),
      cert_file: z.string().optional().describe('Client certificate (PEM).'),
      key_file: z.string().optional().describe('Key of the client certificate (PEM).'),
    })
    .prefault({}),
  sasl: z
    .strictObject({
      mechanism: z.enum(['none', 'plain', 'scram-sha-256', 'scram-sha-512']).default('none').describe('How these processes say who they are.'),
      username: z.string().default('').describe('User name for SASL.'),
      password: z.string().default('').describe('Password for SASL. A file is better: a flag is seen by everybody on the machine.'),
      password_file: z.string().optional().describe('File that holds the password for SASL.'),
    })
    .prefault({}),
});
export type KafkaSettings = z.output<typeof KafkaSettings>;

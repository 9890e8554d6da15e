import { z } from 'zod';
import { AccessSection } from './access.ts';
import { ClickHouseSettings } from './clickhouse-settings.ts';
import { FactorSettings } from './factor-settings.ts';
import { HookEntry, hookFaults, RollbackLimits } from './hooks.ts';
import { KafkaSettings } from './kafka.ts';
import { MixSettings } from './mix-settings.ts';
import { builtIn, MetricRule, PromptRule } from './metric-settings.ts';
import { OperationsSettings } from './operations.ts';
import { MAX_PATTERN_CHARACTERS, MAX_PATTERNS, patternFault } from './redaction.ts';
import { RegistryEntry, type Registry } from './registry.ts';
import { RouteEntry } from './routes.ts';
import { SinkEntry, type SinkSettings } from './sinks.ts';
import { TagKeys } from './tag-keys.ts';
import { WebhookEntry, type Webhook } from './webhook.ts';

/**
 * Every setting of Culprit: one YAML file, every scalar of it also an environment variable and a flag.
 * The descriptions are the text of `--help`; units stand last in the names (`_s` seconds, `_days`, `_bytes`).
 */

const RedactPattern = z
  .string()
  .min(1)
  .max(MAX_PATTERN_CHARACTERS)
  .superRefine((pattern, context) => {
    const fault = patternFault(pattern);
    if (fault !== null) context.addIssue({ code: 'custom', message: fault });
  });

const MiB = 1024 * 1024;
const DAY_S = 86_400;

/** The YAML file as a person writes it, with every default filled in. */
export const ConfigFile = z
  .strictObject({
    data: z.string().min(1).default('data').describe('Directory of the embedded store. One process at a time.'),
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on. Other than loopback only with API keys or a login (docs/ACCESS.md).'),
    port: z.number().int().min(0).max(65_535).default(4318).describe('Port for OTLP/HTTP, API and page. 0: any free one.'),
    grpc: z.boolean().default(true).describe('Whether OTLP/gRPC is taken, too.'),
    grpc_port: z.number().int().min(0).max(65_535).optional().describe('Port for OTLP/gRPC. 0: any free one. Default: one below `port`, so 4317.'),
    public_url: z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://culprit.example.com' }).optional().describe('How people reach this server; links in alerts begin with it. Default: http://HOST:PORT.'),
    allowed_origins: z
      .array(z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text, 'is no origin; write scheme and host only, like https://app.example.com'))
      .max(100)
      .default([])
      .describe('Origins whose pages may send telemetry from the browser (CORS), like https://app.example.com. What a page holds everybody can read: give it a key of scope ingest at most.'),
    trace_url: z
      .string()
      .max(2000)
      .regex(/^https?:\/\/[^\s{}]+\{trace_id\}[^\s]*$/, 'is no http(s) address with {trace_id} in its path or query; write it like https://viewer.example.com/trace/{trace_id}')
      .optional()
      .describe('Your trace viewer, for links on the page: an address with {trace_id} in it, and {span_id} where it takes one.'),
    project: z.string().min(1).max(256).default('default').describe('Project of what arrives without an API key.'),
    log_level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severe log line that is written.'),
    content: z.enum(['off', 'hashed', 'stored']).default('off').describe('Message content that is stored. off: none, only signals made from it. hashed: its SHA-256. stored: its text, after `redact`.'),
    redact: z.array(RedactPattern).max(MAX_PATTERNS).default([]).meta({ inFileOnly: true }).describe('Regular expressions (RE2) of what is taken out of content before it is stored or hashed.'),
    alpha: z.number().gt(0).max(0.5).default(0.01).describe('Chance that a rollout that changes nothing is ever alerted on.'),
    resolve_wait_s: z.number().nonnegative().max(600).default(30).describe('Longest wait for a relative of a span that may carry its prompt version.'),
    session_window_s: z.number().nonnegative().max(DAY_S).default(180).describe('How long calls of one session are gathered into one unit. 0: a unit is its first call.'),
    allow_private_addresses: z.boolean().default(false).describe('Whether webhooks may go to private, loopback and link-local addresses.'),
    retention: z
      .strictObject({
        calls_days: z.number().int().min(1).max(36_500).default(30).describe('How long calls and scores are kept.'),
        cells_days: z.number().int().min(1).max(36_500).default(400).describe('How long hourly cells are kept: what calls and scores amounted to, for questions over months.'),
        content_days: z.number().int().min(1).max(36_500).default(7).describe('How long message content is kept, where it is stored.'),
        evidence_days: z.number().int().min(1).max(36_500).default(400).describe('How long strata, evidence and their history are kept.'),
      })
      .prefault({}),
    limits: z
      .strictObject({
        body_bytes: z.number().int().min(1024).max(1024 * MiB).default(64 * MiB).describe('Largest request, as sent and after decompression.'),
        in_flight_bytes: z.number().int().min(1024).max(64 * 1024 * MiB).default(256 * MiB).describe('Bodies held at once; beyond it 503 with Retry-After.'),
        in_flight_requests: z.number().int().min(1).max(100_000).default(1024).describe('Requests held at once; beyond it 503 with Retry-After.'),
        waiting_deliveries: z.number().int().min(1).max(1_000_000).default(1000).describe('Alert transitions held in memory for each sink; more stay in the store.'),
      })
      .prefault({}),
    strata: z
      .strictObject({
        attributes: z.array(z.string().min(1).max(256)).max(16).default(['app.route', 'http.route', 'gen_ai.agent.name']).describe('Span attributes that only like calls are compared within.'),
      })
      .prefault({}),
    factors: FactorSettings.prefault({}),
    mix: MixSettings.prefault({}),
    keys: TagKeys.prefault({}),
    access: AccessSection.prefault({}),
    kafka: KafkaSettings.prefault({}),
    clickhouse: ClickHouseSettings.prefault({}),
    operations: OperationsSettings.prefault({}),
    feature_flags: z.record(z.string().min(1).max(256), z.string().min(1).max(256)).default({}).describe('Prompts whose versions are picked by a feature flag: the flag key, and the prompt.'),
    metrics: z.record(z.string().min(1), MetricRule).default({}),
    prompts: z.record(z.string().min(1), PromptRule).default({}),
    hooks: z.array(HookEntry).max(100).default([]),
    rollbacks: RollbackLimits.prefault({}),
    webhooks: z.array(WebhookEntry).max(100).default([]),
    sinks: z.array(SinkEntry).max(100).default([]),
    routes: z.array(RouteEntry).max(200).default([]),
    registries: z.array(RegistryEntry).max(4).default([]),
  })
  .superRefine((config, context) => {
    const rules = [
      { at: ['metrics'], metrics: config.metrics },
      ...Object.entries(config.prompts).map(([prompt, rule]) => ({ at: ['prompts', prompt, 'metrics'], metrics: rule.metrics ?? {} })),
    ];
    for (const { at, metrics } of rules) {
      for (const [name, rule] of Object.entries(metrics)) {
        const kind = builtIn(name)?.kind;
        // A score is read before it has met the call that it judges, and with it the prompt.
        if (at[0] === 'prompts' && (rule.good ?? rule.bad) !== undefined) {
          context.addIssue({ code: 'custom', path: [...at, name, rule.good === undefined ? 'bad' : 'good'], message: `is the same for all prompts; move it to metrics.${name}` });
        }
        if (kind !== undefined && rule.kind !== undefined && rule.kind !== kind) {
          context.addIssue({ code: 'custom', path: [...at, name, 'kind'], message: `cannot change, ${name} is built in as ${kind}; remove the line` });
        }
      }
    }
    const sinks = [...config.webhooks.map(({ name }, index) => ({ name, at: ['webhooks', index] })), ...config.sinks.map(({ name }, index) => ({ name, at: ['sinks', index] }))];
    const twice = sinks.find(({ name }, index) => sinks.findIndex((other) => other.name === name) < index);
    // The journal of deliveries is kept by name: two sinks of one name would take each other's deliveries for their own.
    if (twice !== undefined) context.addIssue({ code: 'custom', path: [...twice.at, 'name'], message: `is used twice; give each ${twice.at[0] === 'webhooks' ? 'webhook' : 'sink'} a name of its own` });
    for (const fault of hookFaults(config)) context.addIssue({ code: 'custom', ...fault });
    for (const [index, route] of config.routes.entries()) {
      for (const name of [...route.sinks, ...route.escalate.flatMap((step) => step.sinks)]) {
        if (!sinks.some((sink) => sink.name === name)) context.addIssue({ code: 'custom', path: ['routes', index], message: `names the sink ${JSON.stringify(name.slice(0, 80))}, which there is not; sinks are ${sinks.map((sink) => sink.name).join(', ') || 'none'}` });
      }
    }
  });

/** The settings as the program has them: validated, defaults filled in, secrets read. Never log it whole: it holds secrets. */
export type Config = Omit<z.output<typeof ConfigFile>, 'webhooks' | 'sinks' | 'registries'> & { webhooks: readonly Webhook[]; sinks: readonly SinkSettings[]; registries: readonly Registry[] };

/** HOST:PORT as it stands in a URL: the colons of an IPv6 address are in brackets (RFC 3986). */
export function authorityOf({ host, port }: Pick<Config, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** How people reach this server; links in alerts begin with it. */
export function publicUrlOf(config: Pick<Config, 'host' | 'port' | 'public_url'>): string {
  return (config.public_url ?? `http://${authorityOf(config)}`).replace(/\/+$/, '');
}

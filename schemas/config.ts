import { z } from 'zod';
import { MetricKind } from './evidence.ts';
import { MAX_PATTERN_CHARACTERS, MAX_PATTERNS, patternFault } from './redaction.ts';
import type { ScoreDataType } from './score.ts';

/**
 * Every setting of Culprit: one YAML file, every scalar of it also an environment variable and a flag.
 * The descriptions are the text of `--help`; units stand last in the names (`_s` seconds, `_days`, `_bytes`).
 */

const Direction = z.enum(['up', 'down']);
const Severity = z.enum(['page', 'ticket', 'none']);

const LabelList = z.array(z.string().trim().min(1).max(256)).min(1).max(1000);

/** What may be said of a metric, for all prompts or for one. What is left out keeps its default. */
const MetricRule = z
  .strictObject({
    kind: MetricKind.optional().describe('rate (0 or 1), score (bounded judgement) or distribution (latency, cost, …). Built-in metrics have theirs.'),
    direction: Direction.optional().describe('Which way is worse.'),
    weight: z.number().nonnegative().max(1000).optional().describe('Share of alpha staked on it, relative to the other metrics. 0: shown, not bet on.'),
    tolerance: z.number().nonnegative().max(1).optional().describe('Effect that is not worth an alert. Rates, scores: the difference (scores from 0 to 1). Scores, distributions: the chance of being worse less that of being better. Distributions: also the relative increase of the root mean square.'),
    severity: Severity.optional().describe('What an alert that is headed by it becomes. none: shown, not bet on, never raised.'),
    minimum: z.number().optional().describe('Scale of a score: its lowest value.'),
    maximum: z.number().optional().describe('Scale of a score: its highest value.'),
    good: LabelList.optional().describe('Labels that count as 1. Where only one of the two lists is given, every other label counts for the other.'),
    bad: LabelList.optional().describe('Labels that count as 0.'),
  })
  .refine((rule) => rule.minimum === undefined || rule.maximum === undefined || rule.minimum < rule.maximum, {
    path: ['minimum'],
    message: 'is not below maximum; swap the two',
  })
  .refine(({ good = [], bad = [] }) => !good.some((label) => bad.includes(label)), { path: ['good'], message: 'shares a label with bad; keep it in one of the two' });
type MetricRule = z.infer<typeof MetricRule>;

/** Attribute names of a project's own. Each list is tried in its order, on the span and then on its resource, before everything that is known. */
const OwnKeys = z.array(z.string().min(1).max(256)).max(16).default([]);

const TagKeys = z.strictObject({
  prompt_name: OwnKeys.describe("Your own attributes that hold the prompt's name. They win over all others."),
  prompt_version: OwnKeys.describe("Your own attributes that hold the prompt's version."),
  prompt_label: OwnKeys.describe("Your own attributes that hold the prompt's label (production, canary)."),
  session: OwnKeys.describe('Your own attributes that hold the session.'),
  user: OwnKeys.describe('Your own attributes that hold the user. It is stored as a hash.'),
});
export type TagKeys = z.infer<typeof TagKeys>;

const PromptRule = z.strictObject({
  baseline: z.string().min(1).optional().describe('Version that new versions are compared with.'),
  split: z.record(z.string().min(1), z.number().positive()).optional().describe('How traffic is meant to be divided between versions, as weights. Where it is not, nothing is decided.'),
  owner: z.string().min(1).optional().describe('Who is named in its alerts: a team, a handle, an address.'),
  metrics: z.record(z.string().min(1), MetricRule).optional(),
});
type PromptRule = z.infer<typeof PromptRule>;

const RedactPattern = z
  .string()
  .min(1)
  .max(MAX_PATTERN_CHARACTERS)
  .superRefine((pattern, context) => {
    const fault = patternFault(pattern);
    if (fault !== null) context.addIssue({ code: 'custom', message: fault });
  });

export const WebhookEvent = z.enum(['alert.open', 'alert.acknowledged', 'alert.resolved']);
export type WebhookEvent = z.infer<typeof WebhookEvent>;

/** `whsec_` and the base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme"). */
export const WebhookSecret = z.string().refine(
  (secret) => /^whsec_(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(secret) && secret.length >= 'whsec_'.length + 32 && secret.length <= 'whsec_'.length + 88,
  'is not a Standard Webhooks secret; make one with: echo "whsec_$(openssl rand -base64 32)"',
);

const WebhookEntry = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'may hold a-z, 0-9, - and _ only, at most 64 characters'),
    url: z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://hooks.example.com/culprit' }),
    secret: WebhookSecret.optional().describe('whsec_… that signs what is sent.'),
    secret_file: z.string().min(1).optional().describe('File that holds the secret.'),
    secret_env: z.string().min(1).optional().describe('Environment variable that holds the secret.'),
    events: z.array(WebhookEvent).min(1).default([...WebhookEvent.options]),
    timeout_s: z.number().positive().max(30).default(15),
  })
  .refine((webhook) => [webhook.secret, webhook.secret_file, webhook.secret_env].filter((source) => source !== undefined).length === 1, {
    path: ['secret'],
    message: 'must be given once; set exactly one of secret, secret_file and secret_env',
  });

/** A webhook whose secret has been read. */
export type Webhook = { name: string; url: string; secret: string; events: readonly WebhookEvent[]; timeout_s: number };

export type BuiltInMetric = { readonly kind: MetricKind; readonly direction: 'up' | 'down'; readonly weight: number };

/** The metrics that every call has by itself. Weights are relative and normalised when a comparison opens; tokens are shown, not bet on. */
export const BUILT_IN_METRICS = {
  error_rate: { kind: 'rate', direction: 'up', weight: 4 },
  latency: { kind: 'distribution', direction: 'up', weight: 4 },
  format: { kind: 'rate', direction: 'up', weight: 3 },
  cost: { kind: 'distribution', direction: 'up', weight: 2 },
  ttft: { kind: 'distribution', direction: 'up', weight: 1.5 },
  truncated: { kind: 'rate', direction: 'up', weight: 1.5 },
  empty: { kind: 'rate', direction: 'up', weight: 1 },
  content_filter: { kind: 'rate', direction: 'up', weight: 1 },
  input_tokens: { kind: 'distribution', direction: 'up', weight: 0 },
  output_tokens: { kind: 'distribution', direction: 'up', weight: 0 },
} as const satisfies Record<string, BuiltInMetric>;

/** Weight that all scores of a comparison share, where no weight of their own is set. */
const ALL_SCORES_WEIGHT = 4;

/** Half a point for rates and scores, two points (or 2 % of the root mean square) for distributions: analyzer/statistics/effect.ts, `worseningOf`. */
const DEFAULT_TOLERANCE: Readonly<Record<MetricKind, number>> = { rate: 0.005, score: 0.005, distribution: 0.02 };

const MiB = 1024 * 1024;
const DAY_S = 86_400;

/** The YAML file as a person writes it, with every default filled in. */
export const ConfigFile = z
  .strictObject({
    data: z.string().min(1).default('data').describe('Directory of the embedded store. One process at a time.'),
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on. Loopback only, as there are no API keys yet.'),
    port: z.number().int().min(0).max(65_535).default(4318).describe('Port for OTLP/HTTP, API and page. 0: any free one.'),
    public_url: z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://culprit.example.com' }).optional().describe('How people reach this server; links in alerts begin with it. Default: http://HOST:PORT.'),
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
    keys: TagKeys.prefault({}),
    feature_flags: z.record(z.string().min(1).max(256), z.string().min(1).max(256)).default({}).describe('Prompts whose versions are picked by a feature flag: the flag key, and the prompt.'),
    metrics: z.record(z.string().min(1), MetricRule).default({}),
    prompts: z.record(z.string().min(1), PromptRule).default({}),
    webhooks: z.array(WebhookEntry).max(100).default([]),
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
    const names = config.webhooks.map((webhook) => webhook.name);
    const twice = names.findIndex((name, index) => names.indexOf(name) < index);
    // The journal of deliveries is kept by name: two sinks of one name would take each other's deliveries for their own.
    if (twice >= 0) context.addIssue({ code: 'custom', path: ['webhooks', twice, 'name'], message: 'is used twice; give each webhook a name of its own' });
  });

/** The settings as the program has them: validated, defaults filled in, secrets read. Never log it whole: it holds secrets. */
export type Config = Omit<z.output<typeof ConfigFile>, 'webhooks'> & { webhooks: readonly Webhook[] };

/** One metric as it is tested on one prompt. */
export type MetricChoice = {
  kind: MetricKind;
  direction: 'up' | 'down';
  /** Relative. `all_scores`: one weight that all such scores of the comparison share between them. */
  weight: number;
  weight_for: 'metric' | 'all_scores';
  tolerance: number;
  severity: 'page' | 'ticket' | 'none';
  minimum?: number;
  maximum?: number;
};

/**
 * How a metric is tested on a prompt. The most specific word wins, field by field: the prompt's own name, a pattern such as
 * `support/*` (the one with more literal characters first), `metrics.<name>`, the built-in default.
 * `observedKind` is what the values look like, used for scores that nobody configured; built-in metrics ignore it.
 */
export function metricSettingsFor(config: Pick<Config, 'metrics' | 'prompts'>, promptName: string, metricName: string, observedKind: MetricKind): MetricChoice {
  const rule = [own(config.metrics, metricName), ...promptRules(config.prompts, promptName).map(({ metrics = {} }) => own(metrics, metricName))].reduce<MetricRule>(
    (merged, next) => ({ ...merged, ...next }),
    {},
  );
  const known = builtIn(metricName);
  const kind = known?.kind ?? rule.kind ?? observedKind;
  const severity = rule.severity ?? 'page';
  const weight = rule.weight ?? known?.weight ?? ALL_SCORES_WEIGHT;
  return {
    kind,
    // A judgement is better the higher it is, unless said otherwise.
    direction: rule.direction ?? known?.direction ?? 'down',
    weight: severity === 'none' ? 0 : weight,
    weight_for: known === undefined && rule.weight === undefined ? 'all_scores' : 'metric',
    tolerance: rule.tolerance ?? DEFAULT_TOLERANCE[kind],
    severity,
    ...(rule.minimum === undefined ? {} : { minimum: rule.minimum }),
    ...(rule.maximum === undefined ? {} : { maximum: rule.maximum }),
  };
}

/** The labels of a score that are configured to be good or bad, in lower case; null: none are. */
export function scoreLabelsFor(config: Pick<Config, 'metrics'>, scoreName: string): { readonly good: ReadonlySet<string>; readonly bad: ReadonlySet<string> } | null {
  const { good, bad } = own(config.metrics, scoreName) ?? {};
  if (good === undefined && bad === undefined) return null;
  const lower = (labels: readonly string[] = []): ReadonlySet<string> => new Set(labels.map((label) => label.toLowerCase()));
  return { good: lower(good), bad: lower(bad) };
}

/** The type of a score that is configured, by its labels or its kind. Null: that of its first value. */
export function scoreTypeFor(config: Pick<Config, 'metrics'>, scoreName: string): ScoreDataType | null {
  const rule = own(config.metrics, scoreName);
  if (rule === undefined) return null;
  if (rule.good !== undefined || rule.bad !== undefined || rule.kind === 'rate') return 'boolean';
  return rule.kind === undefined ? null : 'numeric';
}

/** Baseline, owner and split of a prompt, by the same order of precedence. */
export function promptSettingsFor(config: Pick<Config, 'prompts'>, promptName: string): { baseline?: string; owner?: string; split?: Readonly<Record<string, number>> } {
  const { baseline, owner, split } = promptRules(config.prompts, promptName).reduce<PromptRule>((merged, next) => ({ ...merged, ...next }), {});
  return { ...(baseline === undefined ? {} : { baseline }), ...(owner === undefined ? {} : { owner }), ...(split === undefined ? {} : { split }) };
}

function builtIn(name: string): BuiltInMetric | undefined {
  return own<BuiltInMetric>(BUILT_IN_METRICS, name);
}

/** Score and prompt names come from telemetry: "constructor" must not find what every object inherits. */
function own<Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Least specific first, so that later ones override. */
function promptRules(prompts: Config['prompts'], promptName: string): PromptRule[] {
  const literalCharacters = (pattern: string) => pattern.replaceAll('*', '').length;
  const patterns = Object.keys(prompts)
    .filter((pattern) => pattern !== promptName && pattern.includes('*') && matches(pattern, promptName))
    .sort((x, y) => literalCharacters(x) - literalCharacters(y) || (x < y ? -1 : 1));
  return [...patterns, promptName].map((pattern) => own(prompts, pattern)).filter((rule) => rule !== undefined);
}

/** `*` stands for any characters, `/` too. Linear in the name for one star, never exponential: no regular expression is built. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last)) return false;
  let position = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, position);
    if (found < 0) return false;
    position = found + part.length;
  }
  return position <= name.length - last.length;
}

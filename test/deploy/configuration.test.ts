import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadConfiguration, type CommandFlags, type Loaded, type Sources } from '../../deploy/configuration.ts';
import { SETTINGS, settingsHelp } from '../../deploy/settings.ts';
import { authorityOf, ConfigFile, publicUrlOf } from '../../schemas/config.ts';
import { metricSettingsFor, promptSettingsFor, scoreLabelsFor, scoreTypeFor } from '../../schemas/metric-settings.ts';
import { PermanentError } from '../../schemas/errors.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

type Given = Pick<Sources, 'defaults'> & { argv?: string[]; environment?: Record<string, string>; files?: Record<string, string>; commandFlags?: CommandFlags };

function load({ argv = [], environment = {}, files = {}, commandFlags = {}, defaults = {} }: Given): Loaded {
  const readFile = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    return text;
  };
  return loadConfiguration({ argv, environment, readFile, commandFlags, defaults });
}

function configOf(given: Given) {
  const loaded = load(given);
  if (loaded.kind !== 'run') throw new Error('expected a configuration');
  return loaded.config;
}

function problemOf(given: Given): string {
  try {
    load(given);
  } catch (error) {
    expect(error).toBeInstanceOf(PermanentError);
    if (error instanceof PermanentError) return error.message;
  }
  throw new Error('expected a refusal');
}

const yaml = (text: string): Given => ({ argv: ['--config', 'culprit.yaml'], files: { 'culprit.yaml': text } });

describe('precedence', () => {
  it('has a default for everything', () => {
    const config = configOf({});
    expect(config).toMatchObject({ data: 'data', host: '127.0.0.1', port: 4318, alpha: 0.01, resolve_wait_s: 30, session_window_s: 180, project: 'default' });
    expect(config.retention).toEqual({ calls_days: 30, cells_days: 400, content_days: 7, evidence_days: 400 });
    expect(config.strata.attributes).toEqual(['app.route', 'http.route', 'gen_ai.agent.name']);
    expect(config.allow_private_addresses).toBe(false);
  });

  it('takes the flag before the variable before the file', () => {
    const files = { 'culprit.yaml': 'port: 1\nhost: ::1\nproject: from-file\n' };
    const environment = { CULPRIT_CONFIG: 'culprit.yaml', CULPRIT_PORT: '2', CULPRIT_HOST: '0.0.0.0' };
    expect(configOf({ argv: ['--port', '3'], environment, files })).toMatchObject({ port: 3, host: '0.0.0.0', project: 'from-file' });
  });

  it.each(SETTINGS.map((setting) => [setting.key, setting] as const))('reads %s in all three ways', (_, { path, flag, variable, key, node }) => {
    const special: Record<string, string | string[]> = { public_url: 'https://culprit.example.com', 'access.trusted_proxies': ['10.0.0.0/8', '::1'], allowed_origins: ['https://app.example.com', 'http://localhost:3000'], 'clickhouse.url': 'https://clickhouse.example.com:8443', trace_url: 'https://viewer.example.com/trace/{trace_id}', 'clickhouse.database': 'culprit' };
    const value = special[key] ?? (key.startsWith('kafka.topics.') && node.type === 'string' ? 'a.topic_of-mine' : undefined) ?? node.enum?.[0] ?? { integer: 2048, number: 0.25, boolean: true, array: ['x.y', 'z'], string: 'some text' }[String(node.type)];
    const text = Array.isArray(value) ? value.join(',') : String(value);
    const written = path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
    const read = (given: Given) => path.reduce<unknown>((at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined), configOf({ ...given, files: { ...given.files, 'some text': 'k'.repeat(40) } }));
    expect(read({ argv: [`${flag}=${text}`] })).toEqual(value);
    expect(read({ environment: { [variable]: text } })).toEqual(value);
    expect(read(yaml(JSON.stringify(written)))).toEqual(value);
    expect(settingsHelp()).toContain(flag);
  });

  it('takes a bare boolean flag as true, and reads "off" as false', () => {
    expect(configOf({ argv: ['--allow-private-addresses'] }).allow_private_addresses).toBe(true);
    expect(configOf({ argv: ['--allow-private-addresses=off'], environment: { CULPRIT_ALLOW_PRIVATE_ADDRESSES: '1' } }).allow_private_addresses).toBe(false);
  });

  it('leaves positionals and the flags of the command to the command', () => {
    const loaded = load({ argv: ['a.jsonl', '--json', '--evidence', 'out', '--port=9', '--', '--b.jsonl'], commandFlags: { '--json': '', '--evidence DIR': '' } });
    expect(loaded).toMatchObject({ kind: 'run', positionals: ['a.jsonl', '--b.jsonl'], flags: { '--json': true, '--evidence': 'out' }, config: { port: 9 } });
  });

  it('takes what a command has for a default only where nothing else is said', () => {
    const defaults = { data: 'of-the-demo' };
    expect(configOf({ defaults }).data).toBe('of-the-demo');
    expect(configOf({ defaults, ...yaml('data: of-the-file') }).data).toBe('of-the-file');
    expect(configOf({ defaults, environment: { CULPRIT_DATA: 'of-the-environment' } }).data).toBe('of-the-environment');
  });

  it('answers --help even beside mistakes', () => {
    expect(load({ argv: ['--prot', '1', '--help'] })).toEqual({ kind: 'help' });
  });

  it('ignores what Kubernetes and compose files put into the environment', () => {
    const environment = { CULPRIT_PORT: 'tcp://10.0.0.7:4318', CULPRIT_PORT_4318_TCP_ADDR: '10.0.0.7', CULPRIT_SERVICE_HOST: '10.0.0.7', CULPRIT_HOST: '' };
    expect(configOf({ environment })).toMatchObject({ port: 4318, host: '127.0.0.1' });
  });

  it('treats an empty section as its defaults', () => {
    expect(configOf(yaml('retention:\nwebhooks:\n# nothing yet\n')).retention.calls_days).toBe(30);
    expect(configOf(yaml('')).port).toBe(4318);
  });
});

describe('refusals', () => {
  it.each<[string, Given, string]>([
    ['a mistyped key', yaml('retention:\n  cals_days: 3\n'), 'retention.cals_days (culprit.yaml line 2) is not a setting; did you mean calls_days?'],
    ['a key like no other', yaml('retention: { zzzzzzzzzz: 3 }'), 'retention.zzzzzzzzzz (culprit.yaml line 1) is not a setting; known here: calls_days, cells_days, content_days, evidence_days.'],
    ['a mistyped flag', { argv: ['--prot=1'] }, '--prot is not a flag; did you mean --port?'],
    ['a mistyped variable', { environment: { CULPRIT_PROT: '1' } }, 'CULPRIT_PROT is not a setting; did you mean CULPRIT_PORT? (unset it, or rename it)'],
    ['text for a number', { argv: ['--port', 'abc'] }, '--port is "abc"; give a whole number from 0 to 65535.'],
    ['hexadecimal', { environment: { CULPRIT_PORT: '0x10' } }, 'CULPRIT_PORT is "0x10"; give a whole number from 0 to 65535.'],
    ['a fraction for a whole number', yaml('port: 1.5'), 'port (culprit.yaml line 1) is 1.5; give a whole number from 0 to 65535.'],
    ['a number out of range', { argv: ['--alpha=0'] }, '--alpha is 0; give a number above 0 to 0.5.'],
    ['an unknown choice', yaml('\nlog_level: loud'), 'log_level (culprit.yaml line 2) is "loud"; give one of debug, info, warn, error.'],
    ['a scalar for a section', yaml('retention: 5'), 'retention (culprit.yaml line 1) is 5; give a mapping (key: value).'],
    ['a list for a section', yaml('metrics: [latency]'), 'metrics (culprit.yaml line 1) does not fit; give a mapping (key: value).'],
    ['a missing value', { argv: ['--port'] }, '--port has no value; write it behind, like --port=VALUE.'],
    ['a file that is not there', { argv: ['--config=nope.yaml'] }, "--config nope.yaml cannot be read (ENOENT: no such file or directory, open 'nope.yaml'); name a file that exists and is readable."],
    ['a file that is a list', yaml('- a'), 'culprit.yaml is not a mapping; write one "key: value" a line.'],
    ['another kind of a built-in metric', yaml('metrics: { latency: { kind: rate } }'), 'metrics.latency.kind (culprit.yaml line 1) cannot change, latency is built in as distribution; remove the line.'],
    ['a scale upside down', yaml('metrics:\n  quality: { minimum: 5, maximum: 1 }'), 'metrics.quality.minimum (culprit.yaml line 2) is not below maximum; swap the two.'],
    ['a webhook without a secret', yaml('webhooks:\n  - name: ops\n    url: https://x.example\n'), 'webhooks.0.secret (culprit.yaml line 2) must be given once; set exactly one of secret, secret_file and secret_env.'],
    ['two webhooks of one name', yaml(`webhooks: [{name: a, url: "https://x.example", secret: ${secret}}, {name: a, url: "https://y.example", secret: ${secret}}]`), 'webhooks.1.name (culprit.yaml line 1) is used twice; give each webhook a name of its own.'],
    ['a webhook that is no web address', yaml(`webhooks: [{name: a, url: "ftp://x.example", secret: ${secret}}]`), 'webhooks.0.url (culprit.yaml line 1) is not an http(s) URL; write it in full, like https://hooks.example.com/culprit.'],
    ['a secret variable that is not set', yaml('webhooks: [{name: a, url: "https://x.example", secret_env: HOOK}]'), 'webhooks.0.secret_env (culprit.yaml line 1) of a names HOOK, which is not set; set it or name another.'],
    ['a redaction that is no regular expression', yaml("redact:\n  - 'a('\n"), 'redact.0 (culprit.yaml line 2) is no regular expression of RE2 (missing closing ): `a(`); RE2 has neither look-around nor back references.'],
    ['a redaction that only a backtracking engine can match', yaml("redact: ['(?<=x)y']"), 'redact.0 (culprit.yaml line 1) is no regular expression of RE2 (invalid named capture: `(?<=x)y`); RE2 has neither look-around nor back references.'],
    ['a redaction of nothing', yaml("redact: ['\\d*']"), 'redact.0 (culprit.yaml line 1) matches where there is nothing, so it would be everywhere; make it match at least one character.'],
    ['redactions as a flag, where commas part values', { argv: ['--redact=a{1,2}'] }, '--redact is not a flag; --help lists them all.'],
    ['broken YAML', yaml('port: 1\nhost: "open\nproject: x\n'), 'culprit.yaml line 4 is not valid YAML (missing char); correct it there or in the line above.'],
  ])('refuses %s in one sentence', (_, given, sentence) => {
    expect(problemOf(given)).toBe(sentence);
  });

  it('names every mistake, one a line', () => {
    expect(problemOf({ argv: ['--port=x', '--prot=1'] }).split('\n')).toHaveLength(2);
  });

  it('never repeats a secret', () => {
    const almost = 'whsec_hunter2hunter2';
    const files = { hook: almost };
    const given: Given[] = [
      yaml(`webhooks: [{name: a, url: "https://x.example", secret: ${almost}}]`),
      yaml(`webhooks: [{name: a, url: "https://x.example", secret: [${almost}]}]`),
      yaml(`webhooks: [{name: a, url: "https://x.example", secret: "${almost}]`),
      yaml(`webhooks: [{name: a, url: "https://x.example", sekret: ${almost}}]`),
      { ...yaml(`webhooks: [{name: a, url: "https://x.example", secret_env: HOOK}]`), environment: { HOOK: almost } },
      { argv: ['--config=c'], files: { ...files, c: 'webhooks: [{name: a, url: "https://x.example", secret_file: hook}]' } },
      { argv: [`--webhook-secret=${almost}`] },
    ];
    for (const one of given) expect(problemOf(one)).not.toContain('hunter2');
  });

  it('reads secrets from a file and from the environment', () => {
    const text = 'webhooks: [{name: a, url: "https://x.example", secret_file: hook}, {name: b, url: "https://y.example", secret_env: HOOK, events: [alert.open]}]';
    const config = configOf({ argv: ['--config=c'], environment: { HOOK: secret }, files: { c: text, hook: `${secret}\n` } });
    expect(config.webhooks).toEqual([
      { name: 'a', url: 'https://x.example', secret, events: ['alert.open', 'alert.rollback', 'alert.acknowledged', 'alert.resolved'], format: 'standard', timeout_s: 15 },
      { name: 'b', url: 'https://y.example', secret, events: ['alert.open'], format: 'standard', timeout_s: 15 },
    ]);
  });

  it('reads sinks with their secrets, and routes', () => {
    const text = `
sinks:
  - { name: team, kind: slack, url_env: SLACK }
  - { name: on-call, kind: pagerduty, routing_key_file: key, per_minute: 60 }
  - { name: am, kind: alertmanager, url: "http://am:9093" }
  - { name: mail, kind: email, url: "smtp://mail.example.com", from: culprit@example.com, to: [a@example.com], user: u, password: hunter2 }
routes:
  - { match: ["severity=page"], sinks: [on-call], continue: true, escalate: [{ after_s: 900, sinks: [mail] }] }
  - { sinks: [team, am] }`;
    const config = configOf({ argv: ['--config=c'], environment: { SLACK: 'https://hooks.slack.com/services/x' }, files: { c: text, key: 'R123\n' } });
    expect(config.sinks).toMatchObject([
      { kind: 'slack', url: 'https://hooks.slack.com/services/x', per_minute: 30 },
      { kind: 'pagerduty', routing_key: 'R123', per_minute: 60, url: 'https://events.pagerduty.com' },
      { kind: 'alertmanager', url: 'http://am:9093', refresh_s: 60 },
      { kind: 'email', password: 'hunter2', tls: 'required' },
    ]);
    expect(JSON.stringify(config.sinks)).not.toMatch(/_env|_file/);
    expect(config.routes).toMatchObject([{ match: ['severity=page'], sinks: ['on-call'], continue: true, group_by: [] }, { match: [], continue: false, escalate: [] }]);
  });

  it.each([
    ['a kind that there is not', 'sinks: [{ name: a, kind: slak, url: "https://x.example" }]', 'sinks.0.kind (culprit.yaml line 1) does not fit; give one of slack, pagerduty, alertmanager, email.'],
    ['a key that there is not', 'sinks: [{ name: a, kind: slack, url: "https://x.example", per_minit: 3 }]', 'sinks.0.per_minit (culprit.yaml line 1) is not a setting; did you mean per_minute?'],
    ['a sink without its secret', 'sinks: [{ name: a, kind: slack }]', 'sinks.0.url (culprit.yaml line 1) must be given once; set exactly one of url, url_file and url_env.'],
    ['a secret that does not fit', 'sinks: [{ name: a, kind: slack, url_env: HOOK }]', 'sinks.0.url_env (culprit.yaml line 1) of a is not an http(s) URL; write it in full, like https://hooks.example.com/culprit.'],
    ['a sink of a name that a webhook has', `webhooks: [{name: a, url: "https://x.example", secret: ${secret}}]\nsinks: [{ name: a, kind: alertmanager, url: "https://x.example" }]`, 'sinks.0.name (culprit.yaml line 2) is used twice; give each sink a name of its own.'],
    ['a route to nowhere', 'routes: [{ sinks: [b] }]', 'routes.0 (culprit.yaml line 1) names the sink "b", which there is not; sinks are none.'],
    ['a label that there is not', 'sinks: [{ name: a, kind: alertmanager, url: "https://x.example" }]\nroutes: [{ match: ["promt=x"], sinks: [a] }]', 'routes.0.match.0 (culprit.yaml line 2) has no label "promt" to match; labels are project, environment, prompt, version, metric, severity, factor, culprit, baseline, owner, grade, alert.'],
  ])('refuses %s', (_, text, sentence) => {
    const given = { ...yaml(text), environment: { HOOK: 'ftp://hunter2.example' } };
    expect(problemOf(given)).toBe(sentence);
  });

  it('answers any text with a configuration or a PermanentError', () => {
    const piece = fc.oneof(fc.constantFrom('port', 'metrics', 'webhooks', ': ', '\n', '  ', '- ', '&a ', '*a', '{', '}', '[', '"', '!!js ', '__proto__', '4318', '? '), fc.string());
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.string(), { maxLength: 3 }), (pieces, argv) => {
        try {
          load({ argv: ['--config=c', ...argv], files: { c: pieces.join('') } });
        } catch (error) {
          expect(error).toBeInstanceOf(PermanentError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('metric settings', () => {
  const parse = (text: object) => ConfigFile.parse(text);

  it('knows the built-in metrics', () => {
    expect(metricSettingsFor(parse({}), 'any', 'latency', 'rate')).toEqual({ kind: 'distribution', direction: 'up', weight: 4, weight_for: 'metric', tolerance: 0.02, severity: 'page' });
    expect(metricSettingsFor(parse({}), 'any', 'input_tokens', 'distribution').weight).toBe(0);
  });

  it('lets scores share one weight, unless they have their own', () => {
    expect(metricSettingsFor(parse({}), 'any', 'quality', 'score')).toMatchObject({ kind: 'score', direction: 'down', weight: 4, weight_for: 'all_scores', tolerance: 0.005 });
    expect(metricSettingsFor(parse({ metrics: { quality: { weight: 2 } } }), 'any', 'quality', 'score')).toMatchObject({ weight: 2, weight_for: 'metric' });
  });

  it('lets the more specific word win, field by field', () => {
    const config = parse({
      metrics: { quality: { tolerance: 0.1, direction: 'up', severity: 'ticket' } },
      prompts: {
        'support/refund': { owner: 'team-refunds', metrics: { quality: { tolerance: 0.4 } } },
        'support/*': { owner: 'team-support', baseline: 'v1', metrics: { quality: { tolerance: 0.3, minimum: 1, maximum: 5 } } },
        '*': { owner: 'everybody', metrics: { quality: { tolerance: 0.2, severity: 'page' } } },
      },
    });
    expect(metricSettingsFor(config, 'support/refund', 'quality', 'score')).toMatchObject({ tolerance: 0.4, direction: 'up', severity: 'page', minimum: 1, maximum: 5 });
    expect(metricSettingsFor(config, 'support/order/late', 'quality', 'score')).toMatchObject({ tolerance: 0.3 });
    expect(metricSettingsFor(config, 'billing', 'quality', 'score')).toMatchObject({ tolerance: 0.2 });
    expect(promptSettingsFor(config, 'support/refund')).toEqual({ owner: 'team-refunds', baseline: 'v1' });
    expect(promptSettingsFor(config, 'billing')).toEqual({ owner: 'everybody' });
  });

  it('says which labels of a score are good or bad, and so its type, for all prompts alike', () => {
    const config = parse({ metrics: { tone: { good: ['Kind', 'warm'] }, stars: { kind: 'score' }, solved: { kind: 'rate' }, quality: { tolerance: 0.1 } } });
    expect(scoreLabelsFor(config, 'tone')).toEqual({ good: new Set(['kind', 'warm']), bad: new Set() });
    expect(['stars', 'quality', 'constructor'].map((name) => scoreLabelsFor(config, name))).toEqual([null, null, null]);
    expect(['tone', 'stars', 'solved', 'quality', 'constructor'].map((name) => scoreTypeFor(config, name))).toEqual(['boolean', 'numeric', 'boolean', null, null]);
    expect(problemOf(yaml('prompts: {a: {metrics: {tone: {bad: [curt]}}}}'))).toMatch(/tone\.bad .*metrics\.tone/);
    expect(problemOf(yaml('metrics: {tone: {good: [kind], bad: [kind]}}'))).toContain('keep it in one of the two');
  });

  it('stakes nothing on what may not be raised', () => {
    expect(metricSettingsFor(parse({ metrics: { cost: { severity: 'none' } } }), 'any', 'cost', 'distribution').weight).toBe(0);
  });

  it('finds nothing inherited under names that telemetry chose', () => {
    for (const name of ['constructor', 'toString', '__proto__']) {
      expect(metricSettingsFor(parse({}), name, name, 'score')).toMatchObject({ kind: 'score', weight: 4 });
    }
  });

  it('matches patterns as a regular expression would', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 8 });
    fc.assert(
      fc.property(letters, fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 12 }), (pattern, name) => {
        fc.pre(pattern.length > 0);
        const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name);
        expect(promptSettingsFor(parse({ prompts: { [pattern]: { owner: 'x' } } }), name).owner === 'x').toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

it('tells where it listens so that it can be copied, IPv6 too', () => {
  expect(authorityOf({ host: '::1', port: 4317 })).toBe('[::1]:4317');
  expect(authorityOf({ host: '127.0.0.1', port: 4317 })).toBe('127.0.0.1:4317');
  expect(publicUrlOf({ host: '::', port: 4318 })).toBe('http://[::]:4318');
  expect(publicUrlOf({ host: '::', port: 4318, public_url: 'https://culprit.example/' })).toBe('https://culprit.example');
});

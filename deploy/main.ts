import { readFileSync } from 'node:fs';
import { PermanentError } from '../schemas/errors.ts';
import { loadConfiguration, type CommandFlags } from './configuration.ts';
import { settingsHelp } from './settings.ts';
import type { Config } from '../schemas/config.ts';
import { VERSION } from './version.ts';

/** The only reader of arguments and environment. Exit status: 0 done, 1 wrong or failed, 2 used wrongly. */

export type Invocation = {
  readonly config: Config;
  readonly positionals: readonly string[];
  readonly flags: Readonly<Record<string, string | true>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

type Command = {
  readonly usage: string;
  readonly does: string;
  readonly flags: CommandFlags;
  /** Exit status where it fails or is used wrongly. Default: 1. */
  readonly failed?: number;
  readonly run: (invocation: Invocation) => Promise<number>;
};

/** Each loads what it needs when it is run: the demo brings a whole SDK with it, verify nothing. */
const COMMANDS: Readonly<Record<string, Command>> = {
  '': { usage: 'culprit', does: 'runs everything in one process: OTLP in, pages and API out', flags: {}, run: async (invocation) => (await import('./commands/serve.ts')).runServer(invocation) },
  collector: { usage: 'culprit collector', does: 'takes OTLP and scores, and writes them to Kafka; any number of these may run', flags: {}, run: async (invocation) => (await import('./commands/roles.ts')).runCollector(invocation) },
  analyzer: { usage: 'culprit analyzer', does: 'reads Kafka, writes to a ClickHouse server, and compares versions; any number, up to the partitions', flags: {}, run: async (invocation) => (await import('./commands/roles.ts')).runAnalyzer(invocation) },
  api: { usage: 'culprit api', does: 'pages, API and deliveries over a ClickHouse server; any number', flags: {}, run: async (invocation) => (await import('./commands/roles.ts')).runApi(invocation) },
  demo: { usage: 'culprit demo', does: 'the same, with sample traffic in which v2 of a prompt breaks refund answers', flags: {}, run: async (invocation) => (await import('./commands/demo.ts')).runDemo(invocation) },
  traffic: {
    usage: 'culprit traffic URL [--key-file FILE]',
    does: 'only the sample traffic of the demo, to a collector that runs elsewhere (key in CULPRIT_API_KEY or a file)',
    flags: { '--key-file': 'value' },
    run: async (invocation) => (await import('./commands/traffic.ts')).runTraffic(invocation),
  },
  replay: {
    usage: 'culprit replay FILE… [--json] [--evidence DIR]',
    does: 'runs recorded traffic (OTLP File Exporter lines, .jsonl or .jsonl.gz) in event time and prints its alerts',
    flags: { '--json': 'switch', '--evidence': 'value' },
    run: async (invocation) => (await import('./commands/replay-command.ts')).runReplay(invocation),
  },
  inspect: {
    usage: 'culprit inspect FILE… [--json] [--limit N]',
    does: 'shows what is understood of captured telemetry (files, folders, - for standard input), from which key, and what is missing',
    flags: { '--json': 'switch', '--limit': 'value' },
    run: async (invocation) => (await import('./commands/inspect-command.ts')).runInspect(invocation),
  },
  keys: {
    usage: 'culprit keys create --name NAME [--scopes ingest,read,act,admin] [--expires-days N] | list | rotate ID [--overlap-hours N] | revoke ID',
    does: 'API keys of --project, on a running server (--server URL, key in CULPRIT_API_KEY) or in a stopped one\'s data directory',
    flags: { '--name': 'value', '--scopes': 'value', '--expires-days': 'value', '--overlap-hours': 'value', '--server': 'value' },
    run: async (invocation) => (await import('./commands/keys-command.ts')).runKeys(invocation),
  },
  users: {
    usage: 'culprit users add NAME --role viewer|responder|admin [--only PROJECT] | passwd NAME | remove NAME | list',
    does: 'people who log in with a password, which is read from standard input; where, as for keys',
    flags: { '--role': 'value', '--only': 'value', '--server': 'value' },
    run: async (invocation) => (await import('./commands/users-command.ts')).runUsers(invocation),
  },
  plan: {
    usage: 'culprit plan --metric NAME (--worse X | --times X) (--baseline X --calls-per-hour N | --prompt NAME) [--share X] [--json]',
    does: 'says how long until a change of that size would be found, at this traffic and for other shares; with --prompt from the history of a running server',
    flags: {
      '--metric': 'value', '--prompt': 'value', '--environment': 'value', '--server': 'value', '--baseline': 'value', '--deviation': 'value', '--worse': 'value', '--drop': 'value', '--times': 'value', '--calls-per-hour': 'value',
      '--calls-per-session': 'value', '--share': 'value', '--score-sampling': 'value', '--weight': 'value', '--runs': 'value', '--seed': 'value', '--json': 'switch',
    },
    run: async (invocation) => (await import('./commands/plan.ts')).runPlan(invocation),
  },
  audit: {
    usage: 'culprit audit (FILE… | --prompt NAME) [--runs N] [--seed N] [--json]',
    does: 'measures false pages on your own traffic: fake versions by lot, many times, beside the promise; of recorded files, or in the background of a running server',
    flags: { '--prompt': 'value', '--environment': 'value', '--server': 'value', '--runs': 'value', '--seed': 'value', '--json': 'switch' },
    run: async (invocation) => (await import('./commands/audit.ts')).runAuditCommand(invocation),
  },
  doctor: {
    usage: 'culprit doctor [--server URL] [--json]',
    does: 'checks what this configuration stands on (data directory; brokers, topics, lag; ClickHouse, schema, clocks, disks) or a running server, and says what to do; exit status 1 where something is wrong',
    flags: { '--server': 'value', '--json': 'switch' },
    run: async (invocation) => (await import('./commands/doctor.ts')).runDoctor(invocation),
  },
  parked: {
    usage: 'culprit parked [--replay [ID…]]',
    does: 'lists the messages that a running server (--server URL, key in CULPRIT_API_KEY) could not store, or has it take them again',
    flags: { '--replay': 'switch', '--server': 'value' },
    run: async (invocation) => (await import('./commands/parked.ts')).runParked(invocation),
  },
  verdict: {
    usage: 'culprit verdict (--prompt NAME --candidate VERSION [--baseline VERSION] [--environment NAME] [--metric NAME] | --rollout ID) [--wait 30m] [--json]',
    does: 'asks a running server (--server URL, key in CULPRIT_API_KEY) whether a version is worse, or whether a rollout may go on; exit status 0 not worse (go), 1 regressed (back), 2 undecided (hold), 3 no data',
    flags: { '--prompt': 'value', '--candidate': 'value', '--baseline': 'value', '--environment': 'value', '--metric': 'value', '--rollout': 'value', '--wait': 'value', '--server': 'value', '--json': 'switch' },
    failed: 2,
    run: async (invocation) => (await import('./commands/verdict-command.ts')).runVerdict(invocation),
  },
  versions: {
    usage: 'culprit versions push [--files "prompts/{prompt}.md"] [--prompt NAME] [--version VERSION]',
    does: 'tells a running server (--server URL, key in CULPRIT_API_KEY) what Git knows of the versions of prompts: commit, author, owner, what changed',
    flags: { '--files': 'value', '--prompt': 'value', '--version': 'value', '--server': 'value' },
    run: async (invocation) => (await import('./commands/versions-command.ts')).runVersions(invocation),
  },
  verify: { usage: 'culprit verify EVIDENCE.json…', does: 'recomputes the e-value of an alert from its strata', flags: {}, run: async (invocation) => (await import('./commands/verify.ts')).runVerify(invocation) },
};

export async function main(): Promise<void> {
  process.exitCode = await dispatch(process.argv.slice(2));
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [first = ''] = argv;
  const name = first.startsWith('-') ? '' : first;
  if (first === '--version') {
    console.log(VERSION);
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    console.error(`culprit: there is no command "${name}"; there are ${Object.keys(COMMANDS).filter((known) => known !== '').join(', ')}, and none for the server`);
    return 2;
  }
  try {
    const loaded = loadConfiguration({
      argv: name === '' ? argv : argv.slice(1),
      environment: process.env,
      readFile: (path) => readFileSync(path, 'utf8'),
      commandFlags: command.flags,
    });
    if (loaded.kind === 'help') {
      console.log(help());
      return 0;
    }
    return await command.run({ ...loaded, environment: process.env });
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    console.error(`culprit: ${error.message}`);
    return command.failed ?? 1;
  }
}

function help(): string {
  const commands = Object.values(COMMANDS).map(({ usage, does }) => `  ${usage}\n      ${does}`);
  return ['Culprit watches LLM traffic and says which change made it worse.', '', ...commands, '', settingsHelp()].join('\n');
}

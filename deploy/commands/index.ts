import type { CommandFlags, Sources } from '../configuration.ts';
import type { Invocation } from '../main.ts';

/** One command of `culprit`. */
export type Command = {
  readonly usage: string;
  readonly does: string;
  /** Its own, beside the settings, which every command takes. */
  readonly flags: CommandFlags;
  /** Whether it is told something that is no flag, such as files. Default: no, and what is there is refused. */
  readonly takesArguments?: true;
  readonly defaults?: Sources['defaults'];
  /** Exit status where it fails or is used wrongly. Default: 1. */
  readonly failed?: number;
  readonly run: (invocation: Invocation) => Promise<number>;
};

const JSON_OUT = { '--json': 'prints JSON, for programs' };
const SERVER = { '--server URL': 'the running server that is asked, with the key in CULPRIT_API_KEY; default: the one that these settings would start' };
const SEED = { '--seed N': 'of what is drawn by lot: the same one gives the same numbers; default 1' };

/** By name; '' is the server. Each loads what it needs when it is run: the demo brings a whole SDK with it, verify nothing. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  '': { usage: 'culprit', does: 'runs everything in one process: OTLP in, pages and API out', flags: {}, run: async (invocation) => (await import('./serve.ts')).runServer(invocation) },
  collector: { usage: 'culprit collector', does: 'takes OTLP and scores, and writes them to Kafka; any number of these may run', flags: {}, run: async (invocation) => (await import('./roles.ts')).runCollector(invocation) },
  analyzer: { usage: 'culprit analyzer', does: 'reads Kafka, writes to a ClickHouse server, and compares versions; any number, up to the partitions', flags: {}, run: async (invocation) => (await import('./roles.ts')).runAnalyzer(invocation) },
  api: { usage: 'culprit api', does: 'pages, API and deliveries over a ClickHouse server; any number', flags: {}, run: async (invocation) => (await import('./roles.ts')).runApi(invocation) },
  demo: {
    usage: 'culprit demo',
    does: 'everything in one process, with sample traffic in which v2 of a prompt breaks refund answers; its data lies in ./data-demo, unless --data says otherwise',
    flags: {},
    // Sample traffic has no business among the user's own.
    defaults: { data: 'data-demo' },
    run: async (invocation) => (await import('./demo.ts')).runDemo(invocation),
  },
  traffic: {
    usage: 'culprit traffic URL [--key-file FILE]',
    does: 'only the sample traffic of the demo, to a collector that runs elsewhere',
    flags: { '--key-file FILE': 'holds the API key; default: CULPRIT_API_KEY' },
    takesArguments: true,
    run: async (invocation) => (await import('./traffic.ts')).runTraffic(invocation),
  },
  replay: {
    usage: 'culprit replay FILE… [--json] [--evidence DIR]',
    does: 'runs recorded traffic (OTLP File Exporter lines, .jsonl or .jsonl.gz) in event time and prints its alerts',
    flags: { '--json': 'prints each alert as one line of JSON', '--evidence DIR': 'writes the evidence of each alert there, for culprit verify' },
    takesArguments: true,
    run: async (invocation) => (await import('./replay-command.ts')).runReplay(invocation),
  },
  inspect: {
    usage: 'culprit inspect FILE… [--json] [--limit N]',
    does: 'shows what is understood of captured telemetry (files, folders, - for standard input), from which key, and what is missing',
    flags: { '--json': 'prints each span and score as one line of JSON', '--limit N': 'shows so many of them at most; the summary counts all' },
    takesArguments: true,
    run: async (invocation) => (await import('./inspect-command.ts')).runInspect(invocation),
  },
  keys: {
    usage: 'culprit keys create --name NAME [--scopes ingest,read,act,admin] [--expires-days N] | list | rotate ID [--overlap-hours N] | revoke ID',
    does: 'API keys of --project, on a running server or in a stopped one\'s data directory (--data)',
    flags: {
      '--name NAME': 'of the new key, for people',
      '--scopes A,B,…': 'what it may: ingest, read, act (on alerts), admin; default ingest',
      '--expires-days N': 'when it ends; default never',
      '--overlap-hours N': 'how long the old key is valid beside the new one; default 24',
      ...SERVER,
    },
    takesArguments: true,
    run: async (invocation) => (await import('./keys-command.ts')).runKeys(invocation),
  },
  users: {
    usage: 'culprit users add NAME --role viewer|responder|admin [--only PROJECT] | passwd NAME | remove NAME | list',
    does: 'people who log in with a password, which is read from standard input; on a running server or in a stopped one\'s data directory (--data)',
    flags: { '--role ROLE': 'viewer (sees), responder (acts on alerts, too) or admin', '--only PROJECT': 'the one project that they see; default all', ...SERVER },
    takesArguments: true,
    run: async (invocation) => (await import('./users-command.ts')).runUsers(invocation),
  },
  plan: {
    usage: 'culprit plan --metric NAME (--worse X | --times X) (--baseline X --calls-per-hour N | --prompt NAME) [--share X] [--json]',
    does: 'says how long until a change of that size would be found, at this traffic and for other shares',
    flags: {
      '--metric NAME': 'which one gets worse; default error_rate',
      '--worse X': 'by so much in its own unit, of latency and cost by that share (0.25: a quarter more)',
      '--drop X': 'another word for --worse',
      '--times X': 'or: so many times as bad',
      '--prompt NAME': 'takes the traffic from the history of this prompt on a running server',
      '--environment NAME': 'in which that prompt runs',
      '--baseline X': 'or says it here: the rate, mean score or median of today',
      '--deviation X': 'how far values spread: of scores their standard deviation, of latency and cost that of their logarithm (default 0.5)',
      '--calls-per-hour N': 'of the prompt, in both versions',
      '--calls-per-session N': 'a session counts once; default 1',
      '--score-sampling X': 'share of the calls that are judged; default 1',
      '--share X': 'of the traffic that the candidate gets; default 0.1',
      '--weight X': 'share of the stake that is bet on this metric; default as where all built-in ones and a score are',
      '--runs N': 'simulated rollouts',
      ...SEED,
      ...SERVER,
      ...JSON_OUT,
    },
    run: async (invocation) => (await import('./plan.ts')).runPlan(invocation),
  },
  audit: {
    usage: 'culprit audit (FILE… | --prompt NAME) [--runs N] [--seed N] [--json]',
    does: 'measures false pages on your own traffic, of recorded files or of a running server: fake versions by lot, many times, beside the promise; exit status 1 where that does not hold',
    flags: { '--prompt NAME': 'which one; of files by default that with most calls', '--environment NAME': 'in which it runs', '--runs N': 'fake rollouts', ...SEED, ...SERVER, ...JSON_OUT },
    takesArguments: true,
    run: async (invocation) => (await import('./audit.ts')).runAuditCommand(invocation),
  },
  doctor: {
    usage: 'culprit doctor [--server URL] [--json]',
    does: 'checks what these settings stand on (data directory; brokers, topics, lag; ClickHouse, schema, clocks, disks) or a running server, and says what to do; exit status 1 where something is wrong',
    flags: { '--server URL': 'checks this running server alone, with the key in CULPRIT_API_KEY', ...JSON_OUT },
    run: async (invocation) => (await import('./doctor.ts')).runDoctor(invocation),
  },
  parked: {
    usage: 'culprit parked [--replay [ID…]]',
    does: 'lists the messages that a running server could not store, or has it take them again',
    flags: { '--replay': 'takes again those that are named, or all', ...SERVER },
    takesArguments: true,
    run: async (invocation) => (await import('./parked.ts')).runParked(invocation),
  },
  verdict: {
    usage: 'culprit verdict (--prompt NAME --candidate VERSION [--baseline VERSION] [--environment NAME] [--metric NAME] | --rollout ID) [--wait 30m] [--json]',
    does: 'asks a running server whether a version is worse, or whether a rollout may go on; exit status 0 not worse (go), 1 regressed (back), 2 undecided (hold; also where nobody answers), 3 no data',
    flags: {
      '--prompt NAME': 'of which two versions are compared',
      '--candidate VERSION': 'the new one',
      '--baseline VERSION': 'the old one; default: the one that it is compared with',
      '--environment NAME': 'where they run',
      '--metric NAME': 'by this one alone; default: by all',
      '--rollout ID': 'asks for the advice on a declared rollout instead',
      '--wait TIME': 'waits so long for an answer: 90s, 30m, 2h',
      ...SERVER,
      ...JSON_OUT,
    },
    failed: 2,
    run: async (invocation) => (await import('./verdict-command.ts')).runVerdict(invocation),
  },
  versions: {
    usage: 'culprit versions push [--files "prompts/{prompt}.md"] [--prompt NAME] [--version VERSION]',
    does: 'tells a running server what Git knows of the versions of prompts: commit, author, owner, what changed',
    flags: {
      '--files PATTERN': 'where prompts lie; {prompt} stands for the name; default prompts/{prompt}.*',
      '--prompt NAME': 'only this one',
      '--version VERSION': 'what it is called in telemetry; default: its commit, 12 characters',
      ...SERVER,
    },
    takesArguments: true,
    run: async (invocation) => (await import('./versions-command.ts')).runVersions(invocation),
  },
  verify: {
    usage: 'culprit verify EVIDENCE.json…',
    does: 'recomputes the e-value of an alert from its strata, and says whether it agrees',
    flags: {},
    takesArguments: true,
    run: async (invocation) => (await import('./verify.ts')).runVerify(invocation),
  },
};

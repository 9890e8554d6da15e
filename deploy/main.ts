import { readFileSync } from 'node:fs';
import { PermanentError } from '../schemas/errors.ts';
import { COMMANDS, type Command } from './commands/index.ts';
import { loadConfiguration } from './configuration.ts';
import { nearest, settingsHelp } from './settings.ts';
import type { Config } from '../schemas/config.ts';
import { VERSION } from './version.ts';

/** The only reader of arguments and environment. Exit status: 0 done, 1 wrong or failed, 2 no such command; verdict, keys and users say more by theirs. */

export type Invocation = {
  readonly config: Config;
  readonly positionals: readonly string[];
  readonly flags: Readonly<Record<string, string | true>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

export async function main(): Promise<void> {
  // Whoever reads may have read enough (`culprit replay … | head`): the command goes on to its end all the same, and to its exit status.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.exitCode = await dispatch(process.argv.slice(2));
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [first = '', ...rest] = argv;
  if (first === '--version') {
    console.log(VERSION);
    return 0;
  }
  if (first === 'help') return dispatch([...rest, '--help']);
  const name = first.startsWith('-') ? '' : first;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const names = Object.keys(COMMANDS).filter((known) => known !== '');
    const meant = nearest(name, names);
    console.error(`culprit: there is no command "${name}"; ${meant === null ? `there are ${names.join(', ')}, and culprit alone runs the server` : `did you mean ${meant}?`}`);
    return 2;
  }
  try {
    const loaded = loadConfiguration({
      argv: name === '' ? argv : rest,
      environment: process.env,
      readFile: (path) => readFileSync(path, 'utf8'),
      commandFlags: command.flags,
      ...(command.defaults === undefined ? {} : { defaults: command.defaults }),
    });
    if (loaded.kind === 'help') {
      console.log(name === '' ? help() : helpOf(command));
      return 0;
    }
    const [unexpected] = loaded.positionals;
    if (unexpected !== undefined && command.takesArguments === undefined) throw new PermanentError(`${`culprit ${name}`.trim()} takes no arguments: leave "${unexpected}" out, or write a command before all flags`);
    return await command.run({ ...loaded, environment: process.env });
  } catch (error) {
    const message = isWithoutEngine(error) ? 'this needs the engine of the embedded store (chdb), which is not installed here; the image of the roles leaves it out' : error instanceof PermanentError ? error.message : null;
    if (message === null) throw error;
    console.error(`culprit: ${message}`);
    return command.failed ?? 1;
  }
}

/** It is an optional package, and not there for every platform. */
function isWithoutEngine(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'CHDB_PLATFORM' || (error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes("package 'chdb'"));
}

function help(): string {
  const commands = Object.values(COMMANDS).map(({ usage, does }) => `  ${usage}\n      ${does}`);
  return ['Culprit watches LLM traffic and says which change made it worse.', '', ...commands, '', 'culprit COMMAND --help says what its flags mean.', '', settingsHelp()].join('\n');
}

function helpOf({ usage, does, flags }: Command): string {
  const width = Math.max(...Object.keys(flags).map((flag) => flag.length));
  const lines = Object.entries(flags).map(([flag, says]) => `  ${flag.padEnd(width)}  ${says}`);
  return [usage, `    ${does}`, '', ...lines, ...(lines.length === 0 ? [] : ['']), 'Settings (--config FILE, --data, --port, …) are taken as well: culprit --help lists them.'].join('\n');
}

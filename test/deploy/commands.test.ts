import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../deploy/commands/index.ts';
import { culprit, SOURCES } from '../built.ts';

/** The list of commands, and what is said to whoever mistypes one. */

describe('the commands', { timeout: 60_000 }, () => {
  it.each(Object.entries(COMMANDS))('"%s": each flag in its usage is explained, and takes a value where it shows one', (_, { usage, flags }) => {
    const shown = [...usage.matchAll(/(--[a-z-]+)( [\w"][^\s\])]*)?/g)].map(([, flag = '', value]) => `${flag}${value === undefined ? '' : ' …'}`);
    const explained = Object.entries(flags).map(([flag, says]) => [flag.replace(/ .*/, ' …'), says] as const);
    expect(explained.map(([flag]) => flag)).toEqual(expect.arrayContaining(shown));
    for (const [flag, says] of explained) expect(says, flag).not.toBe('');
  });

  it('explains one command by --help, and by help', async () => {
    const [asked, helped] = await Promise.all([culprit(['plan', '--help']), culprit(['help', 'plan'])]);
    expect(asked).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^culprit plan --metric NAME[^]*\n {2}--calls-per-session N +a session counts once/) });
    expect(asked.stdout).not.toContain('--kafka');
    expect(helped).toEqual(asked);
  });

  it('goes on in silence where whoever reads has read enough', async () => {
    const { stderr } = await promisify(execFile)('sh', ['-c', '"$0" "$1" --help | true', process.execPath, SOURCES]);
    expect(stderr).toBe('');
  });

  it.each([
    [['rpelay', 'x.jsonl'], 2, 'culprit: there is no command "rpelay"; did you mean replay?\n'],
    [['xyzzy'], 2, /^culprit: there is no command "xyzzy"; there are collector, .*, and culprit alone runs the server\n$/],
    [['demo', 'now'], 1, 'culprit: culprit demo takes no arguments: leave "now" out, or write a command before all flags\n'],
    [['--port', '0', 'demo'], 1, 'culprit: culprit takes no arguments: leave "demo" out, or write a command before all flags\n'],
    [['plan', '--metic', 'cost'], 1, 'culprit: --metic is not a flag; did you mean --metric?\n'],
  ])('refuses %s', async (args, code, says) => {
    expect(await culprit(args)).toMatchObject({ code, stdout: '', stderr: typeof says === 'string' ? says : expect.stringMatching(says) });
  });
});

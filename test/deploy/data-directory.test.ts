import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimDirectory } from '../../deploy/data-directory.ts';
import { PermanentError } from '../../schemas/errors.ts';

const claimAndStay = `
  const { claimDirectory } = await import(${JSON.stringify(join(import.meta.dirname, '../../deploy/data-directory.ts'))});
  try { claimDirectory(process.argv[1]); process.stdout.write('claimed'); setInterval(() => {}, 1000); }
  catch (error) { process.stdout.write(error.name + ': ' + error.message); }
`;

let root: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'culprit-claim-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) await end(child);
  rmSync(root, { recursive: true, force: true });
});

async function claimInChild(directory: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', claimAndStay, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [said] = await once(child.stdout, 'data');
  return { child, said: String(said) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(PermanentError);
    return error instanceof Error ? error.message : '';
  }
  throw new Error('it was not refused');
}

describe('claim on the data directory', () => {
  it('creates the directory with its parents, and leaves no lock behind when released', () => {
    const directory = join(root, 'a/b');
    const claim = claimDirectory(directory);
    expect(existsSync(join(directory, 'culprit.lock'))).toBe(true);
    claim.release();
    claim.release();
    expect(existsSync(join(directory, 'culprit.lock'))).toBe(false);
    claimDirectory(directory).release();
  });

  it('refuses a second claim in the same process', () => {
    const claim = claimDirectory(root);
    expect(refusal(() => claimDirectory(root))).toContain(`is in use by another running Culprit (process ${process.pid})`);
    claim.release();
  });

  it('refuses a directory that another live process holds, and takes it over once that was killed', async () => {
    const { child, said } = await claimInChild(root);
    expect(said).toBe('claimed');
    expect(refusal(() => claimDirectory(root))).toBe(
      `the data directory ${root} is in use by another running Culprit (process ${child.pid}): stop that one, or give this one another directory (--data)`,
    );
    await end(child);
    expect(existsSync(join(root, 'culprit.lock'))).toBe(true);
    const claim = claimDirectory(root);
    expect((await claimInChild(root)).said).toContain('PermanentError: the data directory');
    claim.release();
  });

  it('takes over from a dead process whose number another process has now', (context) => {
    if (!existsSync('/proc/self/stat')) context.skip('without /proc nothing tells when a process started');
    const claim = claimDirectory(root);
    const lock: unknown = JSON.parse(readFileSync(join(root, 'culprit.lock'), 'utf8'));
    claim.release();
    // As this test is alive under its number, only the start tells the two apart.
    writeFileSync(join(root, 'culprit.lock'), JSON.stringify({ ...Object(lock), started: 'an earlier boot/12345' }));
    claimDirectory(root).release();
    expect(existsSync(join(root, 'culprit.lock'))).toBe(false);
  });

  it.each(['', '{"pid":', 'null', '{"pid":"1"}'])('takes over a lock file that a crash left unreadable: %j', (contents) => {
    writeFileSync(join(root, 'culprit.lock'), contents);
    claimDirectory(root);
    expect(readFileSync(join(root, 'culprit.lock'), 'utf8')).toContain(`"pid":${process.pid}`);
  });

  it('does not release what another process has taken over since', () => {
    const claim = claimDirectory(root);
    writeFileSync(join(root, 'culprit.lock'), JSON.stringify({ pid: 1, started: 'other' }));
    claim.release();
    expect(existsSync(join(root, 'culprit.lock'))).toBe(true);
  });

  it('refuses a file, and a directory below a file', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    expect(refusal(() => claimDirectory(file))).toBe(`the data directory ${file} cannot be created: there is a file in its path; give another one (--data)`);
    expect(refusal(() => claimDirectory(join(file, 'below')))).toBe(`the data directory ${join(file, 'below')} cannot be created: there is a file in its path; give another one (--data)`);
  });

  it('refuses a directory that nobody can write', (context) => {
    if (!existsSync('/proc/self')) context.skip('tests may run as root, whom only /proc stops');
    // Permission bits do not stop root; /proc stops everybody.
    expect(refusal(() => claimDirectory('/proc/culprit'))).toMatch(/^the data directory \/proc\/culprit cannot be created: .*; give another one \(--data\)$/);
    expect(refusal(() => claimDirectory('/proc/self/task'))).toMatch(/^the data directory \/proc\/self\/task cannot be written: .*; mend that, or give another one \(--data\)$/);
  });
});

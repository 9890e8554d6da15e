import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ignore from 'ignore';
import { PermanentError } from '../schemas/errors.ts';
import type { VersionFacts } from '../schemas/version.ts';

/** What Git knows of a prompt's files. */

const run = promisify(execFile);
const MAX_DIFF_CHARACTERS = 64 * 1024;
/** Versions that are known already and may lie on other branches. */
const MAX_ASKED = 20;
const OWNERS_FILES = ['.github/CODEOWNERS', 'CODEOWNERS', 'docs/CODEOWNERS'];

export type Repository = {
  /** Files under version control, from the root of the repository. */
  files(): Promise<string[]>;
  /** The commit that touched these files last; null: none did. Its facts are without a diff. */
  lastChange(paths: readonly string[]): Promise<{ readonly commit: string; readonly at: string; readonly author: string; readonly facts: VersionFacts } | null>;
  /** What a change of these files is told against: the first of `known` that it came after, else the change before it; null: there is none. */
  before(commit: string, paths: readonly string[], known: readonly string[]): Promise<string | null>;
  /** What changed in these files since another commit, and where people can see it. Empty where that commit is not known here. */
  since(base: string, commit: string, paths: readonly string[]): Promise<Pick<VersionFacts, 'diff' | 'diff_url'>>;
};

/** Throws PermanentError where `directory` is in no repository. */
export async function openRepository(directory: string): Promise<Repository> {
  const git = async (...args: string[]): Promise<string> => (await run('git', ['-C', directory, ...args], { maxBuffer: 64 * 1024 * 1024 })).stdout;
  let root: string;
  try {
    root = (await git('rev-parse', '--show-toplevel')).trim();
  } catch (cause) {
    const isInstalled = !(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT');
    throw new PermanentError(isInstalled ? `${directory} is in no Git repository` : 'git is not installed here', { cause });
  }
  const inRoot = async (...args: string[]): Promise<string> => (await run('git', ['-C', root, ...args], { maxBuffer: 64 * 1024 * 1024 })).stdout;
  const web = webAddressOf(await inRoot('remote', 'get-url', 'origin').catch(() => ''));
  const owners = await ownersOf(root);

  return {
    files: async () => (await inRoot('ls-files', '-z')).split('\0').filter((path) => path !== ''),
    async lastChange(paths) {
      const [commit = '', author = '', at = '', message = ''] = (await inRoot('log', '-1', '--format=%H%x00%an%x00%aI%x00%s', '--', ...paths)).trimEnd().split('\0');
      if (commit === '') return null;
      const owner = owners(paths[0] ?? '');
      // GitHub and GitLab write the number of the request that was merged into the subject.
      const request = /\(#(\d+)\)$/.exec(message)?.[1] ?? /Merge pull request #(\d+)/.exec(message)?.[1];
      const facts: VersionFacts = { commit, author, ...(message === '' ? {} : { message }), ...(owner === null ? {} : { owner }), ...(web === null || request === undefined ? {} : { pull_request_url: `${web}/pull/${request}` }) };
      return { commit, at, author, facts };
    },
    async before(commit, paths, known) {
      for (const base of known.slice(0, MAX_ASKED)) if (base !== commit && (await inRoot('merge-base', '--is-ancestor', base, commit).then(() => true, () => false))) return base;
      const [, before = ''] = (await inRoot('log', '-2', '--format=%H', commit, '--', ...paths)).trim().split('\n');
      return before === '' ? null : before;
    },
    async since(base, commit, paths) {
      const diff = await inRoot('diff', base, commit, '--', ...paths).catch(() => null);
      if (diff === null) return {};
      const whole = diff.length <= MAX_DIFF_CHARACTERS ? diff : `${diff.slice(0, MAX_DIFF_CHARACTERS - 40)}\n… (${diff.length} characters in all)\n`;
      return { diff: whole, ...(web === null ? {} : { diff_url: `${web}/compare/${base}...${commit}` }) };
    },
  };
}

/** `git@host:owner/name.git` and `https://user:token@host/owner/name.git` as people open it. */
function webAddressOf(remote: string): string | null {
  const [, host, path] = /^(?:https?:\/\/(?:[^@/]*@)?|ssh:\/\/(?:[^@/]*@)?|[^@/\s]+@)([^/:]+)(?::\d+)?[/:](.+?)(?:\.git)?\/?$/.exec(remote.trim()) ?? [];
  return host === undefined || path === undefined ? null : `https://${host}/${path}`;
}

/** Who owns a path by CODEOWNERS: the last line that fits it. */
async function ownersOf(root: string): Promise<(path: string) => string | null> {
  for (const name of OWNERS_FILES) {
    const text = await readFile(join(root, name), 'utf8').catch(() => null);
    if (text === null) continue;
    const rules = text.split('\n').flatMap((line) => {
      const [pattern, ...owners] = line.replace(/(^|\s)#.*$/, '').trim().split(/\s+/);
      return pattern ? [{ matches: ignore().add(pattern), owners: owners.join(' ') }] : [];
    });
    return (path) => rules.findLast(({ matches }) => matches.ignores(path))?.owners || null;
  }
  return () => null;
}

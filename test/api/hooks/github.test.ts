import { createHash } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { alertAt, NOW_MS } from '../sinks/alert.ts';
import { orderAt, rollBack, vendor } from './vendor.ts';

/** A repository behind the part of GitHub's REST API that is asked: refs, commits with their files, trees, pulls. Objects are named by their content, as there. */
const shaOf = (value: unknown): string => createHash('sha1').update(JSON.stringify(value)).digest('hex');
type Files = Record<string, string>;
type Commit = { files: Files; parents: string[]; message: string };

const NewTree = z.strictObject({ base_tree: z.string(), tree: z.array(z.strictObject({ path: z.string(), mode: z.string(), type: z.literal('blob'), sha: z.string().nullable() })).min(1) });
const NewCommit = z.strictObject({ message: z.string(), tree: z.string(), parents: z.array(z.string()) });
const NewRef = z.strictObject({ ref: z.string().regex(/^refs\/heads\//), sha: z.string() });
const NewPull = z.strictObject({ title: z.string().min(1).max(256), head: z.string(), base: z.string(), body: z.string() });
const Dispatch = z.strictObject({ event_type: z.string().max(100), client_payload: z.record(z.string(), z.unknown()).refine((payload) => Object.keys(payload).length <= 10) });

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function github(history: readonly { files: Files; message: string }[]) {
  const commits = new Map<string, Commit>();
  const trees = new Map<string, Files>();
  const pulls: z.infer<typeof NewPull>[] = [];
  const dispatched: z.infer<typeof Dispatch>[] = [];
  let head = '';
  for (const { files, message } of history) {
    const commit = { files, message, parents: head === '' ? [] : [head] };
    trees.set(shaOf(files), files);
    commits.set((head = shaOf(commit)), commit);
  }
  const shas = [...commits.keys()];
  const refs = new Map([['heads/main', head]]);
  const blobs = (files: Files) => Object.entries(files).map(([path, text]) => ({ path, mode: '100644', type: 'blob', sha: shaOf(text) }));
  const textOf = (sha: string): string => [...trees.values()].flatMap((files) => Object.values(files)).find((text) => shaOf(text) === sha) ?? '';
  const filesOf = ({ files, parents }: Commit) => {
    const before = commits.get(parents[0] ?? '')?.files ?? {};
    const paths = [...new Set([...Object.keys(before), ...Object.keys(files)])].filter((path) => before[path] !== files[path]);
    return paths.map((filename) => ({ filename, status: files[filename] === undefined ? 'removed' : before[filename] === undefined ? 'added' : 'modified', sha: shaOf(files[filename] ?? before[filename]) }));
  };
  const server = await vendor(({ method, path, query, headers, body }) => {
    if (headers.authorization !== 'Bearer ghp_1' || headers['x-github-api-version'] !== '2022-11-28') return { status: 401 };
    const below = path.replace('/repos/acme/prompts', '');
    const [, reference] = /^\/git\/ref\/(.+)$/.exec(below) ?? [];
    const [, commit] = /^\/commits\/(.+)$/.exec(below) ?? [];
    const [, tree] = /^\/git\/trees\/(.+)$/.exec(below) ?? [];
    if (method === 'GET' && below === '') return { status: 200, body: { default_branch: 'main' } };
    if (method === 'GET' && reference !== undefined) return refs.has(reference) ? { status: 200, body: { ref: `refs/${reference}`, object: { type: 'commit', sha: refs.get(reference) } } } : { status: 404 };
    if (method === 'GET' && commit !== undefined) {
      const [sha, found] = [...commits].find(([each]) => each.startsWith(commit)) ?? [];
      return found === undefined ? { status: 422 } : { status: 200, body: { sha, parents: found.parents.map((parent) => ({ sha: parent })), commit: { message: found.message }, files: filesOf(found) } };
    }
    if (method === 'GET' && tree !== undefined && query === 'recursive=1') {
      const files = commits.get(tree)?.files;
      return files === undefined ? { status: 404 } : { status: 200, body: { sha: shaOf(files), truncated: false, tree: blobs(files) } };
    }
    if (method !== 'POST') return { status: 404 };
    if (below === '/dispatches') {
      dispatched.push(Dispatch.parse(body));
      return { status: 204 };
    }
    if (below === '/git/trees') {
      const { base_tree, tree: changes } = NewTree.parse(body);
      const files = { ...trees.get(base_tree) };
      for (const { path: file, sha } of changes) {
        if (sha === null) delete files[file];
        else files[file] = textOf(sha);
      }
      trees.set(shaOf(files), files);
      return { status: 201, body: { sha: shaOf(files) } };
    }
    if (below === '/git/commits') {
      const { message, tree: of, parents } = NewCommit.parse(body);
      const made = { files: trees.get(of) ?? {}, parents, message };
      commits.set(shaOf(made), made);
      return { status: 201, body: { sha: shaOf(made) } };
    }
    if (below === '/git/refs') {
      const { ref, sha } = NewRef.parse(body);
      if (refs.has(ref.slice('refs/'.length))) return { status: 422, body: { message: 'Reference already exists' } };
      refs.set(ref.slice('refs/'.length), sha);
      return { status: 201, body: { ref } };
    }
    if (below !== '/pulls') return { status: 404 };
    const pull = NewPull.parse(body);
    if (pulls.some(({ head: branch }) => branch === pull.head)) return { status: 422, body: { message: 'Validation Failed', errors: [{ message: `A pull request already exists for acme:${pull.head}.` }] } };
    pulls.push(pull);
    return { status: 201, body: { html_url: `https://github.example.com/acme/prompts/pull/${pulls.length}` } };
  });
  cleanups.push(server.close);
  const entry = { kind: 'github', name: 'git', url: server.url, token: 'ghp_1', repository: 'acme/prompts' };
  return { entry, refs, commits, pulls, dispatched, shas };
}

const alertOf = (commit: string | null) => {
  const alert = alertAt('alr_1', 'open', NOW_MS);
  return { ...alert, culprit: { ...alert.culprit, commit } };
};
const HISTORY = [
  { files: { 'prompts/refund.md': 'be kind', 'prompts/old.md': 'old', 'README.md': 'one' }, message: 'begin' },
  { files: { 'prompts/refund.md': 'be terse', 'prompts/new.md': 'new', 'README.md': 'one' }, message: 'refund: shorter\n\nwith a body' },
  { files: { 'prompts/refund.md': 'be terse', 'prompts/new.md': 'new', 'README.md': 'two' }, message: 'readme' },
];

it('reverts the commit of the culprit on top of what came since: a branch, a commit and a pull request, once', async () => {
  const { entry, refs, commits, pulls, shas } = await github(HISTORY);
  const order = orderAt({ alert: alertOf(shas[1]?.slice(0, 10) ?? '') });
  expect((await rollBack(entry, order)).answer).toBe('https://github.example.com/acme/prompts/pull/1');
  const made = commits.get(refs.get('heads/culprit/revert-rbk_1') ?? '');
  // Modified is restored, added goes, removed comes back, and what others did since stays.
  expect(made).toMatchObject({ files: { 'prompts/refund.md': 'be kind', 'prompts/old.md': 'old', 'README.md': 'two' }, parents: [shas[2]] });
  expect(Object.keys(made?.files ?? {})).not.toContain('prompts/new.md');
  expect(made?.message).toContain(`Revert "refund: shorter"\n\nThis reverts commit ${shas[1]}.`);
  expect(pulls).toMatchObject([{ head: 'culprit/revert-rbk_1', base: 'main', title: 'Roll back refund-agent from 8 to 7' }]);

  expect((await rollBack(entry, order)).answer).toBe('the pull request of culprit/revert-rbk_1 is there already');
  expect([pulls.length, commits.size]).toEqual([1, 4]);
  expect(refs.get('heads/main')).toBe(shas[2]);
});

it('makes nothing where a file was changed again since, where no commit is known, and of a commit that is gone', async () => {
  const { entry, refs, pulls, shas } = await github([...HISTORY, { files: { 'prompts/refund.md': 'be terse, please', 'prompts/new.md': 'new', 'README.md': 'two' }, message: 'again' }]);
  await expect(rollBack(entry, orderAt({ alert: alertOf(shas[1] ?? '') }))).rejects.toThrow('prompts/refund.md was changed again since; revert it by hand');
  await expect(rollBack(entry, orderAt({ alert: alertOf(null), candidate: 'v2' }))).rejects.toThrow('no commit is known of v2');
  await expect(rollBack(entry, orderAt({ alert: alertOf('0123456789') }))).rejects.toThrow(/commits\/0123456789: HTTP 422/);
  await expect(rollBack(entry, orderAt({ alert: alertOf(shas[0] ?? '') }))).rejects.toThrow('is the first one');
  expect([[...refs.keys()], pulls]).toEqual([['heads/main'], []]);
});

it('as an event it leaves the revert to a workflow', async () => {
  const { entry, dispatched } = await github(HISTORY);
  expect((await rollBack({ ...entry, action: 'dispatch' })).answer).toBe('HTTP 204');
  expect(dispatched).toMatchObject([{ event_type: 'prompt-rollback', client_payload: { rollback_id: 'rbk_1', alert_id: 'alr_1', prompt: 'refund-agent', from: '8', to: '7', environment: 'production' } }]);
  await expect(rollBack({ ...entry, action: 'dispatch', repository: 'acme/gone' })).rejects.toThrow(/HTTP 404/);
});

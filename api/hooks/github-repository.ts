import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import { addressBelow, readAnswer, type Answered, type Asked, type Call } from './calling.ts';

/** One repository through GitHub's REST API, version 2022-11-28: repositories, commits, git data (refs, trees, commits), pulls. */

const Sha = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/);
const Named = z.looseObject({ sha: Sha });
const Reference = z.looseObject({ object: Named });
const Commit = z.looseObject({
  sha: Sha,
  parents: z.array(Named),
  commit: z.looseObject({ message: z.string() }),
  files: z.array(z.looseObject({ filename: z.string(), status: z.string(), sha: Sha.nullable(), previous_filename: z.string().optional() })).min(1).max(3000),
});
const Tree = z.looseObject({ sha: Sha, truncated: z.boolean(), tree: z.array(z.looseObject({ path: z.string(), mode: z.string(), type: z.string(), sha: Sha })) });

export type TreeEntry = { readonly path: string; readonly mode: string; readonly type: 'blob'; /** null: it goes. */ readonly sha: string | null };
export type Repository = ReturnType<typeof createRepository>;

/** All of it throws what the call throws, and PermanentError on an answer that is not GitHub's. */
export function createRepository(call: Call, { url, repository, token }: { readonly url: string; readonly repository: string; readonly token: string }) {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' };
  const ask = (method: Asked['method'], path: readonly string[], more: Pick<Asked, 'body' | 'alsoFine'> & { readonly query?: string } = {}): Promise<Answered> => {
    const { query = '', ...rest } = more;
    const parts = ['repos', ...repository.split('/'), ...path];
    return call({ label: `${method} /${parts.join('/')}`, method, url: `${addressBelow(url, ...parts)}${query}`, headers, ...rest });
  };
  return {
    async dispatch(event: { readonly event_type: string; readonly client_payload: object }): Promise<number> {
      return (await ask('POST', ['dispatches'], { body: event })).status;
    },

    async defaultBranch(): Promise<string> {
      return readAnswer(z.looseObject({ default_branch: z.string() }), await ask('GET', []), 'the repository').default_branch;
    },

    /** The commit that a branch is at; null: there is no such branch. */
    async head(branch: string): Promise<string | null> {
      const answer = await ask('GET', ['git', 'ref', 'heads', ...branch.split('/')], { alsoFine: [404] });
      return answer.status === 404 ? null : readAnswer(Reference, answer, 'the branch').object.sha;
    },

    /** `blobs` has what each path held after the commit; a path without one was not there any more. */
    async commit(reference: string) {
      const { sha, parents, commit, files } = readAnswer(Commit, await ask('GET', ['commits', reference]), 'the commit');
      const blobs = new Map(files.flatMap(({ filename, status, sha: blob }): [string, string][] => (status === 'removed' || blob === null ? [] : [[filename, blob]])));
      const paths = [...new Set(files.flatMap(({ filename, previous_filename }) => (previous_filename === undefined ? [filename] : [filename, previous_filename])))];
      return { sha, parents: parents.map((parent) => parent.sha), subject: (commit.message.split('\n')[0] ?? '').slice(0, 200), paths, blobs };
    },

    async tree(commit: string) {
      const { sha, truncated, tree } = readAnswer(Tree, await ask('GET', ['git', 'trees', commit], { query: '?recursive=1' }), 'the tree');
      if (truncated) throw new PermanentError('the repository has too many files to be read through the API; use the action dispatch');
      return { sha, entries: new Map(tree.filter(({ type }) => type === 'blob').map((entry) => [entry.path, entry])) };
    },

    async createTree(base_tree: string, tree: readonly TreeEntry[]): Promise<string> {
      return readAnswer(Named, await ask('POST', ['git', 'trees'], { body: { base_tree, tree } }), 'the new tree').sha;
    },

    async createCommit(commit: { readonly message: string; readonly tree: string; readonly parents: readonly string[] }): Promise<string> {
      return readAnswer(Named, await ask('POST', ['git', 'commits'], { body: commit }), 'the new commit').sha;
    },

    /** 422: an earlier attempt has made it. */
    async createBranch(branch: string, sha: string): Promise<void> {
      await ask('POST', ['git', 'refs'], { body: { ref: `refs/heads/${branch}`, sha }, alsoFine: [422] });
    },

    /** Its address; null: it is there already. */
    async createPull(pull: { readonly title: string; readonly head: string; readonly base: string; readonly body: string }): Promise<string | null> {
      const answer = await ask('POST', ['pulls'], { body: pull, alsoFine: [422] });
      if (answer.status !== 422) return readAnswer(z.looseObject({ html_url: z.string().max(2000) }), answer, 'the pull request').html_url;
      if (/already exists/i.test(answer.body)) return null;
      throw new PermanentError('the pull request was refused: HTTP 422');
    },
  };
}

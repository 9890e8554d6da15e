import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import { addressBelow, readAnswer } from './calling.ts';
import type { Hook } from './index.ts';

/**
 * Moves a commit tag back: `PATCH /api/v1/repos/{owner}/{repo}/tags/{tag_name} { commit_id }`. Versions in traffic are hashes and a tag takes the
 * commit's id, so the commits are listed first. Source: LangSmith's OpenAPI document, update_tag and list_commits.
 */
const Commits = z.looseObject({ commits: z.array(z.looseObject({ id: z.string(), commit_hash: z.string() })) });
/** The newest: a rollback goes a few versions back. */
const LISTED = 100;

export function createLangSmithHook(settings: HookSettingsOf<'langsmith'>): Hook {
  const { owner, tag, url } = settings;
  const headers = { 'x-api-key': settings.api_key };
  const labelOf = (prompt: string): string => `PATCH /api/v1/repos/${owner}/${prompt}/tags/${tag}`;
  return {
    ...basicsOf(settings),
    describe: ({ prompt, baseline }) => `${labelOf(prompt)} to commit ${baseline}`,
    async rollBack({ prompt, baseline }, { call }) {
      const answer = await call({ label: `GET /api/v1/commits/${owner}/${prompt}`, method: 'GET', url: `${addressBelow(url, 'api', 'v1', 'commits', owner, prompt)}?limit=${LISTED}`, headers });
      const { commits } = readAnswer(Commits, answer, 'the list of commits');
      const meant = commits.filter(({ commit_hash }) => commit_hash === baseline || (baseline.length >= 7 && commit_hash.startsWith(baseline)));
      const [commit] = meant;
      if (commit === undefined || meant.length > 1) throw new PermanentError(`${baseline} is ${meant.length > 1 ? 'more than one' : 'none'} of the last ${LISTED} commits of ${prompt}`);
      await call({ label: labelOf(prompt), method: 'PATCH', url: addressBelow(url, 'api', 'v1', 'repos', owner, prompt, 'tags', tag), headers, body: { commit_id: commit.id } });
      return `the tag ${tag} is on commit ${commit.commit_hash}`;
    },
  };
}

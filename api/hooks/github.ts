import { PermanentError } from '../../schemas/errors.ts';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import { createRepository, type Repository } from './github-repository.ts';
import type { Hook, Order } from './index.ts';

/**
 * GitHub: either an event that a workflow of the user's acts on (`POST /repos/{owner}/{repo}/dispatches`), or a pull request with the revert of the
 * culprit's commit. A revert is made of the files that the commit changed, as they were before it, on top of the branch as it is now; where
 * one was changed again since, nothing is made, because that needs a person. Its branch is named by the order, so asked twice it is made once.
 */
export function createGitHubHook(settings: HookSettingsOf<'github'>): Hook {
  const { repository: name, action, event_type } = settings;
  return {
    ...basicsOf(settings),
    describe: (order) => (action === 'dispatch' ? `POST /repos/${name}/dispatches ${event_type}` : `pull request on ${name} that reverts ${commitOf(order) ?? 'the commit of the culprit'}`),
    rollBack(order, { call }) {
      const repository = createRepository(call, settings);
      return action === 'dispatch' ? dispatch(repository, order, event_type) : revert(repository, order, settings.base);
    },
  };
}

/** A payload has ten keys at most. */
async function dispatch(repository: Repository, { id, alert, prompt, candidate, baseline }: Order, event_type: string): Promise<string> {
  const { environment, metric, summary, links } = alert;
  const status = await repository.dispatch({ event_type, client_payload: { rollback_id: id, alert_id: alert.id, prompt, environment, from: candidate, to: baseline, metric, summary, url: links.alert } });
  return `HTTP ${status}`;
}

function commitOf({ alert, candidate }: Order): string | null {
  const commit = alert.culprit.commit ?? candidate;
  return /^[0-9a-f]{7,64}$/.test(commit) ? commit : null;
}

async function revert(repository: Repository, order: Order, configuredBase: string | undefined): Promise<string> {
  const { id, alert, prompt, candidate, baseline } = order;
  const named = commitOf(order);
  if (named === null) throw new PermanentError(`no commit is known of ${candidate}; register its versions (culprit versions push)`);
  const base = configuredBase ?? (await repository.defaultBranch());
  const branch = `culprit/revert-${id}`;
  if ((await repository.head(branch)) === null) {
    const culprit = await repository.commit(named);
    const [parent, ...others] = culprit.parents;
    if (parent === undefined || others.length > 0) throw new PermanentError(`commit ${culprit.sha.slice(0, 10)} ${parent === undefined ? 'is the first one' : 'is a merge'}; revert it by hand`);
    const head = await repository.head(base);
    if (head === null) throw new PermanentError(`there is no branch ${base}`);
    const [before, now] = [await repository.tree(parent), await repository.tree(head)];
    const changes = culprit.paths.map((path) => {
      const [was, is] = [before.entries.get(path), now.entries.get(path)];
      if (is?.sha !== culprit.blobs.get(path)) throw new PermanentError(`${path} was changed again since; revert it by hand`);
      return { path, mode: was?.mode ?? is?.mode ?? '100644', type: 'blob', sha: was?.sha ?? null } as const;
    });
    const tree = await repository.createTree(now.sha, changes);
    const message = `Revert "${culprit.subject}"\n\nThis reverts commit ${culprit.sha}.\n\n${alert.summary}`;
    await repository.createBranch(branch, await repository.createCommit({ message, tree, parents: [head] }));
  }
  const body = `${alert.summary}\n\n${prompt}: ${candidate} back to ${baseline}. ${alert.links.alert}`;
  return (await repository.createPull({ title: `Roll back ${prompt} from ${candidate} to ${baseline}`.slice(0, 250), head: branch, base, body })) ?? `the pull request of ${branch} is there already`;
}

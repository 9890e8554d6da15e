import { z } from 'zod';
import { PermanentError } from '../../schemas/errors.ts';
import { matchesPattern, promptOfFile } from '../../schemas/registry.ts';
import { VersionFacts } from '../../schemas/version.ts';
import { jsonBody, serverOf } from '../asking.ts';
import { openRepository, type Repository } from '../git.ts';
import type { Invocation } from '../main.ts';
import { textOf } from './flags.ts';

/**
 * `culprit versions push`: tells a running server what Git knows of the versions of prompts: commit, author, owner, what changed.
 * Run where the version is made, in CI. Each prompt is one or several files; its version is the commit that touched them last, or what is given.
 */
const Known = z.object({ versions: z.array(z.object({ version: z.string(), facts: VersionFacts })) });

export async function runVersions(invocation: Invocation): Promise<number> {
  const { positionals: [verb], flags } = invocation;
  if (verb !== 'push') throw new PermanentError('versions knows one verb: culprit versions push --files "prompts/{prompt}.md" [--prompt NAME] [--version VERSION]');
  const pattern = textOf(flags, '--files') ?? 'prompts/{prompt}.*';
  const only = textOf(flags, '--prompt');
  const given = textOf(flags, '--version');
  if (given !== undefined && only === undefined) throw new PermanentError('--version is of one prompt: name it with --prompt');
  const server = serverOf(invocation);

  const repository = await openRepository('.');
  const prompts = await promptsOf(repository, pattern, only);
  const versions: object[] = [];
  for (const [prompt, paths] of prompts) {
    const change = await repository.lastChange(paths);
    if (change === null) continue;
    const version = given ?? change.commit.slice(0, 12);
    const { versions: known } = Known.parse(await server.ask(`/v1/versions?prompt=${encodeURIComponent(prompt)}`));
    const others = known.flatMap(({ version: other, facts }) => (other === version || facts.commit === undefined ? [] : [facts.commit]));
    const before = await repository.before(change.commit, paths, others);
    versions.push({ prompt, version, at: change.at, source: 'git', actor: change.author, ...change.facts, ...(before === null ? {} : await repository.since(before, change.commit, paths)) });
    console.log(`${prompt} ${version}: ${change.facts.message ?? change.commit} (${change.author}${change.facts.owner === undefined ? '' : `, owned by ${change.facts.owner}`})`);
  }
  if (versions.length === 0) throw new PermanentError(`no file under version control fits ${pattern}${only === undefined ? '' : ` and is ${only}`}; give --files, where {prompt} stands for the name`);
  const { registered } = z.object({ registered: z.number() }).parse(await server.ask('/v1/versions', jsonBody({ versions })));
  console.log(`${versions.length} told, ${registered} of them news`);
  return 0;
}

/** Files by prompt. With a prompt that is named, a pattern without {prompt} stands for its files. */
async function promptsOf(repository: Repository, pattern: string, only: string | undefined): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const isNamed = pattern.includes('{prompt}');
  if (!isNamed && only === undefined) throw new PermanentError(`--files is "${pattern}"; put {prompt} where the name of the prompt stands, or name the one prompt with --prompt`);
  for (const path of await repository.files()) {
    const name = isNamed ? promptOfFile(pattern, path) : matchesPattern(pattern, path) ? (only ?? null) : null;
    if (name === null || (only !== undefined && name !== only)) continue;
    found.set(name, [...(found.get(name) ?? []), path]);
  }
  return found;
}

import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { orderAt, rollBack, vendor } from './vendor.ts';

/** LangSmith's commits and commit tags: a tag is moved to the id of a commit, which is no hash. */
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
const hash = (letter: string): string => letter.repeat(64);
const commits = [{ id: '5f0c6a3e-0000-4000-8000-00000000000b', commit_hash: hash('b') }, { id: '5f0c6a3e-0000-4000-8000-00000000000a', commit_hash: hash('a') }];
const Update = z.object({ commit_id: z.uuid() });

async function langsmith() {
  const tags = new Map([['production', commits[0]?.id]]);
  const server = await vendor(({ method, path, headers, body }) => {
    if (headers['x-api-key'] !== 'lsv2_1') return { status: 403 };
    if (method === 'GET' && path === '/api/v1/commits/-/refund-agent') return { status: 200, body: { commits, total: commits.length } };
    const [, tag] = /^\/api\/v1\/repos\/-\/refund-agent\/tags\/([^/]+)$/.exec(path) ?? [];
    if (method !== 'PATCH' || tag === undefined || !tags.has(tag)) return { status: 404 };
    const update = Update.safeParse(body);
    if (!update.success || !commits.some(({ id }) => id === update.data.commit_id)) return { status: 422 };
    tags.set(tag, update.data.commit_id);
    return { status: 200, body: { tag_name: tag, ...update.data } };
  });
  cleanups.push(server.close);
  return { tags, entry: { kind: 'langsmith', name: 'hub', url: server.url, api_key: 'lsv2_1' } };
}

it('moves the commit tag back to the commit whose hash traffic carries, whole or short', async () => {
  for (const baseline of [hash('a'), 'aaaaaaaa']) {
    const { tags, entry } = await langsmith();
    expect((await rollBack(entry, orderAt({ baseline }))).trail).toEqual(['GET /api/v1/commits/-/refund-agent: HTTP 200', 'PATCH /api/v1/repos/-/refund-agent/tags/production: HTTP 200']);
    expect(tags.get('production')).toBe(commits[1]?.id);
  }
});

it('a commit or a tag that is gone fails for good', async () => {
  const { entry } = await langsmith();
  await expect(rollBack(entry, orderAt({ baseline: 'cccccccc' }))).rejects.toThrow('cccccccc is none of the last 100 commits of refund-agent');
  await expect(rollBack({ ...entry, tag: 'prod' }, orderAt({ baseline: hash('a') }))).rejects.toThrow(/tags\/prod: HTTP 404/);
});

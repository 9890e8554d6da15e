import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { orderAt, rollBack, vendor } from './vendor.ts';

/** Langfuse's `PATCH …/prompts/{name}/versions/{version}` as its server does it: the labels are added to the version and taken from all others. */
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
const Update = z.strictObject({ newLabels: z.array(z.string().regex(/^[a-z0-9_\-.]+$/)) });

async function langfuse(name = 'refund-agent') {
  const versions = new Map<number, string[]>([[7, ['stable']], [8, ['production', 'latest']]]);
  const server = await vendor(({ method, path, headers, body }) => {
    if (headers.authorization !== `Basic ${Buffer.from('pk-lf-1:sk-lf-1').toString('base64')}`) return { status: 401, body: { message: 'no' } };
    const [, encoded, version] = /^\/api\/public\/v2\/prompts\/([^/]+)\/versions\/(\d+)$/.exec(path) ?? [];
    const labels = versions.get(Number(version));
    if (method !== 'PATCH' || encoded === undefined || decodeURIComponent(encoded) !== name || labels === undefined) return { status: 404, body: { message: 'Prompt not found' } };
    const update = Update.safeParse(body);
    if (!update.success) return { status: 400, body: { message: 'Invalid request data' } };
    for (const [other, its] of versions) versions.set(other, its.filter((label) => !update.data.newLabels.includes(label)));
    versions.set(Number(version), [...new Set([...update.data.newLabels, ...labels])]);
    return { status: 200, body: { name, version: Number(version), labels: versions.get(Number(version)) } };
  });
  cleanups.push(server.close);
  return { versions, entry: { kind: 'langfuse', name: 'registry', url: server.url, public_key: 'pk-lf-1', secret_key: 'sk-lf-1' } };
}

it('moves the label back, and twice comes to the same', async () => {
  const { versions, entry } = await langfuse();
  const done = await rollBack(entry);
  expect(done).toEqual({ answer: 'the label production is on version 7', trail: ['PATCH /api/public/v2/prompts/refund-agent/versions/7: HTTP 200'] });
  await rollBack(entry);
  expect([...versions]).toEqual([[7, ['production', 'stable']], [8, ['latest']]]);
});

it('has the folder of a prompt as one part of the path', async () => {
  const { versions, entry } = await langfuse('support/refund agent?');
  await rollBack(entry, orderAt({ prompt: 'support/refund agent?' }));
  expect(versions.get(7)).toContain('production');
});

it.each(['..', '.'])('asks nothing for a prompt that is called %s, which would be another address', async (prompt) => {
  const asked: string[] = [];
  const server = await vendor(({ path }) => (asked.push(path), { status: 200, body: {} }));
  cleanups.push(server.close);
  const { entry } = await langfuse();
  await expect(rollBack({ ...entry, url: server.url }, orderAt({ prompt }))).rejects.toThrow(`the name "${prompt}" cannot stand in an address`);
  expect(asked).toEqual([]);
});

it('a version that is gone, a key that does not fit and a version that is no number fail for good, without the secret', async () => {
  const { entry } = await langfuse();
  await expect(rollBack(entry, orderAt({ baseline: '6' }))).rejects.toThrow(/versions\/6: HTTP 404 \(what it names is not there any more\)$/);
  await expect(rollBack({ ...entry, secret_key: 'sk-other' })).rejects.toThrow(/^(?!.*sk-other).*HTTP 401/);
  await expect(rollBack(entry, orderAt({ baseline: 'v1' }))).rejects.toThrow('v1 is no version of Langfuse, which are numbers');
});

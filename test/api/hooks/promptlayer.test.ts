import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { orderAt, rollBack, vendor } from './vendor.ts';

/** PromptLayer's release labels: they have an id of their own, and are moved by the number of a version. */
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
const Update = z.strictObject({ prompt_version_number: z.number().int() });

async function promptlayer() {
  const release_labels = [{ release_label: 'staging', release_label_id: 40, prompt_version_id: 907, prompt_version_number: 9 }, { release_label: 'prod', release_label_id: 41, prompt_version_id: 908, prompt_version_number: 8 }];
  const server = await vendor(({ method, path, headers, body }) => {
    if (headers['x-api-key'] !== 'pl_1') return { status: 401 };
    if (method === 'GET' && path === '/prompt-templates/refund-agent/labels') return { status: 200, body: { release_labels } };
    const label = release_labels.find(({ release_label_id }) => path === `/prompt-labels/${release_label_id}`);
    const update = Update.safeParse(body);
    if (method !== 'PATCH' || label === undefined) return { status: 404 };
    if (!update.success) return { status: 422 };
    label.prompt_version_number = update.data.prompt_version_number;
    return { status: 201, body: { success: true } };
  });
  cleanups.push(server.close);
  return { release_labels, entry: { kind: 'promptlayer', name: 'registry', url: `${server.url}/`, api_key: 'pl_1' } };
}

it('moves the release label back, and no other', async () => {
  const { release_labels, entry } = await promptlayer();
  expect((await rollBack(entry)).answer).toBe('the label prod is on version 7');
  expect(release_labels.map(({ prompt_version_number }) => prompt_version_number)).toEqual([9, 7]);
});

it('a label or a prompt that is gone fails for good', async () => {
  const { entry } = await promptlayer();
  await expect(rollBack({ ...entry, label: 'live' })).rejects.toThrow('refund-agent has no release label live');
  await expect(rollBack(entry, orderAt({ prompt: 'other' }))).rejects.toThrow(/prompt-templates\/other\/labels: HTTP 404/);
});

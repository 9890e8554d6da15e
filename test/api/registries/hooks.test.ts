import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RegistryKind } from '../../../schemas/registry.ts';
import { openApi, type TestApi } from '../server.ts';

/** Each registry's webhook as its documentation shows it, signed as it signs. */
const SECRET = 'a secret of this test';
const nowMs = Date.parse('2026-06-01T10:00:00Z');
let api: TestApi;
beforeAll(async () => {
  api = await openApi({ registries: (['langfuse', 'langsmith', 'promptlayer', 'github'] as const).map((kind) => ({ kind, secret: SECRET, files: 'prompts/{prompt}.md' })) }, nowMs);
});
afterAll(() => api.close());

const hex = (text: string, secret = SECRET): string => createHmac('sha256', secret).update(text).digest('hex');
const seconds = nowMs / 1000;

const post = async (kind: RegistryKind, body: string, headers: Record<string, string>): Promise<[number, unknown]> => {
  const response = await api.app.request(`/v1/hooks/${kind}`, { method: 'POST', headers: { host: '127.0.0.1', 'content-type': 'application/json', ...headers }, body });
  return [response.status, await response.json()];
};
const timeline = async (prompt: string): Promise<unknown[]> => {
  const response = await api.app.request(`/v1/timeline?prompt=${prompt}`, { headers: { host: '127.0.0.1' } });
  return ((await response.json()) as { events: unknown[] }).events; // The answer is described by its route.
};

describe('webhooks of registries', () => {
  it('Langfuse: a version, and a label that moves from one to the next', async () => {
    const send = (version: number, labels: string[], action: string, timestamp: string): Promise<[number, unknown]> => {
      const body = JSON.stringify({ id: `id-${version}`, timestamp, type: 'prompt-version', apiVersion: 'v1', action, prompt: { id: 'p', name: 'movie-critic', version, projectId: 'x', labels, prompt: 'As a {{level}} critic', type: 'text', config: {}, commitMessage: 'Improved persona', tags: [], createdAt: timestamp, updatedAt: timestamp } });
      return post('langfuse', body, { 'x-langfuse-signature': `t=${seconds},v1=${hex(`${seconds}.${body}`)}` });
    };
    expect(await send(2, ['production'], 'created', '2026-06-01T09:00:00.000Z')).toEqual([200, { events: 2 }]);
    expect(await send(3, ['latest'], 'created', '2026-06-01T09:30:00.000Z')).toEqual([200, { events: 1 }]);
    expect(await send(3, ['production', 'latest'], 'updated', '2026-06-01T09:40:00.000Z')).toEqual([200, { events: 1 }]);
    // A retry, and an update of something else with the labels that are known.
    expect(await send(3, ['production', 'latest'], 'updated', '2026-06-01T09:40:00.000Z')).toEqual([200, { events: 0 }]);
    expect(await send(3, ['latest', 'production'], 'updated', '2026-06-01T09:50:00.000Z')).toEqual([200, { events: 0 }]);
    expect(await timeline('movie-critic')).toMatchObject([
      { version: '3', kind: 'label_set', label: 'production', source: 'langfuse', at_ms: Date.parse('2026-06-01T09:40:00Z') },
      { version: '3', kind: 'registered', facts: { message: 'Improved persona' } },
      { version: '2' },
      { version: '2' },
    ]);
  });

  it('LangSmith: a commit, and a commit tag', async () => {
    const payload = { prompt_id: 'id', prompt_name: 'joke', commit_hash: '3b1f5e0c9d'.repeat(4), created_at: '2026-06-01T09:00:00+00:00', created_by: 'mira', manifest: {} };
    const authorization = `Bearer ${SECRET}`;
    expect(await post('langsmith', JSON.stringify({ ...payload, event: 'commit' }), { authorization })).toEqual([200, { events: 1 }]);
    expect(await post('langsmith', JSON.stringify({ ...payload, event: 'tag:update', tag_name: 'production', created_at: '2026-06-01T09:10:00+00:00' }), { authorization })).toEqual([200, { events: 1 }]);
    expect(await timeline('joke')).toMatchObject([
      { kind: 'label_set', label: 'production', version: payload.commit_hash, actor: 'mira' },
      { kind: 'registered', facts: { author: 'mira', commit: payload.commit_hash } },
    ]);
  });

  it('PromptLayer: a label that moved, signed over the body as Python sorts and escapes it', async () => {
    const body = JSON.stringify({ event_type: 'prompt_template_label_moved', details: { prompt_template_name: 'grüße', prompt_template_id: 7, prompt_template_version_number: 5, old_prompt_template_version_number: 4, prompt_template_label: 'prod' }, user_id: 12, workspace_id: 1, timestamp: '2026-06-01T09:00:00Z' });
    // As json.dumps(payload, sort_keys=True) of CPython 3.11 wrote it.
    const sorted = String.raw`{"details": {"old_prompt_template_version_number": 4, "prompt_template_id": 7, "prompt_template_label": "prod", "prompt_template_name": "gr\u00fc\u00dfe", "prompt_template_version_number": 5}, "event_type": "prompt_template_label_moved", "timestamp": "2026-06-01T09:00:00Z", "user_id": 12, "workspace_id": 1}`;
    expect(await post('promptlayer', body, { 'x-promptlayer-signature': hex(sorted) })).toEqual([200, { events: 2 }]);
    expect(await timeline('gr%C3%BC%C3%9Fe')).toMatchObject([{ actor: 'user 12', label: 'prod' }, { actor: 'user 12', label: 'prod' }]);
  });

  it('GitHub: each commit on the default branch that touches a prompt', async () => {
    const id = 'a1'.repeat(20);
    const commit = { id, message: 'friendlier tone (#12)\n\nlong story', timestamp: '2026-06-01T09:00:00+02:00', url: `https://github.com/shop/backend/commit/${id}`, author: { name: 'Mira', username: 'mira' }, added: [], modified: ['prompts/refund.md', 'src/index.ts'], removed: [] };
    const body = JSON.stringify({ ref: 'refs/heads/main', repository: { default_branch: 'main', full_name: 'shop/backend' }, commits: [commit] });
    const headers = { 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${hex(body)}` };
    expect(await post('github', body, headers)).toEqual([200, { events: 1 }]);
    expect(await post('github', body, { ...headers, 'x-github-event': 'ping' })).toEqual([200, { events: 0 }]);
    expect(await timeline('refund')).toMatchObject([{ version: id, actor: 'mira', facts: { commit: id, message: 'friendlier tone (#12)', diff_url: commit.url } }]);
  });

  const forged = JSON.stringify({ timestamp: '2026-06-01T09:00:00Z', type: 'prompt-version', action: 'created', prompt: { name: 'forged', version: 1 } });
  it.each<[string, RegistryKind, Record<string, string>]>([
    ['no signature', 'langfuse', {}],
    ['another secret', 'langfuse', { 'x-langfuse-signature': `t=${seconds},v1=${hex(`${seconds}.${forged}`, 'another')}` }],
    ['a signature of an hour ago', 'langfuse', { 'x-langfuse-signature': `t=${seconds - 3600},v1=${hex(`${seconds - 3600}.${forged}`)}` }],
    ['a time that was changed', 'langfuse', { 'x-langfuse-signature': `t=${seconds},v1=${hex(`${seconds - 3600}.${forged}`)}` }],
    ['no header', 'langsmith', {}],
    ['an empty signature', 'promptlayer', { 'x-promptlayer-signature': '' }],
    ['the algorithm that GitHub gave up', 'github', { 'x-github-event': 'push', 'x-hub-signature': 'sha1=0000' }],
  ])('refuses what has %s', async (_what, kind, headers) => {
    expect((await post(kind, forged, headers))[0]).toBe(403);
    expect(await timeline('forged')).toEqual([]);
  });

  it('takes whatever is signed, or says that it cannot read it', { timeout: 60_000 }, async () => {
    const id = 'a1'.repeat(20);
    const at = '2026-06-01T09:00:00Z';
    const told: Record<RegistryKind, object> = {
      langfuse: { timestamp: at, type: 'prompt-version', action: 'created', prompt: { name: 'odd', version: 1, labels: ['production'], commitMessage: 'x', createdAt: at, updatedAt: at } },
      langsmith: { event: 'tag:update', prompt_name: 'odd', commit_hash: id, created_at: at, created_by: 'mira', tag_name: 'production' },
      promptlayer: { event_type: 'prompt_template_label_moved', timestamp: at, user_id: 1, details: { prompt_template_name: 'odd', prompt_template_version_number: 5, old_prompt_template_version_number: 4, prompt_template_label: 'prod' } },
      github: { ref: 'refs/heads/main', repository: { default_branch: 'main' }, commits: [{ id, message: 'x', timestamp: at, url: 'https://github.com/shop', author: { name: 'Mira' }, added: ['prompts/odd.md'], modified: [] }] },
    };
    const odd = fc.oneof(fc.anything({ withNullPrototype: false }), fc.constantFrom<unknown>('', '\u0000', '\ud800', '1899-12-31T00:00:00Z', '+275760-09-13T00:00:00Z', '9999-12-31', -1, 1e308, 'x'.repeat(600)));
    /** The body with one of its values, at any depth, replaced. */
    const mutated = (value: unknown, at: number, by: unknown): { value: unknown; left: number } => {
      if (at === 0) return { value: by, left: -1 };
      let left = at - 1;
      if (typeof value !== 'object' || value === null || left < 0) return { value, left };
      const entries = Object.entries(value).map(([key, part]): [string, unknown] => {
        if (left < 0) return [key, part];
        const inner = mutated(part, left, by);
        left = inner.left;
        return [key, inner.value];
      });
      return { value: Array.isArray(value) ? entries.map(([, part]) => part) : Object.fromEntries(entries), left };
    };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom<RegistryKind>('langfuse', 'langsmith', 'promptlayer', 'github'), fc.integer({ min: 0, max: 16 }), odd, async (kind, place, by) => {
        const body = JSON.stringify(mutated(told[kind], place, by).value, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null';
        const headers = { 'x-langfuse-signature': `t=${seconds},v1=${hex(`${seconds}.${body}`)}`, authorization: `Bearer ${SECRET}`, 'x-promptlayer-signature': hex(body), 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${hex(body)}` };
        expect([200, 400]).toContain((await post(kind, body, headers))[0]);
      }),
      { numRuns: 200, examples: [['promptlayer', 2, '1899-12-31T00:00:00Z'], ['langsmith', 4, '9999-12-31']] },
    );
    expect(api.failures).toEqual([]);
    // What a registry dates wrongly is taken as of now, or it would be the newest for ever.
    expect(await api.store.select<object>(`SELECT at_ms FROM version_events WHERE prompt_name = 'odd' AND at_ms > ${nowMs}`, {})).toEqual([]);
  });

  it('parses nothing that a stranger sends, and reads no more of it than a prompt has', async () => {
    const parse = vi.spyOn(JSON, 'parse');
    const keys = `{${Array.from({ length: 50_000 }, (_, index) => `"${index}":1`).join(',')}}`;
    for (const kind of ['langfuse', 'langsmith', 'promptlayer', 'github'] as const) expect((await post(kind, keys, { 'x-promptlayer-signature': hex(keys, 'another'), 'x-github-event': 'push' }))[0]).toBe(403);
    expect(parse.mock.calls.filter(([text]) => text === keys)).toEqual([]);
    parse.mockRestore();
    expect((await post('promptlayer', ' '.repeat(2 * 1024 * 1024), {}))[0]).toBe(413);
    expect((await post('nobody' as RegistryKind, '{}', {}))[0]).toBe(404); // what is asked is that there is none
  });

  it('says what it cannot read', async () => {
    expect(await post('langfuse', '[]', { 'x-langfuse-signature': `t=${seconds},v1=${hex(`${seconds}.[]`)}` })).toMatchObject([400, {}]);
  });
});

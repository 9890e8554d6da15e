import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { culprit } from '../built.ts';
import { promptOfFile } from '../../schemas/registry.ts';
import { openApi, type TestApi } from './server.ts';
import { randomFrom, seedRollout } from './traffic.ts';

const nowMs = Date.parse('2026-06-01T10:00:00Z');
let api: TestApi;
let url: string;
let stop: () => Promise<void>;
let repository: string;

beforeAll(async () => {
  api = await openApi({}, nowMs);
  const server = serve({ fetch: api.app.fetch, port: 0, hostname: '127.0.0.1' });
  await once(server, 'listening');
  // A server that listens on a port has an address with one.
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stop = () => new Promise((resolve) => void server.close(() => resolve()));
  repository = mkdtempSync(join(tmpdir(), 'culprit-git-'));
}, 60_000);
afterAll(async () => {
  await stop();
  await api.close();
  rmSync(repository, { recursive: true, force: true });
});

type Listed = { versions: { version: string; environment: string | null; is_registered: boolean; first_seen_ms: number | null; facts: Record<string, string> }[] };
const listed = async (prompt: string): Promise<Listed['versions']> => ((await (await fetch(`${url}/v1/versions?prompt=${encodeURIComponent(prompt)}`)).json()) as Listed).versions; // Described by its route.
const register = async (...versions: object[]): Promise<[number, unknown]> => {
  const response = await fetch(`${url}/v1/versions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ versions }) });
  return [response.status, await response.json()];
};

describe('versions', () => {
  it('are known from traffic, from being registered, or from both; and an alert says who wrote its culprit', { timeout: 60_000 }, async () => {
    const arm = { version: 'v1', share: 0.9, errorRate: 0.011, medianMs: 900, quality: 0.86 };
    const { alertId } = await seedRollout(api.store, { prompt: 'refund-agent', baseline: arm, candidate: { ...arm, version: 'v2', share: 0.1, errorRate: 0.09 }, beganMs: nowMs - 90 * 60_000, callsPerMinute: 60, raisesAlert: true }, { fromMs: nowMs - 120 * 60_000, toMs: nowMs }, randomFrom(7));
    expect(await listed('refund-agent')).toMatchObject([{ version: 'v2', is_registered: false }, { version: 'v1', is_registered: false }]);

    const v2 = { prompt: 'refund-agent', version: 'v2', commit: '4f2a91c7d05e', author: 'mira', owner: '@shop/payments', diff_url: 'https://git.example/shop/compare/v1...v2', at: '2026-06-01T08:00:00Z' };
    expect(await register(v2, { prompt: 'refund-agent', version: 'v3' })).toEqual([200, { registered: 2 }]);
    expect(await register(v2)).toEqual([200, { registered: 0 }]);
    // Another word on one fact leaves the others as they are.
    expect(await register({ prompt: 'refund-agent', version: 'v2', owner: '@shop/refunds', at: '2026-06-01T09:00:00Z' })).toEqual([200, { registered: 1 }]);
    expect((await listed('refund-agent')).find(({ version }) => version === 'v2')).toMatchObject({ is_registered: true, facts: { author: 'mira', owner: '@shop/refunds' } });

    const shown = await (await fetch(`${url}/v1/alerts/${alertId ?? ''}`)).json();
    // The alert of this traffic names commit and owner itself, and keeps them.
    expect(shown).toMatchObject({ culprit: { value: 'v2', commit: '4f2a91c7d05e', author: 'mira', owner: 'payments' } });

    // One that was raised before anybody told of its version has it in the list, too, and in the answer to whoever takes it on.
    await api.store.command(`INSERT INTO alert_transitions SELECT * REPLACE (concat(transition_id, 'x') AS transition_id, 'alr_untold' AS alert_id,
      replaceRegexpOne(replaceOne(body, '${alertId ?? ''}', 'alr_untold'), '"commit":.*?"diff_url":"[^"]*"', '"commit":null,"author":null,"owner":null,"diff_url":null') AS body) FROM (SELECT * FROM alert_transitions WHERE alert_id = '${alertId ?? ''}')`);
    const known = { culprit: { commit: '4f2a91c7d05e', author: 'mira', owner: '@shop/refunds', diff_url: v2.diff_url } };
    const { alerts } = (await (await fetch(`${url}/v1/alerts`)).json()) as { alerts: { id: string }[] }; // as its route says
    expect(alerts.find(({ id }) => id === 'alr_untold')).toMatchObject(known);
    const taken = await fetch(`${url}/v1/alerts/alr_untold/acknowledge`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
    expect(await taken.json()).toMatchObject({ state: 'acknowledged', ...known });
  });

  it('refuse what does not fit, and say where', async () => {
    expect(await register({ prompt: 'p', version: 'v', diff_url: 'javascript:alert(1)' })).toMatchObject([400, { errors: [{ path: 'versions.0.diff_url' }] }]);
    expect(await register({ prompt: 'p' })).toMatchObject([400, { errors: [{ path: 'versions.0.version' }] }]);
    expect(await register()).toMatchObject([400, {}]);
  });

  it('are not told by a registry that is not configured', async () => {
    const response = await fetch(`${url}/v1/hooks/github`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
    expect([response.status, await response.json()]).toMatchObject([404, { detail: expect.stringContaining('registries') }]);
  });

  it('that are commits are found by their short form', async () => {
    const commit = 'abcdef0123456789abcdef0123456789abcdef01';
    await register({ prompt: 'by-commit', version: commit, commit, author: 'mira' });
    await api.store.insert('versions', [{ project: 'default', environment: 'production', prompt_name: 'by-commit', factor: 'prompt_version', value: 'abcdef0', first_seen_ms: nowMs, last_seen_ms: nowMs, calls: 1 }]);
    expect(await listed('by-commit')).toMatchObject([{ version: 'abcdef0', is_registered: true, facts: { author: 'mira' } }]);
  });
});

describe('culprit versions push', () => {
  // Git knows seconds: a minute lies between two commits, whatever the machine makes of it.
  let commitMs = nowMs;
  const git = (...args: string[]): string => {
    const date = new Date((commitMs += 60_000)).toISOString();
    const env = { ...process.env, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
    return execFileSync('git', ['-C', repository, '-c', 'user.name=Mira', '-c', 'user.email=mira@shop.example', '-c', 'commit.gpgsign=false', ...args], { encoding: 'utf8', env });
  };
  const push = (...args: string[]) => culprit(['versions', 'push', '--server', url, ...args], { cwd: repository });

  beforeAll(() => {
    git('init', '-q', '-b', 'main');
    git('remote', 'add', 'origin', 'git@github.com:shop/backend.git');
  });

  it('tells commit, author, owner and what changed', { timeout: 60_000 }, async () => {
    mkdirSync(join(repository, 'prompts/support'), { recursive: true });
    writeFileSync(join(repository, 'CODEOWNERS'), '* @shop/everybody\n/prompts/ @shop/prompts # all of them\n/prompts/support/ @shop/support @mira\n');
    writeFileSync(join(repository, 'prompts/refund.md'), 'Be brief.\n');
    writeFileSync(join(repository, 'prompts/support/answer.md'), 'Answer.\n');
    git('add', '.');
    git('commit', '-qm', 'first prompts');
    const first = git('rev-parse', 'HEAD').trim();
    expect(await push('--files', 'prompts/{prompt}.md')).toMatchObject({ code: 0, output: expect.stringContaining('2 told, 2 of them news') });

    writeFileSync(join(repository, 'prompts/refund.md'), 'Be brief and friendly.\n');
    git('commit', '-qam', 'friendlier tone (#812)');
    const second = git('rev-parse', 'HEAD').trim();
    expect(await push('--files', 'prompts/{prompt}.md', '--prompt', 'refund', '--version', 'v2')).toMatchObject({ code: 0, output: expect.stringContaining('refund v2: friendlier tone (#812) (Mira, owned by @shop/prompts)') });

    const [v2, v1] = await listed('refund');
    expect(v1).toMatchObject({ version: first.slice(0, 12), facts: { commit: first, owner: '@shop/prompts' } });
    expect(v2).toMatchObject({
      version: 'v2',
      facts: { commit: second, author: 'Mira', message: 'friendlier tone (#812)', pull_request_url: 'https://github.com/shop/backend/pull/812', diff_url: `https://github.com/shop/backend/compare/${first}...${second}`, diff: expect.stringContaining('+Be brief and friendly.') },
    });
    expect(await listed('support/answer')).toMatchObject([{ facts: { owner: '@shop/support @mira' } }]);
  });

  it('tells what changed against an earlier version, or the change before it where none is known', { timeout: 60_000 }, async () => {
    writeFileSync(join(repository, 'prompts/returns.md'), 'One.\n');
    git('add', '.');
    git('commit', '-qm', 'returns');
    const [one] = git('rev-parse', 'HEAD').trim().split('\n');
    writeFileSync(join(repository, 'prompts/returns.md'), 'Two.\n');
    git('commit', '-qam', 'returns, again');
    const changeOf = async (version: string): Promise<string | undefined> => (await listed('returns')).find((known) => known.version === version)?.facts.diff?.match(/^[-+]\w+\.$/gm)?.join(' ');
    // Nobody has told of the first one.
    expect(await push('--files', 'prompts/{prompt}.md', '--prompt', 'returns', '--version', 'two')).toMatchObject({ code: 0 });
    expect(await changeOf('two')).toBe('-One. +Two.');
    // The first one, told later, came after nothing.
    git('checkout', '-q', one ?? '');
    expect(await push('--files', 'prompts/{prompt}.md', '--prompt', 'returns', '--version', 'one')).toMatchObject({ code: 0 });
    expect(await changeOf('one')).toBeUndefined();
    git('checkout', '-q', 'main');
  });

  it('says what is missing', { timeout: 60_000 }, async () => {
    expect(await push('--files', 'nothing/{prompt}.md')).toMatchObject({ code: 1, output: expect.stringContaining('no file under version control fits') });
    expect(await push('--version', 'v2')).toMatchObject({ code: 1, output: expect.stringContaining('--prompt') });
  });
});

describe('files that are prompts', () => {
  it.each([
    ['prompts/{prompt}.md', 'prompts/refund.md', 'refund'],
    ['prompts/{prompt}.md', 'prompts/support/answer.md', 'support/answer'],
    ['prompts/{prompt}.*', 'prompts/refund.prompt.yaml', 'refund'],
    ['*/prompts/{prompt}/system.md', 'shop/prompts/refund/system.md', 'refund'],
    ['prompts/{prompt}.md', 'src/prompts/refund.md', null],
    ['a(b/{prompt}.md', 'a(b/refund.md', 'refund'],
  ])('%s of %s is %s', (pattern, path, prompt) => {
    expect(promptOfFile(pattern, path)).toBe(prompt);
  });
});

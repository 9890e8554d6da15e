import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { openApi, type TestApi } from './server.ts';
import { callRow } from './rows.ts';
import { randomFrom, seedRollout, twoHoursTo, worseRollout } from './traffic.ts';

const nowMs = Date.parse('2026-06-01T10:00:00Z');
const VERSIONS = 70;
const CALLS_OF_EACH = 3;
let api: TestApi;

beforeAll(async () => {
  api = await openApi({}, nowMs);
  const calls = Array.from({ length: VERSIONS * CALLS_OF_EACH }, (_, index) => callRow({ at_ms: nowMs - 3_600_000 + index * 1000, id: `call ${index}`, prompt: 'built-often', version: `build-${index % VERSIONS}` }));
  await api.store.insert('calls', [...calls, { ...callRow({ at_ms: nowMs - 60_000, id: 'elsewhere', prompt: 'built-often', version: 'build-0' }), environment: 'staging' }]);
});
afterAll(() => api.close());

const Answer = z.object({ name: z.string(), versions: z.array(z.object({ version: z.string() })), comparisons: z.array(z.unknown()) }).loose();
const ask = async (path: string): Promise<unknown> => (await api.app.request(path)).json();

// The page once added up the twelve versions that it shows, and told 12 calls of a prompt that had 3,000.
test('a prompt with more versions than are listed says how many calls and versions it has', async () => {
  const one = Answer.parse(await ask('/v1/prompts/built-often'));
  expect(one).toMatchObject({ environment: 'production', calls: VERSIONS * CALLS_OF_EACH, version_count: VERSIONS });
  expect(one.versions).toHaveLength(12);

  const { prompts } = z.object({ prompts: z.array(Answer) }).parse(await ask('/v1/prompts?environment=production'));
  expect(prompts).toMatchObject([{ name: 'built-often', calls: VERSIONS * CALLS_OF_EACH, version_count: VERSIONS }]);
  expect(prompts[0]?.versions).toHaveLength(50);
});

test('an environment without calls in the window has none', async () => {
  expect(await ask('/v1/prompts/built-often?environment=nowhere')).toMatchObject({ calls: 0, version_count: 0, versions: [] });
  expect(await ask('/v1/prompts/built-often?environment=staging')).toMatchObject({ calls: 1, version_count: 1 });
});

// A sender that puts an id where the version belongs opens a thousand comparisons. They were all that was listed, and the overview called a prompt steady that was alerted on.
test('a prompt with very many open comparisons hides those of no other', async () => {
  const { alertId } = await seedRollout(api.store, worseRollout(nowMs), twoHoursTo(nowMs), randomFrom(3));
  const [row] = await api.store.select<{ settings: string }>("SELECT * FROM comparisons FINAL WHERE prompt_name = 'refund-agent'");
  const opened = Array.from({ length: 1_200 }, (_, index) => ({ ...row, comparison_id: `cmp_${index}`, prompt_name: 'built-often', candidate: `build-${index}`, opened_ms: nowMs - 60_000 + index }));
  await api.store.insert('comparisons', opened);

  const { prompts, open_comparisons } = z.object({ prompts: z.array(Answer), open_comparisons: z.number() }).parse(await ask('/v1/prompts'));
  expect(open_comparisons).toBe(1_201);
  expect(prompts.find(({ name }) => name === 'refund-agent')?.comparisons).toMatchObject([{ alert_id: alertId, candidate: 'v2' }]);
  expect(prompts.find(({ name }) => name === 'built-often')?.comparisons).toHaveLength(10);
  expect(await (await api.app.request('/metrics')).text()).toContain('culprit_comparison_regressed{environment="production",prompt="refund-agent",factor="prompt_version",baseline="v1",candidate="v2"} 1');
});

// The data page told the 2,000 calls of such a sender as calls that name several prompts.
test('calls past the limit of versions are told apart from those that name several prompts', async () => {
  const filed = { ...callRow({ at_ms: nowMs - 1000, id: 'filed', prompt: 'built-often', version: '(other)' }), prompt_attribution: 'ambiguous' };
  await api.store.insert('calls', [{ ...filed, flags: ['version_over_limit'] }, { ...filed, span_id: 'ab'.repeat(8), flags: [] }]);
  expect(await ask('/v1/quality')).toMatchObject({ ambiguous: 1, over_limit: 1 });
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CALL_FLAGS } from '../../../schemas/call-flags.ts';
import { ARRIVED_MS, inference, openIngesting, traces, type Ingesting } from './ingesting.ts';

/** Flags are told once for each call, when it is complete; and each is explained. */
let on: Ingesting;
beforeAll(async () => {
  on = await openIngesting();
});
afterAll(() => on.close());

it('tells the flags of a call once, when it is complete, whatever comes again', async () => {
  const told: string[] = [];
  const ingest = await on.fresh({ flagged: (flag) => told.push(flag) });
  const cut = { 'gen_ai.output.messages': '[{"role":"assis' };
  // It waits for a span above it.
  const waiting = inference(1, cut, { parent_span_id: '9'.repeat(16) });
  await ingest.write([traces([waiting])]);
  expect(told).toEqual([]);
  await ingest.advance(ARRIVED_MS + 120_000);
  expect(told).toEqual(['attribute_unreadable']);
  await ingest.write([traces([waiting])]);
  await ingest.write([traces([inference(2, { ...cut, 'gen_ai.prompt.name': 'p', 'gen_ai.prompt.version': 'v', 'session.id': 's' })])]);
  expect(told).toEqual(['attribute_unreadable', 'attribute_unreadable']);
  expect((await on.calls()).map(({ flags }) => flags)).toEqual([['attribute_unreadable'], ['attribute_unreadable']]);
});

it('explains every flag that calls are given, here and in the documents', () => {
  const root = join(import.meta.dirname, '../../..');
  const sources = ['analyzer/dialects', 'analyzer/signals', 'analyzer/ingest', 'analyzer'].flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [readFileSync(join(root, folder, entry.name), 'utf8')] : [])),
  );
  const given = new Set(sources.flatMap((source) => [...source.matchAll(/flags\.add\('(\w+)'\)|const (?:UNREADABLE|NAME_INHERITED|VERSION_INHERITED|ATTRIBUTED_LATE|TWIN_UNCLEAR) = '(\w+)'|'(\w+_over_limit)'/g)].map(([, ...names]) => names.find((name) => name !== undefined) ?? '')));
  // A score's, not a call's.
  given.delete('name_over_limit');
  given.add('not_awaited');
  expect([...given].toSorted()).toEqual(Object.keys(CALL_FLAGS).toSorted());
  const documented = readFileSync(join(root, 'docs/TAGGING.md'), 'utf8');
  for (const [flag, meaning] of Object.entries(CALL_FLAGS)) expect(documented).toContain(`| \`${flag}\` | ${meaning} |`);
});

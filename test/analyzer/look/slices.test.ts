import { expect, it, vi } from 'vitest';
import { callsOf, linesOf, scenario } from '../../simulation/traffic.ts';
import { alertsOf, lookStore } from './look-run.ts';
import { ingest, lookOver } from '../../simulation/store.ts';

/** Where a version is worse, from OTLP to the alert, over a real store. */

vi.setConfig({ testTimeout: 240_000 });

const here = lookStore();

it('a version that fails on one of two models: the alert names that model, and not the other (seed 401)', async () => {
  const traffic = scenario({
    minutes: 75, callsPerMinute: 90, models: { 'gpt-4o-2024-08-06': 0.6, 'gpt-4o-mini-2024-07-18': 0.4 }, routes: { easy: 0.5, hard: 0.5 },
    versions: [[0, { v1: 1 }], [20, { v1: 0.5, v2: 0.5 }]], changes: [{ version: 'v2', model: 'gpt-4o-mini-2024-07-18', error: 0.15 }],
  });
  const endMs = await ingest(here.store, linesOf(traffic, callsOf(traffic, 401)));
  const look = lookOver(here.store, {}, 60);
  await look.start();
  const [alert] = alertsOf(await look.advance(endMs + 60_000));
  expect(alert).toMatchObject({ severity: 'page', metric: 'error_rate', culprit: { factor: 'prompt_version', value: 'v2' } });
  const slices = alert?.slices ?? [];
  expect(slices[0]).toMatchObject({ dimension: 'model', is_worse: true });
  expect(slices.filter(({ dimension }) => dimension === 'model').map(({ value, is_worse }) => [value.includes('mini'), is_worse])).toEqual([[true, true], [false, false]]);
  expect(slices.map(({ dimension }) => dimension)).toContain('app.route');
});

import { describe, expect, it } from 'vitest';
import { slotStartMs } from '../../../analyzer/slots.ts';
import { callsOf, linesOf, scenario, type Scenario } from '../../simulation/traffic.ts';
import { lookStore } from './look-run.ts';
import { ingest, lookOver } from '../../simulation/store.ts';

/** Who is compared with whom (DESIGN, section 10), over a real store. */

const here = lookStore();

/** `baseline → candidate @ minute of the opening, its share of α`. */
async function comparisonsIn(versions: Scenario['versions'], change: Partial<Scenario> = {}, settings: object = {}, labels: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const traffic = scenario({ minutes: 40, callsPerMinute: 20, versions, ...change });
  const calls = callsOf(traffic, 61).map((call) => ({ ...call, attributes: labels[call.version] === undefined ? {} : { 'prompt.label': labels[call.version] ?? '' } }));
  const endMs = await ingest(here.store, linesOf(traffic, calls), settings);
  const look = lookOver(here.store, settings, 120);
  await look.start();
  await look.advance(endMs + 60_000);
  const rows = await here.store.select<{ baseline: string; candidate: string; opened_slot: number; stake: number }>(
    `SELECT baseline, candidate, JSONExtractInt(settings, 'opened_slot') AS opened_slot, JSONExtractFloat(settings, 'stake') AS stake FROM comparisons FINAL WHERE prompt_name != '' ORDER BY opened_slot, candidate`,
  );
  return rows.map(({ baseline, candidate, opened_slot, stake }) => `${baseline} → ${candidate} @ ${(slotStartMs(opened_slot) - traffic.beginMs) / 60_000}, ${stake}`);
}

describe('the baseline of a new version', () => {
  it('is what served most calls before it, whatever takes most of them after', async () => {
    expect(await comparisonsIn([[0, { v1: 0.7, v0: 0.3 }], [20, { v1: 0.05, v0: 0.05, v2: 0.9 }]])).toEqual(['v1 → v0 @ 10, 1', 'v1 → v2 @ 20, 1']);
  });

  it('is the one that the configuration names', async () => {
    const settings = { prompts: { 'refund-agent': { baseline: 'v0' } } };
    expect(await comparisonsIn([[0, { v1: 0.7, v0: 0.3 }], [20, { v1: 0.5, v0: 0.2, v2: 0.3 }]], {}, settings)).toEqual(['v0 → v1 @ 0, 1', 'v0 → v2 @ 20, 1']);
  });

  it('is, at first sight of several at once, who has most calls in the first ten minutes', async () => {
    expect(await comparisonsIn([[0, { v3: 0.2, v2: 0.5, v1: 0.3 }]])).toEqual(['v2 → v1 @ 10, 0.5', 'v2 → v3 @ 10, 0.5']);
  });

  it('is what was there for more than ten minutes, however few calls it had', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }], [30, { v2: 1 }], [31, { v1: 0.2, v2: 0.8 }]], { callsPerMinute: 0.5, minutes: 60 })).toEqual([expect.stringMatching(/^v1 → v2 @ 3\d(\.5)?, 1$/)]);
  });
});

describe('a model that is asked for', () => {
  const models = (secondFrom: number): Scenario['models'] => [[0, { 'gpt-4o': 1 }], [secondFrom, { 'gpt-4o': 0.7, 'claude-sonnet-4-5': 0.3 }]];

  it('is how a prompt is served where it shows in the first ten minutes, as a router has two', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }]], { models: models(8) })).toEqual([]);
  });

  it('is a change where it comes later', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }]], { models: models(12) })).toEqual([expect.stringMatching(/^gpt-4o → claude-sonnet-4-5 @ 12(\.5)?, 1$/)]);
  });
});

describe('a label', () => {
  const keys = { prompt_label: ['prompt.label'] };
  const canary: Scenario['versions'] = [[0, { v1: 0.3, v0: 0.7 }], [20, { v1: 0.3, v0: 0.5, v2: 0.2 }]];

  it('production says which version is the baseline, whoever has more calls', async () => {
    expect(await comparisonsIn(canary, {}, { keys }, { v1: 'production', v2: 'canary' })).toContain('v1 → v2 @ 20, 1');
  });

  it('that the configuration names is the version that carries it', async () => {
    expect(await comparisonsIn(canary, {}, { keys, prompts: { 'refund-agent': { baseline: 'prod' } } }, { v1: 'prod' })).toContain('v1 → v2 @ 20, 1');
  });

  it('that stands where a version should is found under its own name', async () => {
    expect(await comparisonsIn([[0, { v1: 0.7, prod: 0.3 }], [20, { v1: 0.5, prod: 0.2, v2: 0.3 }]], {}, { prompts: { 'refund-agent': { baseline: 'prod' } } })).toContain('label:prod → v2 @ 20, 1');
  });
});

describe('a deployment after others', () => {
  it('is compared with what served within the hour before, not with what is long gone', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }], [80, { v2: 1 }], [145, { v3: 1 }]], { minutes: 155, callsPerMinute: 10 })).toEqual(['v1 → v2 @ 80, 1', 'v2 → v3 @ 145, 1']);
  });

  it('of a version that was rolled back and comes again goes on with what is known of it, and the version before is nothing new', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }], [20, { v2: 1 }], [25, { v1: 1 }], [35, { v2: 1 }]])).toEqual(['v1 → v2 @ 20, 1']);
  });
});

describe('new versions', () => {
  it('that come together share one α', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }], [20, { v1: 0.4, v2: 0.3, v3: 0.3 }]], { callsPerMinute: 80 })).toEqual(['v1 → v2 @ 20, 0.5', 'v1 → v3 @ 20, 0.5']);
  });

  it('that come within ten minutes of an opening wait for the end of them', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }], [15, { v1: 0.5, v2: 0.5 }], [18, { v1: 0.4, v2: 0.3, v3: 0.3 }]])).toEqual(['v1 → v2 @ 15, 1', 'v1 → v3 @ 25, 1']);
  });

  it('of which there is only one are compared with nothing', async () => {
    expect(await comparisonsIn([[0, { v1: 1 }]])).toEqual([]);
  });
});

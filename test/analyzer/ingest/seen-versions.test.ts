import { describe, expect, it } from 'vitest';
import { createSeenVersions, type VersionRow } from '../../../analyzer/ingest/seen-versions.ts';

const seen = (value: string, atMs: number, calls = 1): VersionRow => ({
  project: 'default', environment: 'production', prompt_name: 'refund-agent', factor: 'prompt_version', value, first_seen_ms: atMs, last_seen_ms: atMs, calls,
});

describe('versions that were seen', () => {
  it('are written at once when they are new, then once in thirty seconds, and lose no call', () => {
    const versions = createSeenVersions();
    expect(versions.due([seen('v1', 1_000, 3)], 1_000)).toEqual([seen('v1', 1_000, 3)]);
    expect(versions.due([seen('v1', 2_000, 4)], 2_000)).toEqual([]);
    expect(versions.due([], 20_000)).toEqual([]);
    expect(versions.due([seen('v1', 31_000, 5)], 31_000)).toEqual([{ ...seen('v1', 31_000, 9), first_seen_ms: 2_000 }]);
    expect(versions.due([], 90_000)).toEqual([]);
  });

  it('go with a new one that cannot wait', () => {
    const versions = createSeenVersions();
    versions.due([seen('v1', 1_000)], 1_000);
    versions.due([seen('v1', 2_000)], 2_000);
    expect(versions.due([seen('v2', 3_000)], 3_000).map(({ value }) => value)).toEqual(['v1', 'v2']);
  });

  it('are new again after a reset', () => {
    const versions = createSeenVersions();
    versions.due([seen('v1', 1_000)], 1_000);
    versions.reset();
    expect(versions.due([seen('v1', 2_000)], 2_000)).toHaveLength(1);
  });
});

import { describe, expect, it } from 'vitest';
import { createCardinality, OTHER } from '../../../analyzer/ingest/cardinality.ts';
import type { LlmCall } from '../../../schemas/call.ts';
import { callOf, STARTED_MS } from '../spans.ts';

const LIMITS = { promptsPerProject: 2, versionsPerPrompt: 2, versionsPerProject: 3 };
const DAY_MS = 86_400_000;

const call = (prompt_name: string | null, prompt_version: string | null, project = 'p'): LlmCall => ({ ...callOf({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o' }), prompt_name, prompt_version, prompt_attribution: 'direct', project });
const named = ({ prompt_name, prompt_version, prompt_attribution, flags }: LlmCall) => ({ prompt_name, prompt_version, prompt_attribution, flags });

describe('cardinality', () => {
  it('files what comes beyond the limit of a prompt under (other), flagged, and keeps those that were first', () => {
    const cardinality = createCardinality(LIMITS);
    const admitted = ['v1', 'v2', 'v3', 'v1', 'v3', null].map((version) => named(cardinality.admit(call('a', version), STARTED_MS)));
    const other = { prompt_name: 'a', prompt_version: OTHER, prompt_attribution: 'ambiguous', flags: ['version_over_limit'] };
    expect(admitted.map(({ prompt_version }) => prompt_version)).toEqual(['v1', 'v2', OTHER, 'v1', OTHER, null]);
    expect(admitted[2]).toEqual(other);
    expect(admitted[3]?.flags).toEqual([]);
  });

  it('limits the names of a project, and its versions over all prompts, and no other project by them', () => {
    const cardinality = createCardinality(LIMITS);
    const admit = (name: string | null, version: string | null, project?: string) => named(cardinality.admit(call(name, version, project), STARTED_MS));
    admit('a', 'v1');
    admit('b', 'v1');
    expect(admit('c', 'v1')).toEqual({ prompt_name: OTHER, prompt_version: OTHER, prompt_attribution: 'ambiguous', flags: ['prompt_over_limit'] });
    expect(admit('b', 'v2')).toMatchObject({ prompt_version: 'v2', flags: [] });
    expect(admit('a', 'v2')).toMatchObject({ prompt_name: 'a', prompt_version: OTHER, flags: ['project_over_limit'] });
    expect(admit('c', 'v1', 'q')).toMatchObject({ prompt_name: 'c', prompt_version: 'v1', flags: [] });
    expect(admit(null, null)).toMatchObject({ prompt_name: null, prompt_version: null, flags: [] });
  });

  it('begins anew with the day of arrival (UTC), and not before', () => {
    const cardinality = createCardinality(LIMITS);
    const versionAt = (version: string, stampMs: number) => cardinality.admit(call('a', version), stampMs).prompt_version;
    const midnightMs = (Math.floor(STARTED_MS / DAY_MS) + 1) * DAY_MS;
    expect(['v1', 'v2', 'v3'].map((version) => versionAt(version, STARTED_MS))).toEqual(['v1', 'v2', OTHER]);
    expect(versionAt('v3', midnightMs - 1)).toBe(OTHER);
    expect(versionAt('v3', midnightMs)).toBe('v3');
    // A straggler of yesterday counts for today: no day is opened again.
    expect(versionAt('v4', midnightMs - 1)).toBe('v4');
    expect(versionAt('v5', midnightMs)).toBe(OTHER);
  });

  it('goes on where an earlier process was, and leaves what is (other) already as it is', () => {
    const cardinality = createCardinality(LIMITS);
    cardinality.restore([{ project: 'p', prompt_name: 'a', prompt_version: 'v1' }, { project: 'p', prompt_name: 'a', prompt_version: 'v2' }], STARTED_MS);
    expect(cardinality.admit(call('a', 'v2'), STARTED_MS).flags).toEqual([]);
    const once = cardinality.admit(call('a', 'v3'), STARTED_MS);
    expect(once.flags).toEqual(['version_over_limit']);
    expect(cardinality.admit(once, STARTED_MS)).toBe(once);
  });
});

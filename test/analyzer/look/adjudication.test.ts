import { describe, expect, it } from 'vitest';
import { judge, takenBack } from '../../../analyzer/look/adjudication.ts';
import { slotOf } from '../../../analyzer/slots.ts';
import type { Alert } from '../../../schemas/alert.ts';

const page = { alert_id: 'alr_m', model: 'gpt-4o', metric: 'error_rate' };
const moved = { factor: 'model', value: 'gpt-4o-2024-11-20' } as const;
const RAISED = Date.UTC(2026, 5, 1, 11, 4);

const alert = (change: Partial<Alert> = {}): Alert => ({
  id: 'alr_v', schema: 'culprit.alert/1', state: 'open', severity: 'page', project: 'p', environment: 'e', prompt: 'refund-agent', prompt_version: 'v2', metric: 'error_rate', direction: 'up',
  culprit: { factor: 'prompt_version', value: 'v2', baseline: 'v1', commit: null, author: null, owner: null, diff_url: null },
  evidence: {
    grade: 'before_after', e_value: 321, threshold: 100, alpha: 0.01, metrics: {}, baseline: { units: 9, value: 0 }, candidate: { units: 9, value: 1 },
    effect: { kind: 'difference', estimate: 1, low: null, high: null, confidence: 0.95 },
  },
  exonerated: [{ factor: 'model', value: 'gpt-4o', reason: 'others on it did not move', e_value: 0.5 }],
  onset: new Date(RAISED).toISOString(), raised_at: new Date(RAISED).toISOString(), resolved_at: null, examples: [], links: { alert: '', evidence: '', chart: '', rollback: null }, summary: '',
  ...change,
});

describe('a claim', () => {
  it('of arms that ran at the same time stands, whatever else happened, beside what moved with them', () => {
    const deployed = { factor: 'app_version', value: '1.5.0' };
    expect(judge({ carried: [], grade: 'concurrent', factor: 'prompt_version', page, together: [deployed] })).toEqual({ kind: 'raise', confounded_with: [deployed] });
  });

  it('of a model with a version that came with it stands while neither runs without the other', () => {
    const version = { factor: 'prompt_version', value: 'v2' } as const;
    expect(judge({ carried: ['v2'], grade: 'concurrent', factor: 'model', page: null, together: [version] })).toEqual({ kind: 'raise', confounded_with: [version] });
    expect(judge({ carried: ['v2'], grade: 'concurrent', factor: 'model', page: null, together: [] })).toEqual({ kind: 'hold', reason: expect.stringContaining('v2 came with it') });
  });

  it.each(['before_after', 'alone'] as const)('over time (%s) is held while its model is paged', (grade) => {
    expect(judge({ carried: [], grade, factor: 'prompt_version', page, together: [] })).toEqual({ kind: 'hold', reason: expect.stringContaining('alr_m') });
    expect(judge({ carried: [], grade, factor: 'model', page, together: [] })).toMatchObject({ kind: 'hold' });
  });

  it('of a version that came with a model is left to the model, which says so', () => {
    expect(judge({ carried: [], grade: 'before_after', factor: 'prompt_version', page: null, together: [moved] })).toEqual({ kind: 'hold', reason: expect.stringContaining('would tell them apart') });
    const version = { factor: 'prompt_version', value: 'v2' } as const;
    expect(judge({ carried: [], grade: 'before_after', factor: 'model', page: null, together: [version] })).toEqual({ kind: 'raise', confounded_with: [version] });
  });

  it('of a model is made before that of a provider, and that before all others', () => {
    const served = { factor: 'provider', value: 'azure.ai.openai' };
    expect(judge({ carried: [], grade: 'before_after', factor: 'provider', page: null, together: [moved] })).toMatchObject({ kind: 'hold' });
    expect(judge({ carried: [], grade: 'before_after', factor: 'model', page: null, together: [served] })).toEqual({ kind: 'raise', confounded_with: [served] });
    expect(judge({ carried: [], grade: 'before_after', factor: 'app_version', page: null, together: [served] })).toMatchObject({ kind: 'hold', reason: expect.stringContaining('azure.ai.openai came with it') });
  });

  it('that nothing stands against is raised', () => {
    expect(judge({ carried: [], grade: 'before_after', factor: 'prompt_version', page: null, together: [] })).toEqual({ kind: 'raise', confounded_with: [] });
  });
});

describe('an alert whose model is paged', () => {
  const slot = slotOf(RAISED + 5 * 60_000);

  it('within ten minutes is taken back, with the reason, and its version exonerated', () => {
    const revision = takenBack(alert(), page, slot);
    expect(revision?.reason).toBe('revised: gpt-4o moved on other prompts as well, see alr_m');
    expect(revision?.alert).toMatchObject({ id: 'alr_v', state: 'resolved', exonerated: [{ factor: 'prompt_version', value: 'v2', e_value: 321 }] });
  });

  it('stands when it is older, of arms that ran together, or over already', () => {
    expect(takenBack(alert(), page, slot + 40)).toBeNull();
    expect(takenBack(alert({ state: 'resolved' }), page, slot)).toBeNull();
    expect(takenBack(alert({ evidence: { ...alert().evidence, grade: 'concurrent' } }), page, slot)).toBeNull();
  });
});

import type { Alert } from '../../../schemas/alert.ts';

/** A whole alert as it was at a transition. */
export function alertAt(id: string, state: Alert['state'], atMs: number): Alert {
  const at = new Date(atMs).toISOString();
  return {
    id, schema: 'culprit.alert/1', state, severity: 'page', project: 'default', environment: 'production', prompt: 'refund-agent', prompt_version: 'v2', metric: 'error_rate', direction: 'up',
    culprit: { factor: 'prompt_version', value: 'v2', baseline: 'v1', commit: null, author: null, owner: null, diff_url: null },
    evidence: {
      grade: 'concurrent', e_value: 1234.5, threshold: 100, alpha: 0.01, metrics: { error_rate: 5210 }, baseline: { units: 5210, value: 0.011 }, candidate: { units: 590, value: 0.062 },
      effect: { kind: 'difference', estimate: 0.051, low: 0.031, high: 0.074, confidence: 0.95 },
    },
    exonerated: [], onset: at, raised_at: at, resolved_at: null, examples: [], links: { alert: '', evidence: '', chart: '', rollback: null }, summary: 'refund-agent v2 fails 5.6 times as often as v1 – “bad”',
  };
}

import type { Message } from '../../../api/sinks/index.ts';
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

export const NOW_MS = Date.parse('2026-06-01T09:00:00Z');

/** What a sink is handed. */
export function messageAt(facts: Partial<Message> & { readonly change?: Partial<Alert> } = {}): Message {
  const { change = {}, type = 'alert.open', ...rest } = facts;
  const state = type === 'alert.resolved' ? 'resolved' : type === 'alert.acknowledged' ? 'acknowledged' : 'open';
  const links = { alert: 'https://culprit.example.com/alerts/alr_1', evidence: 'https://culprit.example.com/v1/comparisons/cmp_1/evidence', chart: 'https://culprit.example.com/v1/alerts/alr_1/chart.png', rollback: null };
  const alert: Alert = { ...alertAt('alr_1', state, NOW_MS), links, resolved_at: state === 'resolved' ? new Date(NOW_MS + 60_000).toISOString() : null, ...change };
  return { id: 'trn_1', type, timestamp: new Date(NOW_MS).toISOString(), alert, who: '', reason: '', escalated_after_s: null, ...rest };
}

/** Markup of every medium, line ends, mentions, direction and control characters, half a surrogate, and length. */
export const HOSTILE = '<!channel> <@U123> @here *bold* `code` <b onmouseover=alert(1)>&amp;</b>\r\nBcc: victim@example.com\r\n\r\n=cmd|calc\u0000\u202e\ud800 {{x}} ${y} ';

export function hostileAlert(): Partial<Alert> {
  const name = HOSTILE.repeat(40);
  const { culprit } = alertAt('alr_1', 'open', NOW_MS);
  return {
    prompt: name, prompt_version: name, metric: name, environment: name, summary: name, project: name,
    culprit: { ...culprit, value: name, baseline: name, owner: name, author: name, commit: name, diff_url: 'javascript:alert(1)', confounded_with: [{ factor: name, value: name }] },
    exonerated: Array.from({ length: 30 }, () => ({ factor: name, value: name, reason: name, e_value: 1 })),
  };
}

import { labelsOf } from '../../schemas/matcher.ts';
import type { SettingsOf } from '../../schemas/sinks.ts';
import { WebhookEvent } from '../../schemas/webhook.ts';
import type { Message, Sink } from './index.ts';
import { judgeHttp } from './judging.ts';
import { factsOf, oneLine, titleOf } from './words.ts';

/**
 * Prometheus Alertmanager, API v2 (`POST /api/v2/alerts`, its api/v2/openapi.yaml): labels say which alert it is, so they hold nothing that changes while
 * it is open. It fires until `endsAt`, which every refresh moves on: when Culprit goes away, so do its alerts there.
 */
export function createAlertmanagerSink({ name, url, bearer_token, timeout_s, refresh_s, per_minute }: SettingsOf<'alertmanager'>): Sink {
  const refreshMs = refresh_s * 1000;
  return {
    name,
    events: [...WebhookEvent.options],
    timeoutMs: timeout_s * 1000,
    most: 200,
    perMinute: per_minute,
    refreshMs,
    request(messages, { nowMs }) {
      return {
        url: `${url.replace(/\/+$/, '')}/api/v2/alerts`,
        headers: { 'content-type': 'application/json', 'user-agent': 'culprit', ...(bearer_token === undefined ? {} : { authorization: `Bearer ${bearer_token}` }) },
        body: JSON.stringify(messages.map((message) => postableOf(message, nowMs + 3 * refreshMs))),
      };
    },
    judge: judgeHttp,
  };
}

function postableOf(message: Message, endsMs: number) {
  const { alert } = message;
  const { severity: _severity, grade: _grade, version: _version, ...labels } = labelsOf(alert);
  const present = Object.entries({ alertname: 'PromptRegression', ...labels }).filter(([, value]) => value !== '');
  return {
    labels: Object.fromEntries(present.map(([name, value]) => [name, oneLine(value, 1000)])),
    annotations: {
      summary: oneLine(titleOf({ ...message, type: 'alert.open', escalated_after_s: null }), 1024),
      severity: alert.severity,
      state: alert.state,
      description: factsOf(alert).map(({ name, value }) => oneLine(`${name}: ${value}`, 1000)).join('\n'),
      chart: alert.links.chart,
    },
    startsAt: alert.raised_at,
    endsAt: alert.resolved_at ?? new Date(endsMs).toISOString(),
    ...(/^https?:\/\//.test(alert.links.alert) ? { generatorURL: alert.links.alert } : {}),
  };
}

import type { SettingsOf } from '../../schemas/sinks.ts';
import type { WebhookEvent } from '../../schemas/webhook.ts';
import type { Message, Sink } from './index.ts';
import { judgeHttp } from './judging.ts';
import { factsOf, oneLine, publicPicture, titleOf } from './words.ts';

/**
 * PagerDuty Events API v2 (developer.pagerduty.com, "Send an event"): one incident for each alert, as its id is the dedup key. Growing
 * evidence is the same trigger again, which adds to the incident's log and pages nobody.
 */
export function createPagerDutySink({ name, url, routing_key, events, timeout_s, per_minute }: SettingsOf<'pagerduty'>): Sink {
  return {
    name,
    events,
    timeoutMs: timeout_s * 1000,
    most: 1,
    perMinute: per_minute,
    request([message]) {
      // What is learned of an alert after its end (whether a rollback helped) must not open its incident again.
      const event_action = message.alert.state === 'resolved' ? 'resolve' : ACTIONS[message.type];
      const body = { routing_key, dedup_key: message.alert.id, event_action, ...(event_action === 'trigger' ? triggerOf(message) : {}) };
      return { url: `${url.replace(/\/+$/, '')}/v2/enqueue`, headers: { 'content-type': 'application/json', 'user-agent': 'culprit' }, body: JSON.stringify(body) };
    },
    judge: judgeHttp,
    change({ project, environment, prompt, version, first_seen_ms }) {
      const payload = {
        summary: oneLine(`${prompt} ${version} takes traffic in ${environment}`, 1024),
        source: oneLine(`culprit/${project}`, 255),
        timestamp: new Date(first_seen_ms).toISOString(),
        custom_details: { prompt: oneLine(prompt, 1000), version: oneLine(version, 1000), environment: oneLine(environment, 1000) },
      };
      return { url: `${url.replace(/\/+$/, '')}/v2/change/enqueue`, headers: { 'content-type': 'application/json', 'user-agent': 'culprit' }, body: JSON.stringify({ routing_key, payload, links: [] }) };
    },
  };
}

const ACTIONS: Readonly<Record<WebhookEvent, 'trigger' | 'acknowledge' | 'resolve'>> = {
  'alert.open': 'trigger',
  'alert.updated': 'trigger',
  'alert.rollback': 'trigger',
  'alert.acknowledged': 'acknowledge',
  'alert.resolved': 'resolve',
};

function triggerOf(message: Message) {
  const { alert } = message;
  const picture = publicPicture(alert);
  const link = (href: string | null, text: string) => (href !== null && /^https?:\/\//.test(href) ? [{ href, text }] : []);
  return {
    payload: {
      summary: oneLine(titleOf(message), 1024),
      source: oneLine(`culprit/${alert.project}`, 255),
      severity: alert.severity === 'page' ? 'critical' : 'warning',
      timestamp: alert.raised_at,
      component: oneLine(alert.prompt ?? alert.culprit.value, 255),
      group: oneLine(alert.environment, 255),
      class: oneLine(alert.metric, 255),
      custom_details: Object.fromEntries(factsOf(alert).map((fact) => [oneLine(fact.name, 100), oneLine(fact.value, 1000)])),
    },
    client: 'Culprit',
    ...(/^https?:\/\//.test(alert.links.alert) ? { client_url: alert.links.alert } : {}),
    links: [...link(alert.links.alert, 'Alert'), ...link(alert.links.evidence, 'Evidence'), ...link(alert.culprit.diff_url, 'What changed')],
    images: picture === null ? [] : [{ src: picture, href: alert.links.alert, alt: oneLine(alert.summary, 500) }],
  };
}

import { RE2JS } from 're2js';
import { z } from '@hono/zod-openapi';
import type { Alert } from './alert.ts';
import { matchesGlob } from './metric-settings.ts';

/**
 * Which alerts a silence or a route is about, as text: `prompt=support/*`, `severity!=ticket`, `version=~v[0-9]+`.
 *
 * `=` and `!=` compare with a glob (`*`: any characters); `=~` and `!~` with a regular expression of RE2 that fits the whole
 * value. Both take time linear in the value. A label that an alert does not have is the empty text.
 */

export const LABELS = ['project', 'environment', 'prompt', 'version', 'metric', 'severity', 'factor', 'culprit', 'baseline', 'owner', 'grade', 'alert'] as const;
export type Label = (typeof LABELS)[number];

const MATCHER = /^\s*([a-z_]+)\s*(=~|!~|!=|=)([\s\S]*)$/;
const isLabel = (name: string): name is Label => LABELS.some((label) => label === name);

/** What is wrong with the text of a matcher and how to correct it, or null. */
function matcherFault(text: string): string | null {
  const [, name = '', operator = '', value = ''] = MATCHER.exec(text) ?? [];
  if (name === '') return 'is no matcher; write label=value, label!=value, label=~expression or label!~expression';
  if (!isLabel(name)) return `has no label "${name.slice(0, 40)}" to match; labels are ${LABELS.join(', ')}`;
  if (!operator.endsWith('~')) return null;
  try {
    RE2JS.compile(value);
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'unreadable';
    return `is no regular expression of RE2 (${reason.slice(0, 200)}); RE2 has neither look-around nor back references`;
  }
}

export const Matcher = z
  .string()
  .max(600)
  .superRefine((text, context) => {
    const fault = matcherFault(text);
    if (fault !== null) context.addIssue({ code: 'custom', message: fault });
  })
  .openapi({ type: 'string', example: 'prompt=support/*', description: `label, then = or != and a glob, or =~ or !~ and a regular expression (RE2). Labels: ${LABELS.join(', ')}` });

export type Labels = Readonly<Record<Label, string>>;

export function labelsOf(alert: Alert): Labels {
  const { culprit, evidence } = alert;
  return {
    project: alert.project, environment: alert.environment, prompt: alert.prompt ?? '', version: alert.prompt_version ?? '', metric: alert.metric, severity: alert.severity,
    factor: culprit.factor, culprit: culprit.value, baseline: culprit.baseline, owner: culprit.owner ?? '', grade: evidence.grade, alert: alert.id,
  };
}

/** True where all matchers fit; no matcher fits everything. Throws where a text is no matcher: whoever took it in has refused those. */
export function compileMatchers(texts: readonly string[]): (labels: Labels) => boolean {
  const tests = texts.map((text): ((labels: Labels) => boolean) => {
    const [, name = '', operator = '', value = ''] = MATCHER.exec(text) ?? [];
    if (!isLabel(name)) throw new Error('not a matcher');
    if (operator.endsWith('~')) {
      const expression = RE2JS.compile(value, RE2JS.DOTALL);
      return (labels) => expression.matches(labels[name]) === (operator === '=~');
    }
    return (labels) => (value.includes('*') ? matchesGlob(value, labels[name]) : value === labels[name]) === (operator === '=');
  });
  return (labels) => tests.every((test) => test(labels));
}

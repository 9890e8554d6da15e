import { describe, expect, it } from 'vitest';
import { caveatOf, refusalOf } from '../../../api/rollbacks/rules.ts';
import type { PromptHistory } from '../../../api/rollbacks/records.ts';
import type { Alert } from '../../../schemas/alert.ts';
import { RollbackLimits, RollbackRule } from '../../../schemas/hooks.ts';
import { alertAt, NOW_MS } from '../sinks/alert.ts';

const alert = alertAt('alr_1', 'open', NOW_MS);
const act = RollbackRule.parse({ mode: 'act', hook: 'ops' });
const nothing: PromptHistory = { last: null, personSince: false, aloneInDay: 0, aloneInHour: 0 };
const last = (isAlone: boolean, agoS: number) => ({ at_ms: NOW_MS - agoS * 1000, alert_id: 'alr_0', isAlone });

describe('no hook may be asked', () => {
  it.each<[string, Partial<Alert>, object | undefined, string | null]>([
    ['of a page about a version', {}, act, null],
    ['with controls', { evidence: { ...alert.evidence, grade: 'before_after' } }, act, null],
    ['without controls', { evidence: { ...alert.evidence, grade: 'alone' } }, act, 'its evidence is only alone'],
    ['of a fault of Culprit itself', { prompt: null, culprit: { ...alert.culprit, factor: 'pipeline' } }, act, 'its culprit is no version of a prompt'],
    ['of a model', { culprit: { ...alert.culprit, factor: 'model' } }, act, 'its culprit is no version of a prompt'],
    ['of a ticket', { severity: 'ticket' }, act, 'it is a ticket, no page'],
    ['without a rule', {}, undefined, 'no rollback hook is configured for refund-agent'],
    ['that only notifies', {}, RollbackRule.parse({ hook: 'ops' }), 'no rollback hook is configured for refund-agent'],
    ['elsewhere', { environment: 'staging' }, RollbackRule.parse({ ...act, environments: ['production'] }), 'rollbacks are not for the environment staging'],
  ])('%s', (_, change, rule, expected) => {
    expect(refusalOf({ ...alert, ...change }, rule === undefined ? undefined : RollbackRule.parse(rule))).toBe(expected);
  });
});

describe('a person has to let it', () => {
  it.each<[string, { rule?: object; change?: Partial<Alert>; history?: Partial<PromptHistory>; atMs?: number }, RegExp | null]>([
    ['never before', {}, null],
    ['only proposed', { rule: { mode: 'propose' } }, /a person confirms it/],
    ['old news', { atMs: NOW_MS + 2 * 3_600_000 }, /more than an hour old/],
    ['from the future', { atMs: NOW_MS - 2 * 3_600_000 }, /more than an hour old/],
    ['two that cannot be told apart', { change: { culprit: { ...alert.culprit, confounded_with: [{ factor: 'model', value: 'gpt-9' }] } } }, /moved together with gpt-9/],
    ['two in a row', { history: { last: last(true, 86_400) } }, /nobody has looked at it since/],
    ['a person between them', { history: { last: last(true, 86_400), personSince: true } }, null],
    ['the last one by a person', { history: { last: last(false, 86_400) } }, null],
    ['within the cool-down', { history: { last: last(false, 3599) } }, /less than 3600 s ago/],
    ['the last one after now', { history: { last: last(false, -600) } }, /less than 3600 s ago/],
    ['often a day', { history: { aloneInDay: 3 } }, /3 rollbacks of this prompt/],
    ['often an hour', { history: { aloneInHour: 5 } }, /5 rollbacks were done/],
  ])('%s', (_, { rule = {}, change = {}, history = {}, atMs = NOW_MS }, expected) => {
    const caveat = caveatOf({ ...alert, ...change }, RollbackRule.parse({ ...act, ...rule }), { ...nothing, ...history }, RollbackLimits.parse({}), atMs);
    if (expected === null) expect(caveat).toBeNull();
    else expect(caveat).toMatch(expected);
  });
});

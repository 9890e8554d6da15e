import { GREW, type Alert } from '../../schemas/alert.ts';
import { builtIn } from '../../schemas/metric-settings.ts';
import { figureOf, oddsFigure } from '../figures.ts';
import type { Message } from './index.ts';

/** An alert in words that every medium shares. Names in it come from telemetry and are hostile: each medium escapes them its own way. */

/** One line without control and direction characters, at most `most` characters, cut at a whole one. */
export function oneLine(text: string, most: number): string {
  const clean = text.toWellFormed().replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').replaceAll(/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '').trim();
  if (clean.length <= most) return clean;
  const cut = clean.slice(0, most - 1);
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}

export function titleOf({ type, alert, escalated_after_s, reason }: Message): string {
  const summary = alert.summary;
  switch (type) {
    case 'alert.open':
      return escalated_after_s === null ? summary : `Not acknowledged for ${minutes(escalated_after_s)}: ${summary}`;
    case 'alert.updated':
      return `${reason === GREW || reason === '' ? 'More evidence' : reason}: ${summary}`;
    case 'alert.rollback':
      return `${reason}: ${summary}`;
    case 'alert.acknowledged':
      return `Acknowledged: ${summary}`;
    case 'alert.resolved':
      return `Resolved: ${summary}`;
  }
}

/** Who did the last step and why; empty where there is nothing to say. */
export function stepOf({ type, who, reason }: Message): string {
  if (type === 'alert.open' || type === 'alert.updated' || type === 'alert.rollback') return '';
  return [who, reason].filter((part) => part !== '').join(': ');
}

export type Fact = { readonly name: string; readonly value: string };

export function factsOf({ metric, culprit, evidence, prompt, environment, onset, exonerated, severity, rollback }: Alert): Fact[] {
  const { baseline, candidate, effect } = evidence;
  const figure = figureOf(metric);
  const number = (value: number | null): string => (value === null ? 'unknown' : String(Number(value.toPrecision(3))));
  // A difference of two shares is no share.
  const isOfRates = effect.kind === 'difference' && builtIn(metric)?.kind === 'rate';
  const change = (value: number | null): string => (isOfRates && value !== null ? number(100 * value) : number(value));
  return [
    { name: 'Culprit', value: `${culprit.factor.replaceAll('_', ' ')} ${culprit.value}, against ${culprit.baseline}${culprit.author === null ? '' : `; written by ${culprit.author}`}${culprit.commit === null ? '' : `, commit ${culprit.commit.slice(0, 12)}`}` },
    ...(culprit.confounded_with ?? []).map(({ factor, value }) => ({ name: 'Moved together with', value: `${factor.replaceAll('_', ' ')} ${value}` })),
    { name: metric.replaceAll('_', ' '), value: `${candidate.value === null ? 'unknown' : figure(candidate.value)} against ${baseline.value === null ? 'unknown' : figure(baseline.value)}, of ${candidate.units} and ${baseline.units} units` },
    { name: effect.kind === 'difference' ? 'Difference' : `Ratio of ${effect.kind.slice('ratio_'.length)}`, value: `${change(effect.estimate)}, from ${change(effect.low)} to ${change(effect.high)}${isOfRates ? ' percentage points' : ''} (95 %)` },
    { name: 'Since', value: clockTime(onset) },
    { name: 'Evidence', value: `${oddsFigure(evidence.e_value)} to 1, threshold ${evidence.threshold} to 1 (${evidence.grade.replaceAll('_', ' ')})` },
    ...(rollback === undefined ? [] : [{ name: 'Rollback', value: rollback.says }]),
    ...(prompt === null ? [] : [{ name: 'Prompt', value: prompt }]),
    { name: 'Environment', value: environment },
    ...(culprit.owner === null ? [] : [{ name: 'Owner', value: culprit.owner }]),
    { name: 'Severity', value: severity },
    ...(exonerated.length === 0 ? [] : [{ name: 'Innocent', value: exonerated.map(({ factor, value }) => `${factor.replaceAll('_', ' ')} ${value}`).join(', ') }]),
  ];
}

/** 2026-06-01 08:30 UTC */
export function clockTime(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`;
}

function minutes(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** A picture that strangers fetch: only where the address is one that they reach. */
export function publicPicture({ links }: Alert): string | null {
  try {
    const { protocol, hostname } = new URL(links.chart);
    const isPrivate = !hostname.includes('.') || /^\[|^[\d.]+$|\.(local|localhost|internal|lan|home\.arpa)$/.test(hostname);
    return protocol === 'https:' && !isPrivate ? links.chart : null;
  } catch {
    return null;
  }
}

import type { Alert } from '../schemas/alert.ts';
import { compileMatchers, labelsOf, type Labels } from '../schemas/matcher.ts';
import type { Route } from '../schemas/routes.ts';
import type { WebhookEvent } from '../schemas/webhook.ts';
import { silencedBy } from './sinks/journal.ts';

/** Whether a sink is told of a transition: now, later, or never, and why. Pure: what is known goes in, a decision comes out. */
export type Decision =
  | { readonly kind: 'tell'; readonly group: string; readonly escalated_after_s: number | null }
  /** Asked again then. */
  | { readonly kind: 'later'; readonly untilMs: number; readonly why: string }
  | { readonly kind: 'never'; readonly why: string };

export type Question = {
  readonly sink: string;
  readonly event: WebhookEvent;
  readonly alert: Alert;
  /** When the transition happened. */
  readonly atMs: number;
  readonly nowMs: number;
  /** The alert's state now. */
  readonly state: Alert['state'];
  /** Whether this transition was held back before. */
  readonly wasPostponed: boolean;
  /** What the sink was told of this alert, and what it was not. */
  readonly told: boolean;
  readonly withheld: boolean;
};

export type ActiveSilence = { readonly id: string; readonly ends_ms: number; readonly matches: (labels: Labels) => boolean };

export type Routing = {
  decide(question: Question, silences: readonly ActiveSilence[]): Decision;
  /** Whether a sink is told of this alert at all, and at once: for what is said again and again. */
  leadsTo(sink: string, alert: Alert): boolean;
};

type Destination = { readonly afterS: number; readonly group: string };

/** @param routes in their order; none: everything goes everywhere. */
export function createRouting(routes: readonly Route[]): Routing {
  const compiled = routes.map((route) => ({ ...route, matches: compileMatchers(route.match) }));

  /** The soonest way to a sink; null where there is none. */
  const destinationOf = (sink: string, labels: Labels): Destination | null => {
    let soonest: Destination | null = null;
    let isRouted = false;
    for (const { matches, sinks, escalate, group_by, continue: goesOn } of compiled) {
      if (!matches(labels)) continue;
      isRouted = true;
      const group = JSON.stringify(group_by.map((label) => labels[label]));
      const steps = [{ after_s: 0, sinks }, ...escalate].filter((step) => step.sinks.includes(sink));
      for (const { after_s } of steps) if (soonest === null || after_s < soonest.afterS) soonest = { afterS: after_s, group };
      if (!goesOn) break;
    }
    return isRouted ? soonest : { afterS: 0, group: '[]' };
  };

  return {
    leadsTo: (sink, alert) => destinationOf(sink, labelsOf(alert))?.afterS === 0,
    decide({ sink, event, alert, atMs, nowMs, state, wasPostponed, told, withheld }, silences) {
      const labels = labelsOf(alert);
      const destination = destinationOf(sink, labels);
      if (destination === null) return { kind: 'never', why: 'no route leads here' };
      const { afterS, group } = destination;
      const now: Decision = { kind: 'tell', group, escalated_after_s: afterS > 0 && event === 'alert.open' ? afterS : null };
      // Whoever was not told that it began is not told that it ended; whoever was is, silence or not.
      if (event !== 'alert.open') {
        if (withheld && !told) return { kind: 'never', why: 'it was not told of the alert' };
        const silence = event === 'alert.updated' || event === 'alert.rollback' ? silences.find(({ matches }) => matches(labels)) : undefined;
        return silence === undefined ? now : { kind: 'never', why: silencedBy(silence.id) };
      }
      if (state !== 'open' && (wasPostponed || afterS > 0)) return { kind: 'never', why: `${state} before it was to be told` };
      const silence = silences.find(({ matches }) => matches(labels));
      if (silence !== undefined) return { kind: 'later', untilMs: silence.ends_ms, why: silencedBy(silence.id) };
      const dueMs = atMs + afterS * 1000;
      return nowMs < dueMs ? { kind: 'later', untilMs: dueMs, why: `for ${afterS} s of nobody acknowledging` } : now;
    },
  };
}

import { alertIn } from '../../schemas/alert.ts';
import { labelsOf } from '../../schemas/matcher.ts';
import { WebhookEvent } from '../../schemas/webhook.ts';
import type { ActiveSilence, Routing } from '../routing.ts';
import type { Message, Sink } from './index.ts';
import { silencedBy, type AlertTransition, type Journal, type Progress, type Withholding } from './journal.ts';

/** What one sink is to be told, read from the store; what it is not to be told is written down with the reason. */

export type Due = {
  readonly transition: AlertTransition;
  /** Null where the stored alert cannot be read. */
  readonly message: Message | null;
  /** Those of one group may travel together. */
  readonly group: string;
  readonly attempts: number;
  readonly last_ms: number;
};

export type Reading = { readonly due: readonly Due[]; readonly isMore: boolean; readonly nextPostponedMs: number | null };

/** Older transitions are not taken up again: the longest series of attempts is over by then. */
const HORIZON_MS = 7 * 24 * 3_600_000;
/** A new sink is told of what happened since this long before it was first seen, and not of the alerts of last year. */
const NEW_SINK_LOOKS_BACK_MS = 10 * 60_000;

export type ReaderDeps = { readonly journal: Journal; readonly routing: Routing; readonly silences: (nowMs: number) => Promise<readonly ActiveSilence[]> };

export function createReader(sink: Sink, { journal, routing, silences }: ReaderDeps) {
  const { name } = sink;
  return {
    /** The oldest first, at most `limit` of those that are not `known`. Throws what the store throws. */
    async read(nowMs: number, { limit, known }: { limit: number; known: { has(transitionId: string): boolean } }): Promise<Reading> {
      const since = Math.max((await journal.knownSince(name, nowMs)) - NEW_SINK_LOOKS_BACK_MS, nowMs - HORIZON_MS, 0);
      const read = await journal.notYetTold({ sink: name, events: sink.events, since, now: nowMs, limit: limit + 1 });
      const rows = read.slice(0, limit).filter(({ transition_id }) => !known.has(transition_id));
      const { due, released } = rows.length === 0 ? { due: [], released: false } : await decide(rows, nowMs);
      return { due, isMore: released || read.length > limit, nextPostponedMs: await journal.nextPostponed(name, nowMs) };
    },

    /** All that is open and was told before, a page at a time: for a receiver that forgets. */
    async *open(nowMs: number): AsyncGenerator<Message[]> {
      const active = await silences(nowMs);
      for (let after: string | undefined = ''; after !== undefined; ) {
        const page: readonly AlertTransition[] = await journal.unresolved(after, sink.most);
        after = page.length < sink.most ? undefined : page.at(-1)?.alert_id;
        const standing = await journal.standing(name, page.map(({ alert_id }) => alert_id));
        yield page.flatMap((transition) => {
          const message = messageOf(transition);
          if (message === null || (standing.get(transition.alert_id)?.told ?? 0) === 0 || !routing.leadsTo(name, message.alert)) return [];
          return active.some(({ matches }) => matches(labelsOf(message.alert))) ? [] : [message];
        });
      }
    },
  };

  async function decide(rows: readonly (AlertTransition & Progress)[], nowMs: number): Promise<{ readonly due: Due[]; readonly released: boolean }> {
    const [standing, active] = await Promise.all([journal.standing(name, [...new Set(rows.map(({ alert_id }) => alert_id))]), silences(nowMs)]);
    const withheld = new Set<string>();
    const held: Withholding[] = [];
    const due: Due[] = [];
    for (const { attempts, last_ms, postponed_ms, ...transition } of rows) {
      const { transition_id, alert_id, at_ms } = transition;
      const stands = standing.get(alert_id);
      const read = messageOf(transition);
      const current = stands === undefined ? null : alertIn(stands.body);
      if (read === null || current === null) {
        due.push({ transition, message: null, group: transition_id, attempts, last_ms });
        continue;
      }
      const wasPostponed = postponed_ms > 0;
      const knows = { told: (stands?.told ?? 0) > 0, withheld: (stands?.withheld ?? 0) > 0 || withheld.has(alert_id) };
      const decision = routing.decide({ sink: name, event: read.type, alert: current, atMs: at_ms, nowMs, state: current.state, wasPostponed, ...knows }, active);
      if (decision.kind === 'tell') {
        // What waited is told as it is now.
        const message = { ...read, escalated_after_s: decision.escalated_after_s, alert: wasPostponed ? current : read.alert };
        due.push({ transition, message, group: decision.group, attempts, last_ms });
        continue;
      }
      withheld.add(alert_id);
      const isLater = decision.kind === 'later';
      held.push({ transition_id, sink: name, attempt: 0, at_ms: nowMs, until_ms: isLater ? decision.untilMs : 0, outcome: isLater ? 'postponed' : 'withheld', detail: decision.why });
    }
    await journal.record(held);
    return { due, released: await releaseEnded(active, held, nowMs) };
  }

  /** A silence that was ended while it held something back did not know of it: what it held back is looked at again. */
  async function releaseEnded(read: readonly ActiveSilence[], held: readonly Withholding[], nowMs: number): Promise<boolean> {
    const used = read.filter(({ id }) => held.some(({ outcome, detail }) => outcome === 'postponed' && detail === silencedBy(id)));
    if (used.length === 0) return false;
    const standing = new Map((await silences(nowMs)).map(({ id, ends_ms }) => [id, ends_ms]));
    const ended = used.filter(({ id, ends_ms }) => standing.get(id) !== ends_ms);
    for (const { id } of ended) await journal.release(id, nowMs);
    return ended.length > 0;
  }
}

function messageOf({ transition_id, event, at_ms, who, reason, body }: AlertTransition): Message | null {
  const type = WebhookEvent.safeParse(`alert.${event}`);
  const alert = alertIn(body);
  return type.success && alert !== null ? { id: transition_id, type: type.data, timestamp: new Date(at_ms).toISOString(), alert, who, reason, escalated_after_s: null } : null;
}

import type { Alert } from '../../schemas/alert.ts';
import type { Clock } from '../../schemas/clock.ts';
import { PermanentError, RetryableError } from '../../schemas/errors.ts';
import type { RollbackLimits, RollbackRule } from '../../schemas/hooks.ts';
import type { Store } from '../../schemas/store.ts';
import type { Audit } from '../access/audit.ts';
import { createCall } from '../hooks/calling.ts';
import type { Hook, HookMeans, Order } from '../hooks/index.ts';
import type { Post } from '../sinks/post.ts';
import { createAlertReader, type Standing } from './alerts.ts';
import { createRecords, rollbackIdentity, type Rollback } from './records.ts';
import { caveatOf, refusalOf } from './rules.ts';

/**
 * Whoever delivers also rolls back; there is one. A round does what is to be done now:
 *
 *     1. an alert that a hook may be asked about, and that none was thought of for: proposed, or waiting for a veto until `due_ms`
 *     2. what is due (the veto window is over, a person confirmed, an attempt failed a while ago, an earlier owner died while it asked):
 *        `asked` is durable before the hook is asked, and its answer is a row after it. A crash between the two asks again, with the same key
 *     3. what was done: whether the traffic moved, and, once the look has tested the metric, whether it helped
 *     4. what is new of all this is written onto the alert
 *
 * What was answered, or has failed for good, is asked again only where a person lets it, and then with another key: whoever keeps to keys would do nothing.
 *
 * A veto and the owner may write at the same moment. Each reads again after it wrote: if the owner finds a veto it asks nothing.
 * The veto window is held against a clock that never jumps as well, so a wall clock that is put forward does not shorten it.
 */
export type RollbackDeps = {
  readonly store: Store;
  readonly clock: Clock;
  /** Milliseconds of a clock that never jumps, since any moment. */
  readonly elapsed: () => number;
  readonly hooks: readonly Hook[];
  readonly post: Post;
  readonly run: HookMeans['run'];
  readonly flags: HookMeans['flags'];
  readonly audit: Audit;
  /** The alert with what is known of its version. */
  readonly complete: (alert: Alert) => Promise<Alert>;
  readonly onTold: (alert: Alert) => void;
  readonly warn: (message: string, error?: unknown) => void;
};
export type RollbackSettings = { readonly project: string; readonly limits: RollbackLimits; readonly ruleOf: (prompt: string) => RollbackRule | undefined };

/** Waits after a failed attempt; after the last one it has failed. */
const WAIT_MS = [5_000, 30_000] as const;
/** So long after it was due, what nobody has vetoed is asked for by nobody either: a process that was away so long does not know what happened meanwhile. */
const LATEST_MS = 1_800_000;
/** An attempt without an answer is another owner's, or that of one who died. */
const TAKEN_OVER_AFTER = 2;

export function createRollbackOwner(deps: RollbackDeps, settings: RollbackSettings) {
  const { store, clock, elapsed, hooks, audit } = deps;
  const records = createRecords(store);
  const alerts = createAlertReader(store);
  const hooksByName = new Map(hooks.map((hook) => [hook.name, hook]));
  /** When each waiting rollback may act by the clock that never jumps. */
  const mayActAt = new Map<string, number>();
  const inFlight = new Map<string, Promise<void>>();

  const hookOf = (name: string | undefined, project: string): Hook | null => {
    const hook = name === undefined ? undefined : hooksByName.get(name);
    return hook !== undefined && (hook.project ?? settings.project) === project ? hook : null;
  };

  async function open({ alert }: Standing): Promise<void> {
    const rule = alert.prompt === null ? undefined : settings.ruleOf(alert.prompt);
    const hook = hookOf(rule?.hook, alert.project);
    if (rule === undefined || hook === null || alert.prompt === null || refusalOf(alert, rule) !== null) return;
    const identity = rollbackIdentity({ ...alert, prompt: alert.prompt }, hook);
    const nowMs = clock();
    const caveat = caveatOf(alert, rule, await records.history(identity, nowMs), settings.limits, nowMs);
    await records.append(identity, null, caveat === null ? { state: 'waiting', at_ms: nowMs, due_ms: nowMs + rule.veto_s * 1000 } : { state: 'proposed', at_ms: nowMs, reason: caveat });
  }

  /** Whether the veto window is over by both clocks. The part of it that an earlier process has waited counts. */
  function isWindowOver({ identity, last }: Rollback, rule: RollbackRule | undefined): boolean {
    const vetoMs = (rule?.veto_s ?? 0) * 1000;
    const known = mayActAt.get(identity.rollback_id) ?? elapsed() + Math.min(Math.max(last.due_ms - clock(), 0), vetoMs);
    mayActAt.set(identity.rollback_id, known);
    return elapsed() >= known;
  }

  function isDue(rollback: Rollback, hook: Hook, rule: RollbackRule | undefined): boolean {
    const { state, at_ms, due_ms } = rollback.last;
    const nowMs = clock();
    if (state === 'confirmed') return true;
    if (state === 'waiting') return isWindowOver(rollback, rule);
    // Of a clock that was set back nothing is known: what was asked is asked again.
    if (state === 'retry') return nowMs >= due_ms || nowMs < at_ms;
    return state === 'asked' && (nowMs >= at_ms + TAKEN_OVER_AFTER * hook.timeoutMs || nowMs < at_ms);
  }

  /** Writes that it is asked for, or why it is not. What is then to be sent; null: nothing. */
  async function begin({ identity, last, steps }: Rollback, { alert }: Standing, hook: Hook): Promise<{ readonly order: Order; readonly asked: Rollback } | null> {
    const rule = settings.ruleOf(identity.prompt_name);
    const nowMs = clock();
    const stop = async (step: Parameters<typeof records.append>[2]): Promise<null> => {
      await records.append(identity, last, step);
      return null;
    };
    mayActAt.delete(identity.rollback_id);
    if (alert.state === 'resolved') return stop({ state: 'withdrawn', at_ms: nowMs, reason: 'the alert was resolved before' });
    const refusal = refusalOf(alert, rule);
    if (rule === undefined || refusal !== null) return stop({ state: 'withdrawn', at_ms: nowMs, reason: refusal ?? '' });
    if (last.state === 'waiting') {
      const isLate = nowMs - last.due_ms > LATEST_MS;
      const caveat = isLate ? 'nobody was here to act when it was due' : caveatOf(alert, rule, await records.history(identity, nowMs), settings.limits, nowMs);
      if (caveat !== null) return stop({ state: 'proposed', at_ms: nowMs, reason: caveat });
    }
    const who = last.state === 'waiting' ? '' : last.who;
    const order: Order = { id: identity.rollback_id, key: keyOf(identity.rollback_id, steps), atMs: nowMs, alert: await deps.complete(alert), prompt: identity.prompt_name, candidate: identity.candidate, baseline: identity.baseline, who };
    const request = hook.describe(order);
    if (rule.dry_run) return stop({ state: 'dry_run', at_ms: nowMs, who, request });
    await records.append(identity, last, { state: 'asked', at_ms: nowMs, who, request, attempt: last.attempt + 1 });
    const asked = await records.one(identity.rollback_id);
    return asked === null || asked.last.state !== 'asked' || asked.last.at_ms !== nowMs ? null : { order, asked };
  }

  async function ask(hook: Hook, { order, asked: { identity, last } }: { readonly order: Order; readonly asked: Rollback }): Promise<void> {
    const trail: string[] = [];
    const call = createCall(deps.post, { timeoutMs: hook.timeoutMs }, (line) => trail.push(line));
    const request = () => [last.request, ...trail].join('\n');
    try {
      const answer = await hook.rollBack(order, { call, run: deps.run, flags: deps.flags });
      await records.append(identity, last, { state: 'done', at_ms: clock(), who: order.who, request: request(), answer });
      await written('done', answer);
    } catch (error) {
      // The message of an unknown error may quote what was sent.
      const reason = error instanceof PermanentError || error instanceof RetryableError ? error.message : 'the request could not be made';
      const waitMs = error instanceof PermanentError ? undefined : WAIT_MS[last.attempt - 1];
      const state = waitMs === undefined ? 'failed' : 'retry';
      await records.append(identity, last, { state, at_ms: clock(), due_ms: waitMs === undefined ? 0 : clock() + waitMs, who: order.who, reason, request: request() });
      await written('failed', reason);
    }
    async function written(result: 'done' | 'failed', answer: string): Promise<void> {
      const actor = { kind: 'system', id: '', name: `rollback hook ${hook.name}`, project: identity.project, address: '' } as const;
      await audit({ actor, action: 'rollback.ask', target: identity.alert_id, result, detail: `${order.who === '' ? 'by itself' : `for ${order.who}`}, attempt ${last.attempt}: ${last.request}: ${answer}` });
    }
  }

  /** After it was done: whether traffic moved, and whether that helped. */
  async function settle({ identity, steps, last }: Rollback, { alert }: Standing, settlesMs: number): Promise<void> {
    const nowMs = clock();
    const put = (step: Parameters<typeof records.append>[2]): Promise<void> => records.append(identity, last, step);
    if (alert.state === 'resolved' || alert.recovery === 'not_recovered') {
      switch (alert.recovery) {
        case 'recovered':
          return put({ state: 'recovered', at_ms: nowMs, reason: `${alert.metric} recovered` });
        case 'not_recovered':
          return put({ state: 'not_recovered', at_ms: nowMs });
        case 'unknown':
        case undefined:
          return put({ state: 'unknown', at_ms: nowMs, reason: alert.recovery === 'unknown' ? 'too little traffic since' : 'the alert was resolved by a person before it could be tested' });
      }
    }
    const doneMs = steps.findLast(({ state }) => state === 'done')?.at_ms ?? nowMs;
    if (last.state !== 'done' || nowMs - doneMs < settlesMs) return;
    const sinceMs = Math.max(doneMs + settlesMs / 2, nowMs - settlesMs / 2);
    const calls = await records.callsSince(identity, sinceMs);
    await put(calls === 0 ? { state: 'moved', at_ms: nowMs } : { state: 'not_moved', at_ms: nowMs, reason: `${identity.candidate} still takes traffic, ${calls} ${calls === 1 ? 'call' : 'calls'} in the last ${Math.round((nowMs - sinceMs) / 1000)} s` });
  }

  /** The step that is due for one rollback. */
  async function advance(rollback: Rollback, standing: Standing, hook: Hook): Promise<void> {
    const { identity, last } = rollback;
    if (inFlight.has(identity.rollback_id)) return;
    if (isDue(rollback, hook, settings.ruleOf(identity.prompt_name))) {
      const begun = await begin(rollback, standing, hook);
      if (begun === null) return;
      const asking = ask(hook, begun)
        .catch((error: unknown) => deps.warn(`rollback ${identity.rollback_id}: what was answered is not recorded; it is asked again`, error))
        .finally(() => inFlight.delete(identity.rollback_id));
      inFlight.set(identity.rollback_id, asking);
    } else if (last.state === 'done' || last.state === 'moved' || last.state === 'not_moved') await settle(rollback, standing, hook.settlesMs);
    else if (last.state === 'proposed' && standing.alert.state === 'resolved') await records.append(identity, last, { state: 'withdrawn', at_ms: clock(), reason: 'the alert was resolved' });
  }

  return {
    /** Does what is to be done now; hooks that are asked answer later. Throws what the store throws; what is left over is found again by the next round. */
    async round(): Promise<void> {
      if (hooks.length === 0) return;
      for (const standing of await alerts.withoutRollback(clock())) await open(standing);
      const current = await records.open(clock());
      const standings = await alerts.newestOf([...new Set(current.map(({ identity }) => identity.alert_id))]);
      for (const rollback of current) {
        const { identity } = rollback;
        const hook = hookOf(identity.hook, identity.project);
        const standing = standings.get(identity.alert_id);
        if (standing === undefined) continue;
        const told = await alerts.tell(rollback, standing, clock());
        if (told !== null) deps.onTold(told);
        if (hook !== null) await advance(rollback, standing, hook);
      }
    },
    /** Resolves when every hook that was asked has answered, and that is recorded: within its time-out, for each of its requests. */
    async settled(): Promise<void> {
      await Promise.all(inFlight.values());
    },
  };
}

function keyOf(id: string, steps: Rollback['steps']): string {
  const rounds = steps.filter(({ state }) => state === 'done' || state === 'failed').length;
  return rounds === 0 ? id : `${id}-${rounds + 1}`;
}

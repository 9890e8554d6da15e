import type { Alert } from '../../schemas/alert.ts';
import type { HookEntry, HookSettingsOf } from '../../schemas/hooks.ts';
import { HookSettings } from '../../schemas/hooks.ts';
import type { Call } from './calling.ts';
import { createCommandHook } from './command.ts';
import { createFlagdHook } from './flagd.ts';
import { createGitHubHook } from './github.ts';
import { createLangfuseHook } from './langfuse.ts';
import { createLangSmithHook } from './langsmith.ts';
import { createPromptLayerHook } from './promptlayer.ts';
import { createWebhookHook } from './webhook.ts';

/** One prompt, from one version back to another. */
export type Order = {
  /** Of the rollback, however often it is decided on. */
  readonly id: string;
  /** The idempotency key: the same at every attempt, and another one once somebody lets it be done again, which a receiver shall not take for the first one. */
  readonly key: string;
  readonly atMs: number;
  /** As it is now, with what is known of its version. */
  readonly alert: Alert;
  readonly prompt: string;
  readonly candidate: string;
  readonly baseline: string;
  /** Who let it; empty: nobody, it acts by itself. */
  readonly who: string;
};

/** What a hook may touch besides the network. */
export type HookMeans = {
  readonly call: Call;
  /** Runs a program without a shell. Throws RetryableError where it cannot be started or takes too long. */
  readonly run: (command: readonly string[], limits: { readonly environment: Readonly<Record<string, string>>; readonly timeoutMs: number }) => Promise<{ readonly exitCode: number; readonly output: string }>;
  readonly flags: { setDefault(change: { readonly project: string; readonly flag: string; readonly variant: string; readonly who: string; readonly reason: string }): Promise<void> };
};

/**
 * A place that decides which version is served. When and whether it is asked, retries, and the record of it are not its matter (api/rollbacks).
 * It may be asked for one order more than once, and has to come to the same then.
 */
export type Hook = {
  readonly name: string;
  readonly kind: HookSettings['kind'];
  /** The one project whose alerts may use it; undefined: that of the configuration. */
  readonly project: string | undefined;
  /** Of one request. */
  readonly timeoutMs: number;
  readonly settlesMs: number;
  /** What it would ask, without secrets: for a dry run, and for the record. */
  describe(order: Order): string;
  /**
   * @returns what came of it, in a few words without secrets
   * Throws PermanentError where the same order would fail the same way, RetryableError where another attempt is worth it.
   */
  rollBack(order: Order, means: HookMeans): Promise<string>;
};

/** Another kind of hook is one file and one line here. */
const KINDS: { readonly [Kind in HookSettings['kind']]: (settings: HookSettingsOf<Kind>) => Hook } = {
  webhook: createWebhookHook,
  langfuse: createLangfuseHook,
  langsmith: createLangSmithHook,
  promptlayer: createPromptLayerHook,
  github: createGitHubHook,
  flagd: createFlagdHook,
  command: createCommandHook,
};

/** Every configured hook. Throws where a secret has not been read. */
export function createHooks(entries: readonly HookEntry[]): Hook[] {
  return entries.map((entry) => createHook(HookSettings.parse(entry)));
}

function createHook<Kind extends HookSettings['kind']>(settings: HookSettingsOf<Kind> & { kind: Kind }): Hook {
  return KINDS[settings.kind](settings);
}

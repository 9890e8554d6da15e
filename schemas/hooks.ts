import { z } from 'zod';
import { WebhookSecret } from './webhook.ts';

/**
 * What may roll a prompt back, and how. A hook is a place that decides which version is served; whether it may be asked is configured for
 * each prompt. Another kind is a schema in each list here, a file and a line in api/hooks, and a test.
 */

const httpUrl = z.url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://hooks.example.com/rollback' });
const elsewhere = z.string().min(1).optional();
const secretText = z.string().min(1).max(4000);
const label = z.string().min(1).max(200);

const common = {
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'may hold a-z, 0-9, - and _ only, at most 64 characters'),
  project: z.string().min(1).max(256).optional().describe('The one project whose alerts may use it. Default: `project`.'),
  timeout_s: z.number().positive().max(120).default(15),
  settles_s: z.number().int().min(1).max(86_400).default(600).describe('How long after its answer the traffic should have moved.'),
};

const Webhook = z.strictObject({ ...common, kind: z.literal('webhook'), url: httpUrl, secret: WebhookSecret });
const Langfuse = z.strictObject({
  ...common,
  kind: z.literal('langfuse'),
  url: httpUrl.default('https://cloud.langfuse.com'),
  public_key: z.string().min(1).max(200),
  secret_key: secretText,
  label: label.default('production').describe('The label that is moved back.'),
});
const LangSmith = z.strictObject({
  ...common,
  kind: z.literal('langsmith'),
  url: httpUrl.default('https://api.smith.langchain.com'),
  api_key: secretText,
  owner: z.string().min(1).max(200).default('-').describe('Owner of the prompts. -: the workspace of the key.'),
  tag: label.default('production').describe('The commit tag that is moved back.'),
});
const PromptLayer = z.strictObject({
  ...common,
  kind: z.literal('promptlayer'),
  url: httpUrl.default('https://api.promptlayer.com'),
  api_key: secretText,
  label: label.default('prod').describe('The release label that is moved back.'),
});
const GitHub = z.strictObject({
  ...common,
  kind: z.literal('github'),
  url: httpUrl.default('https://api.github.com'),
  token: secretText,
  repository: z.string().regex(/^[\w.-]{1,100}\/[\w.-]{1,100}$/, 'is not OWNER/NAME'),
  action: z.enum(['dispatch', 'revert']).default('revert').describe('dispatch: a repository_dispatch event. revert: a branch with the revert of the commit, and a pull request.'),
  event_type: z.string().min(1).max(100).default('prompt-rollback'),
  base: z.string().min(1).max(200).optional().describe('Branch to revert on. Default: the default branch.'),
});
const Flagd = z.strictObject({
  ...common,
  kind: z.literal('flagd'),
  flag: z.string().min(1).max(256).describe('Key of the flag that Culprit serves.'),
  variants: z.record(z.string().min(1).max(256), z.string().min(1).max(512)).refine((variants) => Object.keys(variants).length > 0, 'has no variant').describe('Variants, and the prompt version that each is.'),
  default_variant: z.string().min(1).max(256).describe('What is served until it is changed.'),
});
const Command = z.strictObject({
  ...common,
  kind: z.literal('command'),
  command: z.array(z.string().max(4096)).min(1).max(64).refine(([program]) => (program ?? '') !== '', 'names no program').describe('Program and arguments, run without a shell. The alert is in its environment.'),
});

/** A hook whose secret has been read. */
export const HookSettings = z.discriminatedUnion('kind', [Webhook, Langfuse, LangSmith, PromptLayer, GitHub, Flagd, Command]);
export type HookSettings = z.output<typeof HookSettings>;
export type HookSettingsOf<Kind extends HookSettings['kind']> = Extract<HookSettings, { kind: Kind }>;

/** A hook as a person writes it: its secret in the file, in a file of its own, or in an environment variable. */
export const HookEntry = z.discriminatedUnion('kind', [
  Webhook.extend({ secret: z.string().optional(), secret_file: elsewhere, secret_env: elsewhere }),
  Langfuse.extend({ secret_key: secretText.optional(), secret_key_file: elsewhere, secret_key_env: elsewhere }),
  LangSmith.extend({ api_key: secretText.optional(), api_key_file: elsewhere, api_key_env: elsewhere }),
  PromptLayer.extend({ api_key: secretText.optional(), api_key_file: elsewhere, api_key_env: elsewhere }),
  GitHub.extend({ token: secretText.optional(), token_file: elsewhere, token_env: elsewhere }),
  Flagd,
  Command,
]);
export type HookEntry = z.output<typeof HookEntry>;

/** The secret of each kind; null: it has none. */
export const HOOK_SECRETS: Readonly<Record<HookEntry['kind'], string | null>> = { webhook: 'secret', langfuse: 'secret_key', langsmith: 'api_key', promptlayer: 'api_key', github: 'token', flagd: null, command: null };

/** What a hook may do for one prompt. */
export const RollbackRule = z
  .strictObject({
    mode: z.enum(['notify', 'propose', 'act']).default('notify').describe('notify: nothing but tell. propose: a person confirms with one click. act: by itself, after the veto window.'),
    hook: z.string().min(1).optional().describe('Name of the hook.'),
    veto_s: z.number().int().min(0).max(86_400).default(120).describe('How long a person can veto before it acts.'),
    cooldown_s: z.number().int().min(0).max(30 * 86_400).default(3600).describe('Within this time after a rollback of the prompt the next one is only proposed.'),
    dry_run: z.boolean().default(false).describe('Write down what would be asked, and ask nothing.'),
    environments: z.array(z.string().max(256)).min(1).max(100).optional().describe('Environments whose alerts count. Default: all.'),
  })
  .refine(({ mode, hook }) => mode === 'notify' || hook !== undefined, { path: ['hook'], message: 'is missing; name one of hooks, or set mode to notify' });
export type RollbackRule = z.output<typeof RollbackRule>;

/** How often hooks act by themselves; beyond it they propose. */
export const RollbackLimits = z.strictObject({
  per_hour: z.number().int().min(1).max(10_000).default(5).describe('Rollbacks in an hour that nobody confirmed, over all prompts; further ones are only proposed.'),
  per_prompt_a_day: z.number().int().min(1).max(10_000).default(3).describe('Rollbacks of one prompt in a day that nobody confirmed; further ones are only proposed.'),
});
export type RollbackLimits = z.output<typeof RollbackLimits>;

/** What is wrong between hooks and the prompts that name them. */
export function hookFaults({ hooks, prompts }: { readonly hooks: readonly HookEntry[]; readonly prompts: Readonly<Record<string, { readonly rollback?: RollbackRule | undefined }>> }): { path: (string | number)[]; message: string }[] {
  const twice = hooks.findIndex(({ name }, index) => hooks.findIndex((other) => other.name === name) < index);
  const strange = hooks.flatMap((hook, index) => (hook.kind === 'flagd' && !Object.hasOwn(hook.variants, hook.default_variant) ? [{ path: ['hooks', index, 'default_variant'], message: 'is none of its variants' }] : []));
  const missing = Object.entries(prompts).flatMap(([prompt, { rollback }]) =>
    rollback?.hook === undefined || hooks.some(({ name }) => name === rollback.hook)
      ? []
      : [{ path: ['prompts', prompt, 'rollback', 'hook'], message: `names a hook that there is not; hooks are ${hooks.map(({ name }) => name).join(', ') || 'none'}` }],
  );
  return [...(twice < 0 ? [] : [{ path: ['hooks', twice, 'name'], message: 'is used twice; give each hook a name of its own' }]), ...strange, ...missing];
}

import { describe, expect, it } from 'vitest';
import { loadConfiguration } from '../../deploy/configuration.ts';

function load(file: string, environment: Record<string, string> = {}, files: Record<string, string> = {}) {
  const loaded = loadConfiguration({
    argv: ['--config', 'culprit.yaml'],
    environment,
    readFile: (path) => {
      const text = path === 'culprit.yaml' ? file : files[path];
      if (text === undefined) throw new Error('ENOENT');
      return text;
    },
  });
  if (loaded.kind === 'help') throw new Error('help');
  return loaded.config;
}

describe('hooks in the configuration', () => {
  it('have their secrets from the file, a file of their own, or a variable', () => {
    const { hooks, prompts } = load(
      `hooks:
  - { kind: langfuse, name: one, public_key: pk, secret_key: sk-in-file }
  - { kind: github, name: two, repository: acme/prompts, token_env: GITHUB_TOKEN }
  - { kind: promptlayer, name: three, api_key_file: pl.key, project: shop }
  - { kind: command, name: four, command: [deploy/rollback.sh, "--now"] }
prompts:
  refund-agent: { rollback: { mode: act, hook: one, veto_s: 60, environments: [production] } }
  support/*: { rollback: { hook: four } }`,
      { GITHUB_TOKEN: 'ghp_1' },
      { 'pl.key': 'pl_1\n' },
    );
    expect(hooks).toMatchObject([
      { secret_key: 'sk-in-file', label: 'production', url: 'https://cloud.langfuse.com', settles_s: 600 },
      { token: 'ghp_1', action: 'revert', url: 'https://api.github.com' },
      { api_key: 'pl_1', label: 'prod', project: 'shop' },
      { command: ['deploy/rollback.sh', '--now'] },
    ]);
    expect(JSON.stringify(hooks)).not.toMatch(/token_env|api_key_file/);
    expect(prompts).toMatchObject({ 'refund-agent': { rollback: { mode: 'act', cooldown_s: 3600, dry_run: false } }, 'support/*': { rollback: { mode: 'notify' } } });
  });

  it.each([
    ['hooks: [{ kind: langfuse, name: one, public_key: pk }]', /secret_key .*must be given once; set exactly one of secret_key, secret_key_file and secret_key_env\./],
    ['hooks: [{ kind: langfuse, name: one, public_key: pk, secret_key: s3cr3t, secret_key_env: X }]', /must be given once/],
    ['hooks: [{ kind: github, name: one, repository: acme, token: s3cr3t }]', /repository .*is not OWNER\/NAME/],
    ['hooks: [{ kind: webhook, name: one, url: "https://h.example.com/s3cr3t", secret: s3cr3t }]', /secret .*of one is not a Standard Webhooks secret/],
    ['hooks: [{ kind: flagd, name: one, flag: f, variants: { a: v1 }, default_variant: b }]', /default_variant .*is none of its variants/],
    ['hooks: [{ kind: command, name: one, command: [a] }, { kind: command, name: one, command: [b] }]', /name .*is used twice/],
    ['hooks: [{ kind: command, name: one, command: "rm -rf s3cr3t" }]', /command .*does not fit; give a list/],
    ['prompts: { a: { rollback: { mode: act } } }', /hook .*is missing; name one of hooks, or set mode to notify/],
    ['prompts: { a: { rollback: { mode: act, hook: gone } } }', /hook .*names a hook that there is not; hooks are none/],
    ['prompts: { a: { rollback: { mode: always, hook: gone } } }', /mode .*give one of notify, propose, act/],
  ])('%s is refused', (file, expected) => {
    const loading = () => load(file);
    expect(loading).toThrow(expected);
    expect(loading).toThrow(/^(?![\s\S]*s3cr3t)/);
  });

  it('nothing of hooks can be set by a variable or a flag', () => {
    expect(() => loadConfiguration({ argv: ['--hooks', '[]'], environment: {}, readFile: () => '' })).toThrow(/--hooks is not a flag/);
    expect(load('', { CULPRIT_HOOKS: '[{"kind":"command","name":"x","command":["touch","/tmp/x"]}]' }).hooks).toEqual([]);
  });
});

import { PermanentError } from '../../schemas/errors.ts';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import { addressBelow } from './calling.ts';
import type { Hook } from './index.ts';

/**
 * Moves a label back. `PATCH /api/public/v2/prompts/{name}/versions/{version}` adds the labels to the version and takes them from all others,
 * so asked twice it is done once. Source: Langfuse, fern/apis/server/definition/prompt-version.yml and web/src/features/prompts/server/actions/updatePrompts.ts.
 */
export function createLangfuseHook(settings: HookSettingsOf<'langfuse'>): Hook {
  const authorization = `Basic ${Buffer.from(`${settings.public_key}:${settings.secret_key}`).toString('base64')}`;
  const labelOf = (prompt: string, version: string): string => `PATCH /api/public/v2/prompts/${prompt}/versions/${version}`;
  return {
    ...basicsOf(settings),
    describe: ({ prompt, baseline }) => `${labelOf(prompt, baseline)} { newLabels: [${settings.label}] }`,
    async rollBack({ prompt, baseline }, { call }) {
      if (!/^\d{1,9}$/.test(baseline)) throw new PermanentError(`${baseline} is no version of Langfuse, which are numbers`);
      await call({ label: labelOf(prompt, baseline), method: 'PATCH', url: addressBelow(settings.url, 'api', 'public', 'v2', 'prompts', prompt, 'versions', baseline), headers: { authorization }, body: { newLabels: [settings.label] } });
      return `the label ${settings.label} is on version ${baseline}`;
    },
  };
}

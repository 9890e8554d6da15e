import { PermanentError } from '../../schemas/errors.ts';
import type { HookSettingsOf } from '../../schemas/hooks.ts';
import { basicsOf } from './basics.ts';
import type { Hook } from './index.ts';

/** A flag that Culprit serves itself (api/flags.ts), to flagd and over OFREP: its default variant becomes the one that is the baseline. */
export function createFlagdHook(settings: HookSettingsOf<'flagd'>): Hook {
  const { flag, variants } = settings;
  const variantOf = (version: string): string | undefined => Object.keys(variants).find((name) => variants[name] === version);
  return {
    ...basicsOf(settings),
    describe: ({ baseline }) => `default variant of the flag ${flag} becomes ${variantOf(baseline) ?? `that of ${baseline}, which there is not`}`,
    async rollBack({ id, alert, baseline, who }, { flags }) {
      const variant = variantOf(baseline);
      if (variant === undefined) throw new PermanentError(`no variant of the flag ${flag} is ${baseline}`);
      await flags.setDefault({ project: alert.project, flag, variant, who, reason: `rollback ${id}` });
      return `${flag} serves ${variant}`;
    },
  };
}

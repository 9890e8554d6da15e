import type { HookSettings } from '../../schemas/hooks.ts';
import type { Hook } from './index.ts';

/** What all kinds of hooks have. */
export function basicsOf({ name, kind, project, timeout_s, settles_s }: HookSettings): Pick<Hook, 'name' | 'kind' | 'project' | 'timeoutMs' | 'settlesMs'> {
  return { name, kind, project, timeoutMs: timeout_s * 1000, settlesMs: settles_s * 1000 };
}

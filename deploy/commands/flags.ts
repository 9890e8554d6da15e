import type { Invocation } from '../main.ts';

/** What a flag of a command says; undefined where it is absent or empty. */
export function textOf(flags: Invocation['flags'], name: string): string | undefined {
  const value = flags[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

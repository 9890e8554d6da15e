import type { ApiDeps } from './app.ts';

/** A stored row that cannot be read and is left out of a list, and why. */
export type Unreadable = { readonly id: string; readonly error: Error };

/** Tells whoever runs the server of each, once in a process: a list may be asked for every few seconds. */
export function createTellUnreadable({ onFailure }: Pick<ApiDeps, 'onFailure'>): (unreadable: readonly Unreadable[], request: { readonly method: string; readonly path: string }) => void {
  const told = new Set<string>();
  return (unreadable, { method, path }) => {
    for (const { id, error } of unreadable) {
      if (told.has(id)) continue;
      told.add(id);
      onFailure(error, { method, path });
    }
  };
}

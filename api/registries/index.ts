import type { VersionEvent } from '../../schemas/version.ts';
import type { Registry, RegistryKind } from '../../schemas/registry.ts';
import { github } from './github.ts';
import { langfuse } from './langfuse.ts';
import { langsmith } from './langsmith.ts';
import { promptlayer } from './promptlayer.ts';

/** The webhooks of a prompt registry: whether one is genuine, and what it says. */
export type RegistryHook = {
  /** Compares in constant time. `nowMs` decides whether a dated signature is too old to be anything but a replay. */
  isGenuine(request: { readonly header: (name: string) => string | undefined; readonly body: string; readonly nowMs: number }, secret: string): boolean;
  /** What it tells of versions; nothing for events that are about something else. Throws ZodError where the body is not what this registry sends. */
  eventsOf(body: unknown, about: { readonly registry: Registry; readonly header: (name: string) => string | undefined; readonly nowMs: number }): VersionEvent[];
};

export const REGISTRIES: Readonly<Record<RegistryKind, RegistryHook>> = { langfuse, langsmith, promptlayer, github };

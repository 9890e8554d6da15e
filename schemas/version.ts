import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';

/** What is known of a version of a prompt beside its traffic, and what happened to it. */

const Text = z.string().trim().min(1);
const Link = z.url({ protocol: /^https?$/, error: 'is not an http(s) URL' }).max(2000);

export const VersionFacts = z
  .object({
    commit: Text.max(64).optional(),
    author: Text.max(200).optional().openapi({ description: 'who wrote it' }),
    owner: Text.max(200).optional().openapi({ description: 'who is asked when it is broken: a team, a handle' }),
    pull_request_url: Link.optional(),
    diff_url: Link.optional().openapi({ description: 'what changed, for people' }),
    message: Text.max(2000).optional().openapi({ description: 'what its author says of it' }),
    diff: z.string().max(64 * 1024).optional().openapi({ description: 'what changed since the version before, as a unified diff' }),
  })
  .openapi('VersionFacts');
export type VersionFacts = z.infer<typeof VersionFacts>;

export const EVENT_KINDS = ['registered', 'label_set', 'label_removed', 'deleted', 'changed'] as const;
export const EVENT_SOURCES = ['api', 'git', 'langfuse', 'langsmith', 'promptlayer', 'github'] as const;

export const VersionEvent = z
  .object({
    prompt: z.string(),
    version: z.string(),
    at_ms: z.number().int(),
    kind: z.enum(EVENT_KINDS),
    source: z.enum(EVENT_SOURCES),
    actor: z.string().nullable(),
    label: z.string().nullable(),
    facts: VersionFacts,
  })
  .openapi('VersionEvent');
export type VersionEvent = z.infer<typeof VersionEvent>;

/** Said twice, it is one: the id is of what happened, and of when only where `isDated`, since a label can be moved there and back. */
export function versionEventId(event: VersionEvent, isDated: boolean): string {
  const { at_ms, ...said } = event;
  return `ver_${createHash('sha256').update(JSON.stringify([said.prompt, said.version, said.kind, said.source, said.actor, said.label, said.facts, isDated ? at_ms : 0])).digest('hex').slice(0, 20)}`;
}

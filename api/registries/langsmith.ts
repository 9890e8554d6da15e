import { z } from 'zod';
import type { RegistryHook } from './index.ts';
import { isSame } from './signature.ts';

/**
 * LangSmith's prompt webhooks: commits, and commit tags that are made or moved. They are not signed; a header that is set with
 * the webhook says who sends them. Source: LangSmith SDK 0.14, `PromptWebhookTestParams.Payload`.
 */
const Body = z.looseObject({
  event: z.string(),
  prompt_name: z.string().min(1).max(512),
  commit_hash: z.string().min(1).max(512),
  created_at: z.string(),
  created_by: z.string().max(200).nullish(),
  tag_name: z.string().max(512).nullish(),
});

export const langsmith: RegistryHook = {
  isGenuine: ({ header }, secret) => isSame(header('authorization') ?? '', `Bearer ${secret}`),
  eventsOf(body, { nowMs }) {
    const { event, prompt_name, commit_hash, created_at, created_by, tag_name } = Body.parse(body);
    const at_ms = Date.parse(created_at);
    const actor = created_by || null;
    const common = { prompt: prompt_name, version: commit_hash, at_ms: Number.isNaN(at_ms) ? nowMs : at_ms, source: 'langsmith', actor } as const;
    if (event === 'commit') return [{ ...common, kind: 'registered', label: null, facts: { commit: commit_hash.slice(0, 64), ...(actor === null ? {} : { author: actor }) } }];
    if (event === 'tag:create' || event === 'tag:update') return tag_name ? [{ ...common, kind: 'label_set', label: tag_name, facts: {} }] : [];
    return [];
  },
};

import { z } from 'zod';
import type { VersionEvent } from '../../schemas/version.ts';
import type { RegistryHook } from './index.ts';
import { hmacHex, isSame, TOLERANCE_MS } from './signature.ts';

/**
 * Langfuse's prompt-version webhooks. A moved label comes as two updates, one of the version that loses it and one of that which gains
 * it, each with all labels that it has now. Source: Langfuse, docs/prompt-management/features/webhooks.
 */
const Body = z.looseObject({
  timestamp: z.iso.datetime({ offset: true }),
  type: z.string(),
  action: z.string().optional(),
  prompt: z
    .looseObject({
      name: z.string().min(1).max(512),
      version: z.union([z.number().int(), z.string().min(1).max(512)]).transform(String),
      labels: z.array(z.string().max(512)).max(100).default([]),
      commitMessage: z.string().nullish(),
    })
    .optional(),
});

const KINDS: Readonly<Record<string, VersionEvent['kind']>> = { created: 'registered', deleted: 'deleted' };

export const langfuse: RegistryHook = {
  /** `t=SECONDS,v1=HEX` over "SECONDS.BODY". */
  isGenuine({ header, body, nowMs }, secret) {
    const [, seconds, signature] = /^t=(\d{1,12}),\s*v1=([0-9a-f]{64})$/.exec(header('x-langfuse-signature') ?? '') ?? [];
    if (seconds === undefined || signature === undefined) return false;
    return isSame(signature, hmacHex(secret, `${seconds}.${body}`)) && Math.abs(nowMs - Number(seconds) * 1000) <= TOLERANCE_MS;
  },
  eventsOf(body) {
    const { timestamp, type, action = '', prompt } = Body.parse(body);
    if (type !== 'prompt-version' || prompt === undefined) return [];
    const common = { prompt: prompt.name, version: prompt.version, at_ms: Date.parse(timestamp), source: 'langfuse', actor: null } as const;
    const message = prompt.commitMessage?.trim().slice(0, 2000) || undefined;
    const kind = KINDS[action];
    const happened: VersionEvent[] = kind === undefined ? [] : [{ ...common, kind, label: null, facts: message === undefined ? {} : { message } }];
    // `latest` moves with every version and is no decision of anybody.
    const labels = action === 'deleted' ? [] : prompt.labels.filter((label) => label !== 'latest');
    return [...happened, ...labels.map((label): VersionEvent => ({ ...common, kind: 'label_set', label, facts: {} }))];
  },
};

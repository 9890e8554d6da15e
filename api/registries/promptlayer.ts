import { z } from 'zod';
import type { VersionEvent } from '../../schemas/version.ts';
import type { RegistryHook } from './index.ts';
import { hmacHex, isSame } from './signature.ts';

/** PromptLayer's webhooks: versions, and release labels that are made, moved and deleted. Source: PromptLayer, features/prompt-registry/webhooks. */
const Body = z.looseObject({
  event_type: z.string(),
  timestamp: z.string().optional(),
  user_id: z.union([z.number(), z.string()]).nullish(),
  details: z.looseObject({
    prompt_template_name: z.string().min(1).max(512).optional(),
    prompt_template_version_number: z.union([z.number().int(), z.string().min(1).max(512)]).transform(String).optional(),
    old_prompt_template_version_number: z.union([z.number().int(), z.string().min(1).max(512)]).transform(String).optional(),
    prompt_template_label: z.string().max(512).optional(),
  }),
});

/** Characters; what it sends has some hundreds. Anybody may have a body sorted, and 12 MB of keys took 8 s. */
const MOST_SORTED = 16_384;

export const promptlayer: RegistryHook = {
  /** Over the body as Python would write it with its keys sorted, which the request itself need not be. */
  isGenuine({ header, body }, secret) {
    const signature = header('x-promptlayer-signature') ?? '';
    return isSame(signature, hmacHex(secret, body)) || (body.length <= MOST_SORTED && isSame(signature, hmacHex(secret, sortedAsPython(body))));
  },
  eventsOf(body, { nowMs }) {
    const { event_type, timestamp = '', user_id, details } = Body.parse(body);
    const { prompt_template_name: prompt, prompt_template_version_number: version, old_prompt_template_version_number: before, prompt_template_label: label = null } = details;
    if (prompt === undefined || version === undefined) return [];
    const at_ms = Date.parse(timestamp);
    const common = { prompt, at_ms: Number.isNaN(at_ms) ? nowMs : at_ms, source: 'promptlayer', actor: user_id === null || user_id === undefined ? null : `user ${user_id}`, facts: {} } as const;
    const one = (kind: VersionEvent['kind'], of = version): VersionEvent => ({ ...common, version: of, kind, label: kind === 'registered' ? null : label });
    switch (event_type) {
      case 'prompt_template_created':
      case 'prompt_template_version_created':
        return [one('registered')];
      case 'prompt_template_label_created':
        return [one('label_set')];
      case 'prompt_template_label_moved':
        return [...(before === undefined ? [] : [one('label_removed', before)]), one('label_set')];
      case 'prompt_template_label_deleted':
        return [one('label_removed')];
      case 'prompt_template_updated':
        return [one('changed')];
      default:
        return [];
    }
  },
};

/** `json.dumps(payload, sort_keys=True)`: a space behind each comma and colon, everything beyond ASCII escaped. Text that is not JSON stays. */
function sortedAsPython(body: string): string {
  const write = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(write).join(', ')}]`;
    if (typeof value !== 'object' || value === null) return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
    const sorted = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
    return `{${sorted.map(([key, each]) => `${write(key)}: ${write(each)}`).join(', ')}}`;
  };
  try {
    return write(JSON.parse(body));
  } catch {
    return body;
  }
}

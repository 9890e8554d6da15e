import { z } from 'zod';
import { promptOfFile } from '../../schemas/registry.ts';
import type { VersionEvent } from '../../schemas/version.ts';
import type { RegistryHook } from './index.ts';
import { hmacHex, isSame } from './signature.ts';

/** GitHub's push webhooks: each commit on the default branch that touches a prompt is a version of it. Source: GitHub, webhook-events-and-payloads#push. */
const Paths = z.array(z.string().max(4096)).max(3000).default([]);
const Push = z.looseObject({
  ref: z.string(),
  repository: z.looseObject({ default_branch: z.string() }),
  commits: z
    .array(
      z.looseObject({
        id: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/),
        message: z.string(),
        timestamp: z.string(),
        url: z.string(),
        author: z.looseObject({ name: z.string().max(200).optional(), username: z.string().max(200).optional() }),
        added: Paths,
        modified: Paths,
      }),
    )
    .max(2048)
    .default([]),
});

export const github: RegistryHook = {
  isGenuine: ({ header, body }, secret) => isSame(header('x-hub-signature-256') ?? '', `sha256=${hmacHex(secret, body)}`),
  eventsOf(body, { registry, header, nowMs }) {
    if (header('x-github-event') !== 'push') return [];
    const { ref, repository, commits } = Push.parse(body);
    if (ref !== `refs/heads/${repository.default_branch}`) return [];
    return commits.flatMap(({ id, message, timestamp, url, author, added, modified }) => {
      const at_ms = Date.parse(timestamp);
      const actor = author.username ?? author.name ?? null;
      const [subject = ''] = message.split('\n');
      const facts = { commit: id, message: subject.trim().slice(0, 2000) || id, ...(/^https?:\/\//.test(url) && url.length <= 2000 ? { diff_url: url } : {}), ...(actor === null || actor.trim() === '' ? {} : { author: actor }) };
      const prompts = new Set([...added, ...modified].map((path) => promptOfFile(registry.files, path)).filter((name) => name !== null));
      return [...prompts].map((prompt): VersionEvent => ({ prompt, version: id, at_ms: Number.isNaN(at_ms) ? nowMs : at_ms, kind: 'registered', source: 'github', actor, label: null, facts }));
    });
  },
};

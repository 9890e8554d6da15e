import { createRoute, z, type OpenAPIHono } from '@hono/zod-openapi';
import { VersionEvent, VersionFacts } from '../schemas/version.ts';
import type { ApiDeps } from './app.ts';
import { limitOf, NameText, TimeMs } from './parameters.ts';
import { problemResponses } from './problem.ts';
import { factOf, type VersionEvents } from './version-events.ts';

/** Versions of prompts: as they were seen in traffic, as they were registered, and what happened to them. */

const LAST_MS = 4_294_967_295_000;

const Registration = VersionFacts.extend({
  prompt: NameText,
  version: NameText,
  at: z.iso.datetime({ offset: true }).refine((text) => Date.parse(text) >= 0 && Date.parse(text) < LAST_MS, 'is before 1970 or after 2105').optional().openapi({ description: 'when it came to be; default: now' }),
  source: z.enum(['api', 'git']).default('api'),
  actor: z.string().trim().max(200).optional().openapi({ description: 'who registers it' }),
})
  .strict()
  .openapi('VersionRegistration', { example: { prompt: 'refund-agent', version: 'v2', commit: '4f2a91c7d05e', author: 'mira', owner: '@shop/payments', pull_request_url: 'https://github.com/shop/backend/pull/812', message: 'friendlier tone' } });

const Version = z
  .object({
    prompt: z.string(),
    version: z.string(),
    environment: z.string().nullable(),
    first_seen_ms: z.number().nullable().openapi({ description: 'in traffic; null: not yet' }),
    last_seen_ms: z.number().nullable(),
    is_registered: z.boolean().openapi({ description: 'false: only traffic knows of it' }),
    fingerprint: z.string().nullable().openapi({ description: 'of its text, where calls carry it' }),
    facts: VersionFacts,
  })
  .openapi('Version');

const registerRoute = createRoute({
  method: 'post',
  path: '/v1/versions',
  summary: 'Register versions: commit, author, owner, what changed. Said twice, it is done once',
  request: { body: { required: true, content: { 'application/json': { schema: z.strictObject({ versions: z.array(Registration).min(1).max(500) }) } } } },
  responses: { 200: { description: 'How many were news.', content: { 'application/json': { schema: z.object({ registered: z.number().int() }) } } }, ...problemResponses },
});
const listRoute = createRoute({
  method: 'get',
  path: '/v1/versions',
  summary: 'Versions of a prompt, newest first: seen in traffic, registered, or both',
  request: { query: z.strictObject({ prompt: NameText, environment: NameText.optional(), limit: limitOf({ fallback: 100, maximum: 1000 }) }) },
  responses: { 200: { description: 'Each with what is known of it.', content: { 'application/json': { schema: z.object({ versions: z.array(Version) }) } } }, ...problemResponses },
});
const timelineRoute = createRoute({
  method: 'get',
  path: '/v1/timeline',
  summary: 'What happened to versions, newest first: registered, labels set and removed, text changed',
  request: { query: z.strictObject({ prompt: NameText.optional(), from: TimeMs.optional(), to: TimeMs.optional(), limit: limitOf({ fallback: 100, maximum: 1000 }) }) },
  responses: { 200: { description: 'With who did it, where that is known.', content: { 'application/json': { schema: z.object({ events: z.array(VersionEvent) }) } } }, ...problemResponses },
});

/** Texts of versions are looked for among the newest calls. */
const FINGERPRINT_DAYS = 7;

type Seen = { version: string; environment: string; first_seen_ms: number; last_seen_ms: number };

export function registerVersions(app: OpenAPIHono, { store, clock, settings }: ApiDeps, events: VersionEvents): void {
  app.openapi(registerRoute, async (context) => {
    const { versions } = context.req.valid('json');
    const nowMs = clock();
    const registered = await events.append(
      settings.project,
      versions.map(({ prompt, version, at, source, actor, ...facts }) => ({ prompt, version, at_ms: at === undefined ? nowMs : Date.parse(at), kind: 'registered', source, actor: actor ?? null, label: null, facts })),
      'undated',
    );
    return context.json({ registered }, 200);
  });

  app.openapi(listRoute, async (context) => {
    const { prompt, environment, limit } = context.req.valid('query');
    const { project } = settings;
    const inEnvironment = environment === undefined ? '' : 'AND environment = {environment:String}';
    const [seen, texts, facts] = await Promise.all([
      store.select<Seen>(
        `SELECT value AS version, environment, min(first_seen_ms) AS first_seen_ms, max(last_seen_ms) AS last_seen_ms FROM versions
         WHERE project = {project:String} AND prompt_name = {prompt:String} AND factor = 'prompt_version' ${inEnvironment} GROUP BY version, environment ORDER BY first_seen_ms DESC, version LIMIT {limit:UInt32}`,
        { project, prompt, limit: limit ?? 100, ...(environment === undefined ? {} : { environment }) },
      ),
      store.select<{ version: string; fingerprint: string }>(
        `SELECT prompt_version AS version, argMax(prompt_fingerprint, start_ns) AS fingerprint FROM calls
         WHERE project = {project:String} AND event_time >= toDateTime({from_s:UInt32}) AND prompt_name = {prompt:String} AND prompt_fingerprint IS NOT NULL AND prompt_version IS NOT NULL GROUP BY version LIMIT 1000`,
        { project, prompt, from_s: Math.max(0, Math.floor(clock() / 1000) - FINGERPRINT_DAYS * 86_400) },
      ),
      events.factsOf(project, prompt),
    ]);
    const textOf = new Map(texts.map(({ version, fingerprint }) => [version, fingerprint]));
    const inTraffic = seen.map(({ version, ...row }) => ({ prompt, version, ...row, fingerprint: textOf.get(version) ?? null, ...registrationOf(factOf(facts, version)) }));
    const known = new Set(seen.map(({ version }) => version));
    const unseen = [...facts].filter(([version, about]) => !known.has(version) && !inTraffic.some((each) => each.facts === about));
    const registered = unseen.map(([version, about]) => ({ prompt, version, environment: null, first_seen_ms: null, last_seen_ms: null, fingerprint: null, ...registrationOf(about) }));
    return context.json({ versions: [...registered.toReversed(), ...inTraffic].slice(0, limit ?? 100) }, 200);
  });

  app.openapi(timelineRoute, async (context) => {
    const { prompt, from, to, limit } = context.req.valid('query');
    return context.json({ events: await events.list(settings.project, { prompt, from_ms: from ?? 0, to_ms: to ?? LAST_MS, limit: limit ?? 100 }) }, 200);
  });
}

function registrationOf(facts: VersionFacts): { is_registered: boolean; facts: VersionFacts } {
  return { is_registered: Object.keys(facts).length > 0, facts };
}

import { z } from 'zod';

/**
 * Who may do what. A key is of one project and has scopes; a person has a role, which stands for scopes.
 * ingest: send spans, logs and scores. read: see. act: see, and change what is seen (acknowledge, silence, roll back).
 * admin: everything, over all projects of the installation (keys, people, the audit log).
 */
export const Scope = z.enum(['ingest', 'read', 'act', 'admin']);
export type Scope = z.infer<typeof Scope>;

export const Role = z.enum(['viewer', 'responder', 'admin']);
export type Role = z.infer<typeof Role>;

export const SCOPE_OF_ROLE: Readonly<Record<Role, Scope>> = { viewer: 'read', responder: 'act', admin: 'admin' };

/** What each scope allows besides itself. */
const INCLUDED: Readonly<Record<Scope, readonly Scope[]>> = { ingest: ['ingest'], read: ['read'], act: ['act', 'read'], admin: ['admin', 'act', 'read', 'ingest'] };

export function grants(scopes: readonly Scope[], needed: Scope): boolean {
  return scopes.some((scope) => INCLUDED[scope].includes(needed));
}

export const ProjectName = z.string().trim().min(1).max(256);
/** Shown in lists, in the audit log and as who did it. */
export const HolderName = z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N} ._@+-]{0,127}$/u, 'may hold letters, digits, blanks and . _ @ + - only, at most 128');

/** What a person with many projects has for a project. */
export const EVERY_PROJECT = '*';

/** `sha256:` and the hex digits of a key's SHA-256. A key has 256 random bits, so nothing slower is needed. */
export const KeyHash = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'is not sha256: and 64 hex digits; make it with: printf %s "$KEY" | sha256sum');

const ConfiguredKey = z
  .strictObject({
    name: HolderName,
    project: ProjectName.default('default'),
    scopes: z.array(Scope).min(1).default(['ingest']),
    hash: KeyHash.optional().describe('sha256: and the SHA-256 of the key, in hex.'),
    key_file: z.string().min(1).optional().describe('File that holds the key.'),
    key_env: z.string().min(1).optional().describe('Environment variable that holds the key.'),
  })
  .refine((key) => [key.hash, key.key_file, key.key_env].filter((source) => source !== undefined).length === 1, {
    path: ['hash'],
    message: 'must be given once; set exactly one of hash, key_file and key_env',
  });
export type ConfiguredKey = z.output<typeof ConfiguredKey>;

/** The first rule whose value stands in the claim decides; no rule, no entry. */
const RoleRule = z.strictObject({ claim: z.string().min(1).max(256).describe('A value of the claim.'), role: Role, project: z.union([z.literal(EVERY_PROJECT), ProjectName]).default(EVERY_PROJECT) });

const isLoopbackUrl = (url: string): boolean => URL.canParse(url) && ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);

const Oidc = z.strictObject({
  issuer: z
    .url({ protocol: /^https?$/, error: 'is not an http(s) URL; write it in full, like https://login.example.com' })
    .refine((url) => url.startsWith('https:') || isLoopbackUrl(url), 'is not https, so tokens could be read on the way; give an https address')
    .describe('OpenID provider that people log in at.'),
  client_id: z.string().min(1).max(512).describe('Name that the provider knows Culprit by. The redirect URI is PUBLIC_URL/login/callback.'),
  client_secret: z.string().min(1).max(4096).optional(),
  client_secret_file: z.string().min(1).optional().describe('File that holds the client secret.'),
  scope: z.string().min(1).max(1024).default('openid profile email').describe('What is asked for at the provider.'),
  name_claim: z.string().min(1).max(256).default('email').describe('Claim that names a person.'),
  role_claim: z.string().min(1).max(256).default('groups').describe('Claim whose values `access.oidc.roles` maps to roles.'),
  roles: z.array(RoleRule).min(1).max(1000),
});
export type OidcSettings = z.output<typeof Oidc>;

const Network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

/** The section `access` of the configuration. What files and variables hold has been put into `hash` and `client_secret` before it is used. */
export const AccessSection = z.strictObject({
  key_file: z.string().min(1).optional().describe('File that holds one API key with every scope, of `project`: the first key of a new installation.'),
  keys: z.array(ConfiguredKey).max(1000).default([]),
  session_hours: z.number().positive().max(24 * 400).default(168).describe('How long a login lasts.'),
  trusted_proxies: z.array(z.string().refine((text) => Network.safeParse(text).success, 'is no address and no network, like 10.0.0.7 or 10.0.0.0/8')).max(100).default([]).describe('Addresses or networks of reverse proxies whose X-Forwarded-For is believed, for the audit log and the login throttle.'),
  // With its roles it is more than flags can say.
  oidc: Oidc.optional().meta({ inFileOnly: true }),
});
export type AccessSettings = z.output<typeof AccessSection>;

import { z } from 'zod';

/** Where prompts are kept: their webhooks tell of new versions and moved labels. */
export const RegistryKind = z.enum(['langfuse', 'langsmith', 'promptlayer', 'github']);
export type RegistryKind = z.infer<typeof RegistryKind>;

export const RegistryEntry = z
  .strictObject({
    kind: RegistryKind,
    secret: z.string().min(8, 'is shorter than 8 characters').optional().describe('Secret of the webhook, as the registry shows it. LangSmith: what you send as "Authorization: Bearer …".'),
    secret_file: z.string().min(1).optional().describe('File that holds the secret.'),
    secret_env: z.string().min(1).optional().describe('Environment variable that holds the secret.'),
    files: z.string().min(1).max(500).refine((pattern) => pattern.split('{prompt}').length === 2, 'must have {prompt} once, where the name of the prompt stands').default('prompts/{prompt}.*').describe('GitHub: files that are prompts; {prompt} stands for the name.'),
  })
  .refine((entry) => [entry.secret, entry.secret_file, entry.secret_env].filter((source) => source !== undefined).length === 1, {
    path: ['secret'],
    message: 'must be given once; set exactly one of secret, secret_file and secret_env',
  });

/** A registry whose secret has been read. */
export type Registry = { readonly kind: RegistryKind; readonly secret: string; readonly files: string };

/** The name of the prompt that a file is, by a pattern such as `prompts/{prompt}.md`; null: it is none. `*` stands for anything but `/`. */
export function promptOfFile(pattern: string, path: string): string | null {
  return expressionOf(pattern).exec(path)?.groups?.['prompt'] ?? null;
}

export function matchesPattern(pattern: string, path: string): boolean {
  return expressionOf(pattern).test(path);
}

function expressionOf(pattern: string): RegExp {
  const parts = pattern.split(/(\{prompt\}|\*)/).map((part) => (part === '{prompt}' ? '(?<prompt>.+?)' : part === '*' ? '[^/]*' : part.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)));
  return new RegExp(`^${parts.join('')}$`);
}

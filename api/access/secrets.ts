import { hash, randomBytes } from 'node:crypto';

/**
 * Secrets of 256 random bits. What is kept of one is its SHA-256, which cannot be turned back or guessed, so a plain look-up by
 * hash tells an attacker nothing by its time: he does not know the hash of what he does not know.
 */
const PREFIX = 'clp_';

export function newApiKey(): string {
  return `${PREFIX}${randomBytes(32).toString('base64url')}`;
}

export function newSessionSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** `sha256:` and 64 hex digits, as in the configuration (schemas/access.ts). */
export function hashOf(secret: string): string {
  return `sha256:${hash('sha256', secret, 'hex')}`;
}

/** As much of a key as tells it from others in a list: 24 of its 256 bits. */
export function hintOf(key: string): string {
  return `${key.slice(0, PREFIX.length + 4)}…`;
}

/** Of a key that the configuration or the store knows by hash: `key_` and 80 bits of it. */
export function keyIdOf(keyHash: string): string {
  return `key_${keyHash.slice('sha256:'.length, 'sha256:'.length + 20)}`;
}

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export function hmacHex(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text, 'utf8').digest('hex');
}

/** In a time that does not depend on where they differ, nor on their lengths. */
export function isSame(one: string, other: string): boolean {
  const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hashOf(one), hashOf(other));
}

/** Older or newer by more than this, a dated signature is a replay (Standard Webhooks: five minutes). */
export const TOLERANCE_MS = 300_000;

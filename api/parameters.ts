import { z } from '@hono/zod-openapi';
import { ProblemError } from './problem.ts';

/** Query parameters that several resources take. Every text is bounded, so that nothing unbounded reaches the store. */

export const NameText = z.string().min(1).max(512);

/** ISO 8601 or milliseconds since the epoch, read as milliseconds. */
export const TimeMs = z
  .string()
  .max(40)
  .transform((text, context) => {
    const ms = /^\d{1,15}$/.test(text) ? Number(text) : /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
    // DateTime columns hold 1970 to 2106.
    if (Number.isFinite(ms) && ms >= 0 && ms < 4_294_967_295_000) return ms;
    context.addIssue({ code: 'custom', message: 'is no time: send ISO 8601 (2026-06-01T08:30:00Z) or milliseconds since 1970' });
    return z.NEVER;
  })
  .openapi({ type: 'string', example: '2026-06-01T08:30:00Z', description: 'ISO 8601, or milliseconds since 1970' });

export function limitOf(bounds: { fallback: number; maximum: number }) {
  return z
    .string()
    .regex(/^\d{1,6}$/, `is no whole number from 1 to ${bounds.maximum}`)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= bounds.maximum, `must be from 1 to ${bounds.maximum}`)
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: bounds.maximum, example: bounds.fallback, description: `default ${bounds.fallback}, at most ${bounds.maximum}` });
}

export const Cursor = z.string().max(400).openapi({ description: '`next_cursor` of the page before' });

export function writeCursor(parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Throws ProblemError 400 where the text is no cursor of `length` parts. */
export function readCursor(cursor: string, length: number): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parts) && parts.length === length) return parts.map(String);
  } catch {
    // Not JSON: answered below like any other text that is no cursor.
  }
  throw new ProblemError(400, 'cursor: is not a cursor of this list', [{ path: 'cursor', message: 'is not a cursor of this list', fix: 'Send `next_cursor` of the page before, or none.' }]);
}

/** From and to as whole seconds; without `from`, the last `windowMs` before `to` (or now). Throws ProblemError 400 where from is after to. */
export function windowOf(query: { from?: number | undefined; to?: number | undefined }, clockMs: number, windowMs: number): { from_s: number; to_s: number } {
  const toMs = query.to ?? clockMs + 60_000;
  const fromMs = query.from ?? toMs - windowMs;
  if (fromMs > toMs) throw new ProblemError(400, 'from: is after to', [{ path: 'from', message: 'is after to', fix: 'Send a `from` before `to`.' }]);
  return { from_s: Math.max(0, Math.floor(fromMs / 1000)), to_s: Math.ceil(toMs / 1000) };
}

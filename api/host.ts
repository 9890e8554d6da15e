import type { MiddlewareHandler } from 'hono';
import { problemResponse } from './problem.ts';

/**
 * Only requests that name this server are answered. A web page elsewhere can point its own name at this machine (DNS
 * rebinding) and would then be of one origin with it: its name gives it away.
 *
 * @param names host names, lower case, without port; IPv6 addresses in brackets.
 */
export function onlyForHosts(names: ReadonlySet<string>): MiddlewareHandler {
  return async (context, next) => {
    const { hostname } = new URL(context.req.url);
    if (!names.has(hostname)) return problemResponse(421, `This server does not answer for ${hostname.slice(0, 200)}; set public_url to the address it is reached by.`);
    return next();
  };
}

export const LOOPBACK_NAMES: readonly string[] = ['127.0.0.1', 'localhost', '[::1]'];

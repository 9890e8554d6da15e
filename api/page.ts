import { readFile } from 'node:fs/promises';
import type { Hono } from 'hono';
import { problemResponse } from './problem.ts';

/** The files of the page. Listed, so that a path in a request never becomes a path on the disk. */
const assets: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'alert.css': 'text/css; charset=utf-8',
  'prompts.css': 'text/css; charset=utf-8',
  'analyst.css': 'text/css; charset=utf-8',
  'login.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'app.js': 'text/javascript; charset=utf-8',
  'element.js': 'text/javascript; charset=utf-8',
  'format.js': 'text/javascript; charset=utf-8',
  'chart.js': 'text/javascript; charset=utf-8',
  'scale.js': 'text/javascript; charset=utf-8',
  'who.js': 'text/javascript; charset=utf-8',
  'live.js': 'text/javascript; charset=utf-8',
  'request.js': 'text/javascript; charset=utf-8',
  'comparison.js': 'text/javascript; charset=utf-8',
  'first-run.js': 'text/javascript; charset=utf-8',
  'home.js': 'text/javascript; charset=utf-8',
  'alert.js': 'text/javascript; charset=utf-8',
  'fault.js': 'text/javascript; charset=utf-8',
  'prompt.js': 'text/javascript; charset=utf-8',
  'culprit.js': 'text/javascript; charset=utf-8',
  'diff.js': 'text/javascript; charset=utf-8',
  'matrix.js': 'text/javascript; charset=utf-8',
  'timeline.js': 'text/javascript; charset=utf-8',
  'compare.js': 'text/javascript; charset=utf-8',
  'query.js': 'text/javascript; charset=utf-8',
  'rollback.js': 'text/javascript; charset=utf-8',
  'rollout.js': 'text/javascript; charset=utf-8',
  'silence.js': 'text/javascript; charset=utf-8',
  'password.js': 'text/javascript; charset=utf-8',
  'data.js': 'text/javascript; charset=utf-8',
};

/**
 * Nothing from elsewhere, nothing inline, and no text ever becomes markup: prompt names are hostile. Every node is made by
 * createElement and textContent; Trusted Types make the browser refuse innerHTML even by mistake.
 */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-cache',
};

const folder = new URL('./dashboard/public/', import.meta.url);

export async function pageShell(status: 200 | 404): Promise<Response> {
  return new Response(await readFile(new URL('index.html', folder)), { status, headers: { ...pageHeaders, 'content-type': 'text/html; charset=utf-8' } });
}

/** `/`, `/alerts`, `/alerts/{id}`, `/prompts/{name}`, `/compare`, `/query` and `/data` are one shell; the page reads the path, and says of any other that there is none. */
export function registerPage(app: Hono): void {
  for (const path of ['/', '/alerts', '/alerts/*', '/prompts/*', '/compare', '/query', '/data']) app.get(path, () => pageShell(200));
  app.get('/assets/:name', async (context) => {
    const name = context.req.param('name');
    const type = Object.hasOwn(assets, name) ? assets[name] : undefined;
    if (type === undefined) return problemResponse(404, 'The page has no such file.');
    return new Response(await readFile(new URL(name, folder)), { headers: { ...pageHeaders, 'content-type': type } });
  });
}

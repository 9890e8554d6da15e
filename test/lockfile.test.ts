import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';

/**
 * `npm ci` refuses a lockfile that lacks the optional packages of any platform, even those of others than its own. npm leaves them
 * out when it writes the file beside an installed node_modules, or from a registry that does not carry them (npm 11).
 */
const Entry = z.object({ version: z.string().optional(), resolved: z.string().optional(), optionalDependencies: z.record(z.string(), z.string()).optional() });
const { packages } = z.object({ packages: z.record(z.string(), Entry) }).parse(JSON.parse(readFileSync('package-lock.json', 'utf8')));

/** Where Node would look for a package, from the inside out. */
function isLocked(name: string, from: string): boolean {
  const folders = from.split('/node_modules/').map((_, index, parts) => parts.slice(0, index + 1).join('/node_modules/'));
  return ['', ...folders].some((folder) => `${folder}${folder === '' ? '' : '/'}node_modules/${name}` in packages);
}

it('locks the optional packages of every platform', () => {
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) => Object.keys(optionalDependencies).filter((name) => !isLocked(name, path)));
  expect(missing).toEqual([]);
});

it('names no host but that of the public registry', () => {
  const hosts = Object.values(packages).flatMap(({ resolved }) => (resolved === undefined ? [] : [new URL(resolved).host]));
  expect(hosts.filter((host) => host !== 'registry.npmjs.org')).toEqual([]);
});

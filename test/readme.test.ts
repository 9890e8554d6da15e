import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { SETTINGS } from '../deploy/settings.ts';

/** The README's table of settings is what the schema says. */
it('documents every setting with its flag, variable and default', () => {
  const readme = readFileSync('README.md', 'utf8');
  const rows = SETTINGS.map(({ flag, variable, key, node }) => {
    const isEmpty = node.default === undefined || (Array.isArray(node.default) && node.default.length === 0);
    const shown = isEmpty ? '' : `\`${Array.isArray(node.default) ? node.default.join(', ') : JSON.stringify(node.default).replaceAll('"', '')}\``;
    return `| \`${key}\` | \`${flag}\` | \`${variable}\` | ${shown} | ${node.description ?? ''} |`;
  });
  expect(rows.filter((row) => !readme.includes(row))).toEqual([]);
});

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadConfiguration } from '../deploy/configuration.ts';
import { COMMANDS } from '../deploy/commands/index.ts';
import { SETTINGS } from '../deploy/settings.ts';

/** What the documents say of settings and commands is what the program takes. */

const configuration = readFileSync('docs/CONFIGURATION.md', 'utf8');
const readme = readFileSync('README.md', 'utf8');

it('documents every setting with its flag, variable and default, and none that is not there', () => {
  const rows = SETTINGS.map(({ flag, variable, key, node }) => {
    const isEmpty = node.default === undefined || (Array.isArray(node.default) && node.default.length === 0);
    const shown = isEmpty ? '' : `\`${Array.isArray(node.default) ? node.default.join(', ') : JSON.stringify(node.default).replaceAll('"', '')}\``;
    return `| \`${key}\` | \`${flag}\` | \`${variable}\` | ${shown} | ${node.description ?? ''} |`;
  });
  expect(configuration.match(/^\| `.* \|$/gm)).toEqual(rows);
});

it.each([['README.md', readme], ['docs/CONFIGURATION.md', configuration]])('shows configuration that is taken: %s', (_, text) => {
  const shown = [...text.matchAll(/```yaml\n([^]*?)```/g)].map(([, yaml = '']) => yaml.replaceAll(/…(?= |$)/gm, ''));
  expect(shown.length).toBeGreaterThan(0);
  for (const yaml of shown) {
    const readFile = (path: string): string => (path === 'shown.yaml' ? yaml : 'a'.repeat(40));
    const environment = { CULPRIT_HOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString('base64')}`, SLACK_WEBHOOK: 'https://hooks.slack.com/services/a', PAGERDUTY_KEY: 'k'.repeat(32), LANGFUSE_SECRET_KEY: 'sk-lf-a', LANGFUSE_WEBHOOK_SECRET: 'a'.repeat(32) };
    expect(loadConfiguration({ argv: ['--config', 'shown.yaml'], environment, readFile }).kind).toBe('run');
  }
});

it('names every command in the README', () => {
  const commands = readme.slice(readme.indexOf('## Commands'));
  expect(Object.keys(COMMANDS).filter((name) => !commands.includes(`\`culprit ${name}`.trimEnd()))).toEqual([]);
});

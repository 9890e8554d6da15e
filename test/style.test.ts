import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The house style as far as a program can see it. Each rule answers with the places that break it. */

type Source = { path: string; text: string; lines: readonly string[] };
type Violations = readonly string[];

const root = normalize(join(dirname(fileURLToPath(import.meta.url)), '..'));

/** What a folder may import besides itself, and npm packages that only some folders may know. Imports point inward. */
const inward: Readonly<Record<string, readonly string[]>> = {
  schemas: [],
  collector: ['schemas/'],
  analyzer: ['schemas/'],
  api: ['schemas/', 'analyzer/statistics/'],
  deploy: ['schemas/', 'collector/', 'analyzer/', 'api/'],
  test: ['schemas/', 'collector/', 'analyzer/', 'api/', 'deploy/'],
};
const onlyDeployKnows = ['kafkajs', '@platformatic/kafka', '@clickhouse/client', 'chdb'];

/** Longest source; a test may have 400 lines, since its cases are read one at a time. */
const maximumLines = ({ path }: Source) => (path.startsWith('test/') ? 400 : 300);
/** Files that may be longer, each with its reason. */
const mayBeLong: Readonly<Record<string, string>> = {};

/** What runs in the reader's browser, where there is nobody to pass in a clock. */
const inBrowser = 'api/dashboard/public/';

const sources = ['schemas', 'collector', 'analyzer', 'api', 'deploy', 'test', '.'].flatMap((folder) => read(folder));

function read(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: folder !== '.', withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|js|sql|css|html|ya?ml)$/.test(entry.name))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const text = readFileSync(file, 'utf8');
      return { path: relative(root, file).split(sep).join('/'), text, lines: text.split('\n') };
    });
}

const code = sources.filter(({ path }) => /\.(ts|mjs|js)$/.test(path));

/** Comments may name what code may not do; line numbers stay. */
function withoutComments(text: string): string[] {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, '')).replace(/(^|\s)\/\/.*$/gm, '$1').split('\n');
}

function linesThat(files: readonly Source[], pattern: RegExp): Violations {
  return files.flatMap(({ path, text }) => withoutComments(text).flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])));
}

function importsOf({ text }: Source): string[] {
  const found = withoutComments(text).join('\n').matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)['"]([^'"\n]+)['"]/g);
  return [...found].map((match) => match[1] ?? '');
}

function directionViolations(files: readonly Source[]): Violations {
  return files.flatMap((source) => {
    const folder = source.path.split('/')[0] ?? '';
    const allowed = source.path === 'test/style.test.ts' ? undefined : inward[folder]; // Its samples are not imports.
    if (allowed === undefined) return [];
    return importsOf(source)
      .filter((specifier) => {
        if (!specifier.startsWith('.')) {
          return folder !== 'deploy' && folder !== 'test' && onlyDeployKnows.some((name) => specifier === name || specifier.startsWith(`${name}/`));
        }
        const target = normalize(join(dirname(source.path), specifier)).split(sep).join('/');
        return !target.startsWith(`${folder}/`) && !allowed.some((prefix) => target.startsWith(prefix));
      })
      .map((specifier) => `${source.path} imports ${specifier}`);
  });
}

/** All files and packages that are loaded with these: what they import, what that imports, and so on. A type is not loaded, and an `import()` not until it is called. */
function loadedWith(paths: readonly string[]): ReadonlySet<string> {
  const loaded = new Set(paths);
  for (const path of loaded) {
    const source = code.find((one) => one.path === path);
    if (source === undefined) continue;
    for (const [, names = '', specifier = ''] of withoutComments(source.text).join('\n').matchAll(/^(?:import|export) (?!type\b)(?:([^;'"]+?) from )?'([^'\n]+)'/gm)) {
      if (/^\{(\s*type [^,}]+,?)+\s*\}$/.test(names)) continue;
      loaded.add(specifier.startsWith('.') ? normalize(join(dirname(path), specifier)).split(sep).join('/') : specifier);
    }
  }
  return loaded;
}

describe('style', () => {
  it('sees the sources', () => {
    expect(sources.map(({ path }) => path)).toContain('schemas/errors.ts');
    expect(code.length).toBeGreaterThan(10);
  });

  it('points imports inward, and only deploy knows Kafka and ClickHouse', () => {
    expect(directionViolations(code)).toEqual([]);
  });

  it('notices an import that points outward', () => {
    const fake = (path: string, text: string): Source => ({ path, text, lines: text.split('\n') });
    expect(directionViolations([fake('analyzer/x.ts', "import { a } from '../api/app.ts';")])).toHaveLength(1);
    expect(directionViolations([fake('api/sinks/x.ts', "const a = await import('../../analyzer/run.ts');")])).toHaveLength(1);
    expect(directionViolations([fake('api/x.ts', "import { a } from '../analyzer/statistics/curve.ts';")])).toEqual([]);
    expect(directionViolations([fake('collector/x.ts', "import { Kafka } from 'kafkajs';")])).toHaveLength(1);
  });

  it('loads neither the analyzer nor the pages into a collector, whose memory is small by that', () => {
    const loaded = loadedWith(['deploy/main.ts', 'deploy/commands/roles.ts']);
    expect([...loaded]).toEqual(expect.arrayContaining(['deploy/roles/collector.ts', 'collector/server.ts', 'deploy/kafka/sender.ts', '@platformatic/kafka']));
    // Which shards there are is one small file.
    const others = [...loaded].filter((path) => /^(analyzer|api)\//.test(path) && !/^(analyzer\/ingest\/shards|api\/(access\/\w+|problem))\.ts$/.test(path));
    expect([...others, ...['@clickhouse/client', 'chdb', '@node-rs/argon2', '@pydantic/genai-prices'].filter((name) => loaded.has(name))]).toEqual([]);
  });

  it('has no default exports, but for configuration files of tools', () => {
    const files = code.filter(({ path }) => path !== 'vitest.config.ts' && path !== 'rolldown.config.mjs');
    expect(linesThat(files, /^\s*export default\b|\bas default\b/)).toEqual([]);
  });

  it('takes clock, chance and environment as arguments everywhere but in deploy', () => {
    const files = code.filter(({ path }) => !/^(deploy|test)\//.test(path) && path.includes('/') && !path.startsWith(inBrowser));
    expect(linesThat(files, /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bprocess\.(env|argv)\b/)).toEqual([]);
  });

  it('keeps files short enough to be read', () => {
    const long = sources.filter((source) => source.lines.length > maximumLines(source) && mayBeLong[source.path] === undefined);
    expect(long.map(({ path, lines }) => `${path}: ${lines.length} lines`)).toEqual([]);
    const listed = Object.keys(mayBeLong).filter((path) => !sources.some((source) => source.path === path && source.lines.length > maximumLines(source)));
    expect(listed, 'listed as long, but no longer so').toEqual([]);
  });

  it('names files by what they hold', () => {
    const vague = sources.filter(({ path }) => /(^|\/)(utils?|helpers?|common|shared|lib|misc)(\/|\.[a-z]+$)/.test(path));
    expect(vague.map(({ path }) => path)).toEqual([]);
  });

  it('holds no path of the machine that it was written on', () => {
    const pattern = /(?<![\w.:/-])\/(work|root|home\/\w+|Users\/\w+)\//;
    const violations = sources.flatMap(({ path, lines }) => lines.flatMap((line, index) => (path !== 'test/style.test.ts' && pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])));
    expect(violations).toEqual([]);
  });

  it('says beside each "as" why it is true', () => {
    const violations = code
      .filter(({ path }) => !path.startsWith('test/'))
      .flatMap(({ path, text, lines }) =>
        withoutComments(text).flatMap((line, index) => {
          const bare = line.replace(/'[^']*'|"[^"]*"|`[^`]*`/g, "''");
          const asserts = !/^\s*(import|export)\b.*\bfrom\b/.test(bare) && /[\w)\]}'] as (?!const\b)[\w{(]/.test(bare);
          const hasReason = /\/\/|\*\//.test(lines[index] ?? '') || /^\s*(\/\/|\*|\/\*\*)/.test(lines[index - 1] ?? '');
          return asserts && !hasReason ? [`${path}:${index + 1}: ${line.trim()}`] : [];
        }),
      );
    expect(violations).toEqual([]);
  });

  it('skips tests only with a reason, and runs all of them', () => {
    const tests = code.filter(({ path }) => path.startsWith('test/') && path !== 'test/style.test.ts');
    expect(linesThat(tests, /\b(it|test|describe)(\.\w+)*\.(only|skip|skipIf|runIf|todo|fails)\b/), "use context.skip('why') inside the test or its beforeEach").toEqual([]);
  });

  it('sleeps in no test', () => {
    const tests = code.filter(({ path }) => path.startsWith('test/') && path !== 'test/style.test.ts');
    expect(linesThat(tests, /\bsetTimeout\s*\(\s*resolve|timers\/promises|\bvi\.mock\s*\(/)).toEqual([]);
  });
});

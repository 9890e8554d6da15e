import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { culprit } from '../built.ts';
import { Alert } from '../../schemas/alert.ts';
import { Evidence } from '../../schemas/evidence.ts';
import { callsOf, linesOf, scenario } from '../simulation/traffic.ts';

/** The commands `replay` and `verify` as a user runs them: arguments in, bytes and exit status out. */

let directory: string;
const at = (name: string): string => join(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'culprit-replay-test-'));
  const traffic = scenario({ minutes: 45, callsPerMinute: 60, versions: [[0, { v1: 1 }], [15, { v1: 0.5, v2: 0.5 }]], changes: [{ version: 'v2', error: 0.25 }] });
  const lines = linesOf(traffic, callsOf(traffic, 71));
  await writeFile(at('all.jsonl'), `${lines.join('\n')}\n`);
  await writeFile(at('all.jsonl.gz'), gzipSync(`${lines.join('\n')}\n`));
  await writeFile(at('first.jsonl'), `${lines.slice(0, 200).join('\n')}\n`);
  await writeFile(at('second.jsonl'), lines.slice(200).join('\r\n'));
  await writeFile(at('empty.jsonl'), '');
  await writeFile(at('broken.jsonl'), [...lines.slice(0, 6), '{"resourceSpans":[{', ...lines.slice(6)].join('\n'));
  await writeFile(at('other.jsonl'), `${lines[0]}\n\n{"hello":"world"}\n`);
  await writeFile(at('cut.jsonl.gz'), gzipSync(lines.join('\n')).subarray(0, 20_000));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const run = (...args: string[]) => culprit(args, { cwd: directory });

describe('replay', { timeout: 120_000 }, () => {
  let once: string;

  it('prints each alert as one JSON line, and a summary on stderr', async () => {
    const { code, stdout, stderr } = await run('replay', '--json', 'all.jsonl');
    once = stdout;
    expect(code).toBe(0);
    const alerts = stdout.trimEnd().split('\n').map((line) => Alert.parse(JSON.parse(line)));
    expect(alerts.map(({ state, metric, culprit: { value } }) => [state, metric, value])).toEqual([['open', 'error_rate', 'v2']]);
    expect(stderr).toMatch(/^\d+ records, \d+ calls, \d+ scores; 1 alert transitions; [\d.]+ s, \d+ calls\/s\n$/);
  });

  it('finds an edit of a prompt that nobody named or tagged, by its text', async () => {
    const tag = (key: string, value: string) => new RegExp(`\\{"key":"gen_ai\\.prompt\\.${key}","value":\\{"stringValue":"${value}"\\}\\}`, 'g');
    const untagged = (await readFile(at('all.jsonl'), 'utf8'))
      .replace(tag('version', '(\\w+)'), (_, version: string) => JSON.stringify({ key: 'gen_ai.system_instructions', value: { stringValue: JSON.stringify([{ type: 'text', content: `You are ${version}.` }]) } }))
      .replace(tag('name', '[\\w-]+'), JSON.stringify({ key: 'nothing', value: { stringValue: '' } }));
    await writeFile(at('untagged.jsonl'), untagged);
    const alerts = (await run('replay', '--json', 'untagged.jsonl')).stdout.trimEnd().split('\n').map((line) => Alert.parse(JSON.parse(line)));
    const fingerprint = (version: string) => `s:${createHash('sha256').update(`[{"role":"system","content":"You are ${version}."}]`).digest('hex').slice(0, 16)}`;
    expect(alerts.map(({ state, prompt, metric, culprit: { value, baseline } }) => [state, prompt, metric, value, baseline])).toEqual([['open', 'shop', 'error_rate', fingerprint('v2'), fingerprint('v1')]]);
  });

  it('prints the same bytes for the same file packed, and for its parts in order', async () => {
    expect((await run('replay', '--json', 'all.jsonl.gz')).stdout).toBe(once);
    expect((await run('replay', '--json', 'first.jsonl', 'second.jsonl')).stdout).toBe(once);
  });

  it('prints the same bytes again, and writes evidence that verify agrees with, but not once a count was edited', async () => {
    const { code, stdout } = await run('replay', '--json', '--evidence', 'evidence', 'all.jsonl');
    expect([code, stdout]).toEqual([0, once]);
    const alert = Alert.parse(JSON.parse(once));
    const file = join(directory, 'evidence', `${alert.id}.json`);
    const evidence = Evidence.parse(JSON.parse(await readFile(file, 'utf8')));
    expect(evidence.e_value).toBe(alert.evidence.e_value);
    expect(await run('verify', file)).toMatchObject({ code: 0, stdout: expect.stringMatching(/: agrees\n$/) });

    const [stratum] = evidence.strata.filter(({ metric, b }) => metric === 'error_rate' && b.length === 2);
    if (stratum?.b[1] === undefined) throw new Error('no stratum with an error');
    stratum.b[1] += 1;
    await writeFile(at('edited.json'), JSON.stringify(evidence));
    expect(await run('verify', 'edited.json')).toMatchObject({ code: 1, stdout: expect.stringMatching(/: DOES NOT AGREE\n$/) });
    // A file that is right does not make up for one that is not.
    expect((await run('verify', 'edited.json', file)).code).toBe(1);
  });

  it('says nothing of an empty file', async () => {
    const { code, stdout, stderr } = await run('replay', '--json', 'empty.jsonl');
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/^0 records, 0 calls, 0 scores; 0 alert transitions/);
  });

  it.each([
    { file: 'broken.jsonl', says: /^culprit: broken\.jsonl, line 7: / },
    { file: 'other.jsonl', says: /^culprit: other\.jsonl, line 3: is no OTLP\/JSON export request/ },
    { file: 'cut.jsonl.gz', says: /^culprit: cut\.jsonl\.gz, after line \d+: cannot be read \(.*end of file.*\)/ },
    { file: 'missing.jsonl', says: /^culprit: missing\.jsonl: no such file/ },
    { file: '.', says: /^culprit: \.: is not a file/ },
  ])('names file and line where it cannot read $file, and exits with 1', async ({ file, says }) => {
    const { code, stderr } = await run('replay', '--json', file);
    expect(stderr).toMatch(says);
    expect(stderr.trimEnd().split('\n'), 'one sentence').toHaveLength(1);
    expect(code).toBe(1);
  });

  it('needs a file', async () => {
    expect(await run('replay')).toMatchObject({ code: 1, stdout: '', stderr: 'culprit: replay needs a recording: culprit replay FILE…\n' });
  });
});

describe('verify', () => {
  it.each([
    { content: 'not json', says: /: is not JSON\n$/ },
    { content: '{"schema":"culprit.evidence/2"}', says: /: is not an evidence file \(culprit\.evidence\/1\): schema / },
  ])('refuses $content', async ({ content, says }) => {
    await writeFile(at('bad.json'), content);
    const { code, stderr } = await run('verify', 'bad.json');
    expect([code, stderr]).toEqual([1, expect.stringMatching(says)]);
  });
});

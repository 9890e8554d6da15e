import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { culprit, ROOT } from '../built.ts';
import type { Ended, Surroundings } from '../program.ts';

/** The command `inspect` as a user runs it, over what real clients sent. */

const golden = (name: string): string => join(ROOT, 'test/golden', name);
const captured = (name: string): string => join(ROOT, 'test/collector/captures', name);

let directory: string;
const at = (...names: string[]): string => join(directory, ...names);
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'culprit-inspect-test-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const inspect = (args: readonly string[], given: Surroundings = {}) => culprit(['inspect', ...args], { cwd: directory, ...given });

type Line = { kind: string; file: string; span_name: string; reason?: string; call?: { span_id: string; prompt_version: string | null }; sources: Record<string, string[]> };
const linesOf = ({ stdout }: Ended): Line[] => stdout.trimEnd().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Line);

const text = (key: string, value: string) => ({ key, value: { stringValue: value } });
const request = (attributes: object[], span: object = {}) => ({
  resourceSpans: [{ scopeSpans: [{ scope: { name: 'lib' }, spans: [{ traceId: '0'.repeat(31) + '1', spanId: '0'.repeat(15) + '1', name: 'chat m', startTimeUnixNano: '1767225600000000000', endTimeUnixNano: '1767225601000000000', attributes, ...span }] }] }],
});
const chat = [text('gen_ai.operation.name', 'chat'), text('gen_ai.request.model', 'm')];

describe('inspect', () => {
  it('shows each call with the key of each field, its scores, what is ignored, and a summary', async () => {
    const { code, stdout, stderr } = await inspect([golden('otel-genai-openai/003-traces.bin')]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^call {6}chat gpt-4o {2}read as otel_genai, scope opentelemetry\.instrumentation\.genai\.openai {2}[0-9a-f]{32}\/[0-9a-f]{16}$/m);
    expect(stdout).toMatch(/^ {10}prompt_version +1 +gen_ai\.prompt\.version$/m);
    expect(stdout).toMatch(/^ {10}session_id +sess-7 +session\.id {2}of span [0-9a-f]{16}$/m);
    expect(stdout).toMatch(/^ {10}environment +staging +resource deployment\.environment\.name$/m);
    expect(stdout).toMatch(/^ignored {3}handle_ticket {2}not_an_llm_call/m);
    expect(stdout).toMatch(/^read {10}1 file: 20 spans, 0 log records\ncalls {9}10, 10 with prompt name and version \(100 %\)/m);
    expect(stdout).toMatch(/^prompts {7}support-answer {2}1, 2\n {14}weather-tool {2}3, 4$/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('prints one JSON line for each span, the summary on stderr', async () => {
    const said = await inspect(['--json', golden('otel-openai-node/003-traces.bin')]);
    const lines = linesOf(said);
    expect(said.code).toBe(0);
    expect(lines).toHaveLength(20);
    expect(lines.filter(({ kind }) => kind === 'call')).toHaveLength(10);
    expect(lines.find(({ kind }) => kind === 'call')).toMatchObject({ sources: { prompt_version: ['gen_ai.prompt.version'], provider: ['gen_ai.system'] } });
    expect(lines.find(({ kind }) => kind === 'ignored')).toMatchObject({ reason: 'not_an_llm_call', tags: { prompt_name: 'support-answer' } });
    expect(said.stderr).toMatch(/^calls {9}10, /m);
  });

  it('says of calls without a version what is missing, and how to tag them in that SDK', async () => {
    const untagged = await inspect([captured('humanloop.traces.bin')]);
    expect(untagged.stdout).toMatch(/! (no prompt name and no version|a prompt name, but no version)/);
    expect(untagged.stdout).toMatch(/^ {2}Humanloop, \d+ calls? without prompt name or version:\n {6}.+\n {6}docs\/TAGGING\.md#humanloop$/m);
    const plain = await inspect(['-'], { input: JSON.stringify(request(chat)) });
    expect(plain.stdout).toMatch(/OpenTelemetry, 1 call without prompt name or version:\n.*gen_ai\.prompt\.version.*\n.*docs\/TAGGING\.md#opentelemetry/);
  });

  it('says which attribute could not be read, and still shows the call', async () => {
    await writeFile(at('cut.json'), JSON.stringify(request([...chat, text('gen_ai.output.messages', '[{"role":"assistant","parts":[{"type":"te'), text('metadata', '{"plan":"gold"}')])));
    const { code, stdout } = await inspect([at('cut.json')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {10}request_model +m +gen_ai\.request\.model$/m);
    expect(stdout).toMatch(/^ {10}flag attribute_unreadable: gen_ai\.output\.messages$/m);
    expect(stdout).toMatch(/^ {10}! an attribute begins as JSON .+ OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT$/m);
    // So does a span above, whose tags are lost with it.
    await writeFile(at('above.json'), JSON.stringify(request([text('metadata', '{"prompt_name":"refund-ag')])));
    expect((await inspect([at('above.json')])).stdout).toMatch(/^ignored .+\n {10}flag attribute_unreadable: metadata$/m);
  });

  it('says of agents without a call that the instrumentation of the client is missing', async () => {
    const { stdout } = await inspect(['-'], { input: JSON.stringify(request([text('gen_ai.operation.name', 'invoke_agent'), text('gen_ai.agent.name', 'refunder')], { name: 'invoke_agent refunder' })) });
    expect(stdout).toMatch(/^ {2}No span is an LLM call, but 1 span of agents or chains: turn on the instrumentation of the model's client, too/m);
  });

  it('reads protobuf, JSON on one line and on many, JSON lines, delimited protobuf, and each of them packed, by content alone', async () => {
    const proto = gunzipSync(await readFile(golden('otel-openai-v2/003-traces.bin')));
    const one = request(chat);
    const many = [one, request(chat, { spanId: 'b'.repeat(16) })];
    const framed = Buffer.concat([proto, proto].flatMap((message) => [Buffer.from(Uint8Array.of(0, 0, message.length >> 8, message.length & 255)), message]));
    const forms: Record<string, [Buffer | string, number]> = {
      proto: [proto, 9],
      document: [JSON.stringify(one, null, 2), 1],
      line: [JSON.stringify(one), 1],
      lines: [many.map((item) => JSON.stringify(item)).join('\r\n'), 2],
      marked: [`\ufeff${JSON.stringify(one)}`, 1],
      framed: [framed, 18],
    };
    expect(proto.length).toBeLessThan(65_536);
    await mkdir(at('forms'));
    const expected: Record<string, number> = {};
    for (const [name, [body, calls]] of Object.entries(forms)) {
      for (const [file, bytes] of [[name, body], [`${name}-packed`, gzipSync(body)]] as const) {
        await writeFile(at('forms', file), bytes);
        expected[`forms/${file}`] = calls;
      }
    }
    const said = await inspect(['--json', 'forms']);
    expect(said.code).toBe(0);
    // The same calls in every form: only where they are met first are they more than spans that come again.
    const isCall = ({ kind, reason, span_name }: Line): boolean => kind === 'call' || (reason === 'same_span_again' && span_name !== 'handle_ticket');
    const counts = new Map<string, number>();
    for (const line of linesOf(said).filter(isCall)) counts.set(line.file, (counts.get(line.file) ?? 0) + 1);
    expect(Object.fromEntries(counts)).toEqual(expected);
    expect(await inspect(['--json', '-'], { input: gzipSync(proto) })).toMatchObject({ code: 0, stdout: expect.stringContaining('"kind":"call"') });
  });

  it('reads a folder with everything in it, and joins what lies in different files', async () => {
    await mkdir(at('folder/deeper'), { recursive: true });
    const parent = request([text('gen_ai.prompt.name', 'refund'), text('gen_ai.prompt.version', 'v9')], { spanId: 'a'.repeat(16), name: 'handle' });
    await writeFile(at('folder/2-parent.json'), JSON.stringify(parent));
    await writeFile(at('folder/1-child.json.gz'), gzipSync(JSON.stringify(request(chat, { parentSpanId: 'a'.repeat(16) }))));
    await writeFile(at('folder/deeper/score.json'), JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: '1767225601000000000', traceId: '0'.repeat(31) + '1', spanId: '0'.repeat(15) + '1', eventName: 'gen_ai.evaluation.result', attributes: [text('gen_ai.evaluation.name', 'accuracy'), { key: 'gen_ai.evaluation.score.value', value: { doubleValue: 0.5 } }] }] }] }] }));
    await writeFile(at('folder/metrics.json'), '{"resourceMetrics":[]}');
    const good = await inspect(['folder']);
    expect(good.code).toBe(0);
    expect(good.stdout).toMatch(/prompt_version +v9 +gen_ai\.prompt\.version {2}of span a{16}/);
    expect(good.stdout).toMatch(/^score {5}accuracy {2}0\.5 {2}of a call in these files/m);
    expect(good.stdout).toMatch(/^read {10}4 files: 2 spans, 1 log record, 1 metrics request passed over$/m);

    await writeFile(at('folder/notes.txt'), 'to do: everything');
    await writeFile(at('folder/empty.bin'), '');
    await writeFile(at('folder/broken.gz'), gzipSync('x'.repeat(10_000)).subarray(0, 30));
    const partly = await inspect(['folder', 'no-such-file']);
    expect(partly.code).toBe(1);
    expect(partly.stdout).toMatch(/prompt_version +v9/);
    for (const wrong of [/is broken gzip \(.+\): folder\/broken\.gz/, /is empty: folder\/empty\.bin/, /is no OTLP export request of traces or logs: folder\/notes\.txt/, /cannot be read \(.*ENOENT.*\): no-such-file/]) expect(partly.stdout).toMatch(wrong);
  });

  it('keeps what a file held before the line that cannot be read', async () => {
    const said = await inspect(['-'], { input: `${JSON.stringify(request(chat))}\n{"resourceSpans":[{` });
    expect(said.code).toBe(1);
    expect(said.stdout).toMatch(/^calls {9}1, /m);
    expect(said.stdout).toMatch(/request 2 and what follows: malformed JSON/);
  });

  it('shows as many as --limit says, and counts all', async () => {
    const { stdout } = await inspect(['--limit=3', golden('otel-openai-v2/003-traces.bin')]);
    expect(stdout.match(/^(call|ignored|score) /gm)?.length).toBe(4);
    expect(stdout).toMatch(/^shown {9}3 of 18; the counts are of all\ncalls {9}9, /m);
    expect(await inspect(['--limit=some', 'x'])).toMatchObject({ code: 1, stderr: expect.stringContaining('--limit is no whole number') });
  });

  it('lets nothing from the wire reach the terminal as it is, nor break the lines', async () => {
    const evil = '\u001b]0;owned\u0007\u001b[31m\r\nfake line\u202e\u0000';
    const spans = request([...chat, text('gen_ai.prompt.name', evil), text(`key${evil}`, 'x'), text('gen_ai.prompt.version', 'w'.repeat(5_000)), text('session.id', '漢'.repeat(300))], { name: evil });
    const { code, stdout } = await inspect(['-'], { input: JSON.stringify(spans) });
    expect(code).toBe(0);
    // oxlint-disable-next-line no-control-regex -- these are what must not be there
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
    expect(stdout).not.toMatch(/^fake line/m);
    expect(stdout).toContain('\\x1b]0;owned\\x07');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(260);
  });

  it('survives what no client sends', async () => {
    const deep = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"a","value":${'{"arrayValue":{"values":['.repeat(2_000)}`;
    const noise = Buffer.from(Array.from({ length: 4_096 }, (_, index) => (index * 7_919 + 13) % 256));
    await mkdir(at('hostile'));
    const inputs = [deep, noise, gzipSync(gzipSync('x')), '[]', 'null', '{}', '{"resourceSpans":3}', Buffer.from([0, 0, 0, 9, 1]), Buffer.from([10, 255, 255, 255, 255, 15])];
    for (const [index, input] of inputs.entries()) await writeFile(at('hostile', String(index)), input);
    const said = await inspect(['hostile']);
    expect(said).toMatchObject({ code: 1, stderr: '' });
    expect(said.stdout).toMatch(/^read {10}0 files/m);
    expect(said.stdout).toMatch(/^not read {6}/m);
    // A bomb: 300 MiB of nothing.
    const bomb = await inspect(['-'], { input: gzipSync(Buffer.alloc(300 * 1024 * 1024), { level: 1 }) });
    expect(bomb.stdout).toMatch(/goes past the 256 MiB/);
  }, 60_000);

  it('needs something to read', async () => {
    expect(await inspect([])).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^culprit: inspect needs captured telemetry/) });
  });
});

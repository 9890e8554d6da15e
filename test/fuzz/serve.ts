/**
 * A server with some data, for a fuzzing run over its OpenAPI document (BENCHMARKS.md has the command):
 * `node --import tsx test/fuzz/serve.ts CONFIG` prints its address and an admin key as JSON, and serves until it is told to stop (SIGTERM, Ctrl-C).
 * CONFIG is written for Schemathesis: the ids and names that there are, so that more than 404 is met.
 * It says at the end what it had to warn of, and fails where it answered anything with 500.
 */
import { writeFile } from 'node:fs/promises';
import { slotOf } from '../../analyzer/slots.ts';
import { randomFrom, seedRollout } from '../api/traffic.ts';
import { receiver } from '../api/sinks/receiver.ts';
import { configuredKey, startGuarded } from '../deploy/guarded.ts';

const PROMPT = 'refund-agent';
const admin = configuredKey('default', ['admin']);
const nowMs = Date.now();
const chat = await receiver();
const flag = { kind: 'flagd', name: 'flag', flag: 'refund-prompt', variants: { stable: 'v1', next: 'v2' }, default_variant: 'next' };
const known = { alert: '', comparison: '', trace: '', span: '' };
const server = await startGuarded(
  { access: { keys: [admin.entry] }, content: 'stored', hooks: [flag], prompts: { [PROMPT]: { rollback: { mode: 'propose', hook: 'flag' } } }, allow_private_addresses: true },
  async (store) => {
    await store.insert('look_progress', [{ owner: 'embedded', slot: slotOf(nowMs) }]);
    const { calls, alertId, comparisonId } = await seedRollout(
      store,
      { prompt: PROMPT, baseline: { version: 'v1', share: 0.5, errorRate: 0.01, medianMs: 900, quality: 0.86 }, candidate: { version: 'v2', share: 0.5, errorRate: 0.2, medianMs: 880, quality: 0.85 }, beganMs: nowMs - 50 * 60_000, callsPerMinute: 40, raisesAlert: true },
      { fromMs: nowMs - 60 * 60_000, toMs: nowMs },
      randomFrom(5),
    );
    const [call] = calls;
    if (call === undefined || alertId === null) throw new Error('nothing was seeded');
    Object.assign(known, { alert: alertId, comparison: comparisonId, trace: call.trace_id, span: call.span_id });
    await store.insert('contents', [{ project: 'default', event_time: call.event_time, trace_id: call.trace_id, span_id: call.span_id, end_ns: call.end_ns, mode: 'stored', input: 'my money, please', output: 'it is on its way', over_limit: [] }]);
    await store.insert('parked', [{ project: 'default', parked_id: 'prk_0123456789abcdef0123', signal: 'traces', encoding: 'json', received_ms: nowMs, changed_ms: nowMs, state: 'parked', records: 1, bytes: 20, reason: 'a number is out of range', body: Buffer.from('{"resourceSpans":[]}').toString('base64') }]);
    await store.insert('version_events', [{ project: 'default', prompt_name: PROMPT, version: 'v2', event_id: 'ver_1', at_ms: nowMs, kind: 'registered', source: 'git', actor: 'mira', label: '', facts: JSON.stringify({ author: 'mira', commit: '4f2a91c7d05e' }) }]);
    await store.insert('ledger', [{ project: 'default', hour: String(Math.floor(nowMs / 3_600_000) * 3600), signal: 'traces', outcome: 'stored', reason: '', count: calls.length, last_batch: 1 }]);
  },
  {
    // LangSmith proves itself by the same header as the key, so its webhook is one that the run gets through to.
    registries: (['langfuse', 'langsmith', 'promptlayer', 'github'] as const).map((kind) => ({ kind, secret: kind === 'langsmith' ? admin.secret : 'a secret', files: 'prompts/{prompt}.md' })),
    sinks: [{ kind: 'slack', name: 'chat', url: chat.url, timeout_s: 5, events: ['alert.open', 'alert.resolved'], per_minute: 6000 }],
  },
);

const [config] = process.argv.slice(2);
if (config !== undefined) {
  const parameters = { trace_id: known.trace, span_id: known.span, prompt: PROMPT, prompt_name: PROMPT, candidate: 'v2', baseline: 'v1', key: flag.flag, kind: 'langsmith' };
  const idOf = { alerts: known.alert, comparisons: known.comparison, parked: 'prk_0123456789abcdef0123' };
  const operations = Object.entries(idOf).map(([resource, id]) => `[[operations]]\ninclude-path-regex = "^/v1/${resource}/\\\\{id"\nparameters = { id = "${id}" }\n`);
  await writeFile(config, [...operations, `[[operations]]\ninclude-path-regex = "^/v1/prompts/\\\\{name"\nparameters = { name = "${PROMPT}" }\n`, `[parameters]\n${Object.entries(parameters).map(([name, value]) => `${name} = "${value}"\n`).join('')}`].join('\n'));
}
console.log(JSON.stringify({ url: server.url, key: admin.secret }));
await new Promise((resolve) => {
  process.once('SIGTERM', resolve);
  process.once('SIGINT', resolve);
});
await server.close();
await chat.close();

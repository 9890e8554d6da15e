/**
 * What each view of the page waits for, on a store of many calls: `npx tsx test/bench/views.ts [calls] [directory]`.
 *
 * 30 days of 40 prompts (the busiest has a tenth of the calls), three versions each, three models, a score on three of ten calls, made up by
 * the engine itself from hashes of their number, so the same count gives the same rows. A directory that is named is kept, and used again as it is.
 * Views "after a look" are asked each time after another look of all comparisons: nothing that was kept of them helps.
 * Hours are rolled up first, as a server does it (analyzer/roll-up). Each request is asked once before it is timed, and then seven times; printed are the fastest, the middle one, and the processor time of all threads.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRollUp, DEFAULT_ROLL_UP } from '../../analyzer/roll-up/roll-up.ts';
import { openApi } from '../api/server.ts';
import { randomFrom, seedRollout } from '../api/traffic.ts';

const calls = Number(process.argv[2] ?? 10_000_000);
const kept = process.argv[3];
const days = 30;
const goalMs = 300;
const runs = 7;
const nowMs = Date.UTC(2026, 6, 1);
const firstMs = nowMs - days * 86_400_000;

const directory = kept ?? (await mkdtemp(join(tmpdir(), 'culprit-views-')));
const api = await openApi({}, nowMs, directory);
try {
  const [found] = await api.store.select<{ rows: number }>('SELECT count() AS rows FROM calls');
  if (found?.rows === 0) await fill();
  await compareAll();
  await rollUp();
  await measure();
} finally {
  await api.close(kept !== undefined);
}

/** Uniform in [0, 1), the `stream`-th number of a call. */
function uniform(stream: number): string {
  return `(cityHash64(number, ${stream}) / 18446744073709551616.)`;
}

function normal(stream: number): string {
  return `(sqrt(-2 * log(1 - ${uniform(stream)})) * cos(2 * pi() * ${uniform(stream + 1)}))`;
}

async function fill(): Promise<void> {
  const began = performance.now();
  const stepMs = (nowMs - firstMs) / calls;
  const chunk = Math.min(calls, 500_000);
  const call = `
    WITH toUInt64(${firstMs} + number * ${stepMs}) AS at_ms, exp(7 + 0.6 * ${normal(1)}) AS duration, ${uniform(3)} < 0.012 AS failed,
      toUInt32(floor(40 * pow(${uniform(4)}, 1.6))) AS prompt, toUInt32(floor(3 * ${uniform(5)})) AS model`;
  const identity = `lower(leftPad(hex(cityHash64(number, 20)), 16, '0')) AS span_id, concat(span_id, lower(leftPad(hex(cityHash64(number, 21)), 16, '0'))) AS trace_id`;
  const version = `if(at_ms < ${nowMs - 3 * 86_400_000}, 'v1', if(${uniform(6)} < 0.2, 'v3', 'v2'))`;
  const models = `['gpt-4o-2024-08-06', 'gpt-4o-mini-2024-07-18', 'claude-sonnet-4-5-20250929'][model + 1]`;
  for (let from = 0; from < calls; from += chunk) {
    const numbers = `FROM numbers(${from}, ${Math.min(chunk, calls - from)})`;
    await api.store.command(`INSERT INTO calls (project, event_time, trace_id, span_id, start_ns, end_ns, received_ms, slot, batch, revision, dialect, service_name, service_version, environment, operation,
        prompt_name, prompt_version, prompt_version_source, prompt_attribution, provider, request_model, response_model, finish_reason, is_error, error_type, ttft_ms, input_tokens, output_tokens, cost_usd, session_id, is_empty, is_format_valid, stratum_attributes)
      ${call}, ${identity}
      SELECT 'default', toDateTime(intDiv(at_ms, 1000), 'UTC'), trace_id, span_id, at_ms * 1000000, toUInt64((at_ms + duration) * 1000000), toUInt64(at_ms + duration + 900), intDiv(at_ms, 30000), ${from + 1}, 1, 'otel_genai', 'support', '2026.6.1',
        'production', 'chat', concat('prompt-', toString(prompt)), ${version}, 'explicit', 'direct', if(model = 2, 'anthropic', 'openai'), 'asked', if(failed, NULL, ${models}), if(failed, NULL, if(${uniform(7)} < 0.02, 'length', 'stop')), failed, if(failed, '500', NULL),
        if(failed, NULL, duration * 0.2), toUInt32(greatest(1, 800 + 200 * ${normal(8)})), if(failed, NULL, toUInt32(greatest(1, 250 + 80 * ${normal(10)}))), if(failed, NULL, 0.004 + 0.001 * ${uniform(12)}), span_id, false, if(failed, NULL, ${uniform(13)} > 0.01), map('app.route', '/chat')
      ${numbers}`);
    await api.store.command(`INSERT INTO scores (project, event_time, score_id, name, value, data_type, evaluator, trace_id, span_id, observed_ns, received_ms, join_state, slot, batch, revision, call_trace_id, call_span_id, call_start_ns, environment, operation, prompt_name, prompt_version, prompt_attribution, request_model, response_model)
      ${call}, ${identity}
      SELECT 'default', toDateTime(intDiv(at_ms, 1000), 'UTC'), span_id, 'quality', least(1, greatest(0, 0.85 + 0.1 * ${normal(14)})), 'numeric', 'judge', trace_id, span_id, at_ms * 1000000, at_ms + 5000, 'joined', intDiv(at_ms, 30000), ${from + 1}, 1, trace_id, span_id, at_ms * 1000000, 'production', 'chat',
        concat('prompt-', toString(prompt)), ${version}, 'direct', 'asked', ${models}
      ${numbers} WHERE NOT failed AND ${uniform(16)} < 0.3`);
  }
  await api.store.command(`INSERT INTO versions SELECT project, environment, assumeNotNull(prompt_name), 'prompt_version', assumeNotNull(prompt_version), toUnixTimestamp(min(event_time)) * 1000, toUnixTimestamp(max(event_time)) * 1000, count() FROM calls GROUP BY project, environment, prompt_name, prompt_version`);
  await api.store.insert('ledger', [['received', ''], ['stored', 'call']].map(([outcome, reason]) => ({ project: 'default', hour: Math.floor(nowMs / 3_600_000) * 3600, signal: 'traces', outcome, reason, count: calls, last_batch: 1 })));
  await seedRollout(api.store, {
    prompt: 'refund-agent',
    baseline: { version: 'v1', share: 0.9, errorRate: 0.011, medianMs: 900, quality: 0.86 },
    candidate: { version: 'v2', share: 0.1, errorRate: 0.09, medianMs: 880, quality: 0.85 },
    beganMs: nowMs - 90 * 60_000, callsPerMinute: 60, raisesAlert: true,
  }, { fromMs: nowMs - 120 * 60_000, toMs: nowMs }, randomFrom(11));
  console.log(JSON.stringify({ calls, made_s: Math.round((performance.now() - began) / 1000) }));
}

/** Each prompt compares v3 with v2, for three days now; the evidence is that of the seeded rollout. */
async function compareAll(): Promise<void> {
  const prompts = `(SELECT concat('prompt-', toString(number)) AS of_prompt, concat('cmp_of_', of_prompt) AS of_id FROM numbers(40))`;
  const [found] = await api.store.select<{ missing: number }>(`SELECT count() AS missing FROM ${prompts} WHERE of_id NOT IN (SELECT comparison_id FROM comparisons)`);
  if (found?.missing === 0) return;
  const seeded = `comparison_id IN (SELECT comparison_id FROM comparisons WHERE prompt_name = 'refund-agent')`;
  const renamed = { comparisons: `of_id AS comparison_id, of_prompt AS prompt_name, 'v2' AS baseline, 'v3' AS candidate, toUInt64(${nowMs - 3 * 86_400_000}) AS opened_ms`, strata: 'of_id AS comparison_id', looks: 'of_id AS comparison_id' };
  for (const [table, columns] of Object.entries(renamed)) await api.store.command(`INSERT INTO ${table} SELECT * EXCEPT (of_id, of_prompt) REPLACE (${columns}) FROM (SELECT * FROM ${table} FINAL WHERE ${seeded}) AS seeded CROSS JOIN ${prompts} AS prompts`);
}

/** Hours that have no cells yet get them, as in a server that was just brought up to date. */
async function rollUp(): Promise<void> {
  const turns = createRollUp({ store: api.store, clock: () => nowMs, random: Math.random }, { ...DEFAULT_ROLL_UP, rowsDays: null, cellsDays: null });
  const began = performance.now();
  const before = process.cpuUsage();
  let hours = 0;
  for (let made = await turns.tick(); made > 0; made = await turns.tick()) hours += made;
  const { user, system } = process.cpuUsage(before);
  const [size] = await api.store.select<{ rows: number; bytes: number }>(`SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE database = currentDatabase() AND table = 'cells' AND active`);
  console.log(JSON.stringify({ rolled_up: hours, ms: Math.round(performance.now() - began), cpu_ms: Math.round((user + system) / 1000), cells: size?.rows, mib: Math.round((size?.bytes ?? 0) / 2 ** 20) }));
}

async function measure(): Promise<void> {
  const read = async (path: string): Promise<{ ms: number; body: string }> => {
    const began = performance.now();
    const response = await api.app.request(path, { headers: { host: '127.0.0.1' } });
    const body = await response.text();
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${body.slice(0, 400)}`);
    return { ms: performance.now() - began, body };
  };
  const { alerts } = JSON.parse((await read('/v1/alerts')).body);
  const alert = JSON.parse((await read(`/v1/alerts/${alerts[0].id}`)).body);
  // Declared three days ago, with the first call of v3. Said again over kept data, it is the same one.
  api.clock.nowMs = nowMs - 3 * 86_400_000;
  const declared = await api.app.request('/v1/rollouts', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ prompt: 'prompt-0', candidate: 'v3', steps: [{ share_percent: 20 }, { share_percent: 100 }] }) });
  if (declared.status !== 201) throw new Error(`no rollout was declared: ${await declared.text()}`);
  api.clock.nowMs = nowMs;
  const day = String(nowMs - 86_400_000);
  const week = String(nowMs - 7 * 86_400_000);
  const month = String(firstMs);
  const views: Record<string, string[]> = {
    overview: ['/v1/alerts?state=open', '/v1/alerts?state=acknowledged', '/v1/prompts'],
    alert: [`/v1/alerts/${alert.id}`, `/v1/alerts/${alert.id}/changes`, `/v1/comparisons/${alert.comparison_id}`, `/v1/comparisons/${alert.comparison_id}/series?metric=error_rate`, `/v1/comparisons/${alert.comparison_id}/looks`],
    'prompt, a day': [`/v1/prompts/prompt-0?from=${day}`],
    'prompt, a week': [`/v1/prompts/prompt-0?from=${week}`],
    'prompt, a month': [`/v1/prompts/prompt-0?from=${month}`],
    'overview, a week': [`/v1/prompts?from=${week}`],
    'versions by models, a day': [`/v1/prompts/prompt-0/matrix?metric=latency&from=${day}`],
    'compare, a day': [`/v1/compare?prompt=prompt-0&a=v2&b=v3&metric=latency&from=${day}`, `/v1/compare?prompt=prompt-0&a=v2&b=v3&metric=quality&from=${day}`],
    'versions by models, a month': [`/v1/prompts/prompt-0/matrix?metric=latency&from=${month}`],
    'compare, a week': [`/v1/compare?prompt=prompt-0&a=v1&b=v3&from=${week}`],
    'compare, a month': [`/v1/compare?prompt=prompt-0&a=v1&b=v3&from=${month}`, `/v1/compare?prompt=prompt-0&a=v1&b=v3&metric=latency&from=${month}`, `/v1/compare?prompt=prompt-0&a=v1&b=v3&metric=quality&from=${month}`],
    rollouts: ['/v1/rollouts?prompt=prompt-0&environment=production&state=under_way', '/v1/rollouts?prompt=prompt-1&environment=production&state=under_way', '/v1/rollouts?state=under_way', '/v1/rollouts?state=under_way&limit=100'],
    'rollouts, after a look': ['/v1/rollouts?state=under_way&limit=100'],
    data: ['/v1/ledger', '/v1/audit', '/v1/quality'],
    'first failed calls': [`/v1/calls?prompt_name=prompt-0&prompt_version=v3&is_error=true&from=${day}`],
  };
  for (const [view, paths] of Object.entries(views)) {
    for (const path of paths) {
      const first = (await read(path)).ms;
      const times: number[] = [];
      let cpu_us = 0;
      for (let run = 0; run < runs; run += 1) {
        if (view.endsWith('after a look')) await lookAgain();
        const before = process.cpuUsage();
        times.push((await read(path)).ms);
        const { user, system } = process.cpuUsage(before);
        cpu_us += user + system;
      }
      times.sort((one, other) => one - other);
      const middle = times[Math.floor(runs / 2)] ?? 0;
      console.log(JSON.stringify({ view, path: path.slice(0, 90), first_ms: Math.round(first), fastest_ms: Math.round(times[0] ?? 0), middle_ms: Math.round(middle), cpu_ms: Math.round(cpu_us / 1000 / runs), is_within: middle <= goalMs }));
    }
  }
}

/** All comparisons have one look more than before, that says the same. */
async function lookAgain(): Promise<void> {
  await api.store.command('INSERT INTO looks SELECT * REPLACE (slot + 1 AS slot, at + 30 AS at) FROM (SELECT * FROM looks FINAL ORDER BY slot DESC LIMIT 1 BY comparison_id)');
}

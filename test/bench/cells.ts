/**
 * Questions over 30 days of a billion calls, from hourly cells that are made up: `npx tsx test/bench/cells.ts [prompts] [directory]`.
 *
 * 200 prompts × 3 versions × 3 models × 720 hours, 772 calls in each of them: 1.3 million groups of calls, 14 million cells. There are no calls at all, as when they
 * have expired, so nothing is read but cells. A directory that is named is kept, and used again as it is. Each question is asked through the API, once before it is timed
 * and then seven times; the goal is a second for those of one prompt.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callMetrics } from '../../schemas/call-metrics.ts';
import { openApi } from '../api/server.ts';

const prompts = Number(process.argv[2] ?? 200);
const kept = process.argv[3];
const hours = 720;
const callsPerCell = 772;
const goalMs = 1_000;
const runs = 7;
const toMs = Date.UTC(2026, 6, 1);
const fromMs = toMs - hours * 3_600_000;

/** In octaves: the middle, and a standard deviation. */
const SHAPES: Readonly<Record<string, readonly [middle: number, deviation: number]>> = { latency: [10.1, 0.87], ttft: [7.8, 0.87], cost: [-7.9, 0.3], input_tokens: [9.6, 0.36], output_tokens: [7.9, 0.46] };
const RATES: Readonly<Record<string, number>> = { error_rate: 0.012, truncated: 0.02, format: 0.01 };

const directory = kept ?? (await mkdtemp(join(tmpdir(), 'culprit-cells-')));
const api = await openApi({}, toMs, directory);
try {
  const [found] = await api.store.select<{ rows: number }>('SELECT count() AS rows FROM cells');
  if (found?.rows === 0) await fill();
  await measure();
} finally {
  await api.close(kept !== undefined);
}

/** SQL: counts by bin of so many values around a middle that moves a little from cell to cell; each count, too. */
function bins(n: number, binsPerOctave: number, [middle, deviation]: readonly [number, number], type: 'Int16' | 'Int32'): string {
  const wide = Math.ceil(3 * deviation * binsPerOctave);
  const counts = Array.from({ length: 2 * wide + 1 }, (_, at) => Math.round((n / (deviation * binsPerOctave * Math.sqrt(2 * Math.PI))) * Math.exp(-(((at - wide) / (deviation * binsPerOctave)) ** 2) / 2)));
  const used = counts.map((count, at) => [Math.round(middle * binsPerOctave) - wide + at, count] as const).filter(([, count]) => count > 0);
  return `mapFromArrays(arrayMap(bin -> to${type}(bin + cityHash64(number) % 3), [${used.map(([bin]) => bin).join(', ')}]), arrayMap((count, at) -> toUInt32(count + cityHash64(number, at) % 3), [${used.map(([, count]) => count).join(', ')}], range(${used.length})))`;
}

async function fill(): Promise<void> {
  const began = performance.now();
  const insert = async (source: 'calls' | 'scores', name: string, n: number, { total, spread, binned, units }: Readonly<Record<'total' | 'spread' | 'binned' | 'units', string>>): Promise<void> =>
    api.store.command(
      `INSERT INTO cells (project, source, environment, prompt_name, name, event_time, cell_id, prompt_version, request_model, response_model, provider, operation, stratum_attributes, start_hour, label, version, n, total, spread, least, most, first_s, last_s, bins, units)
       WITH intDiv(number, ${hours * 9}) AS prompt, intDiv(number, 9) % ${hours} AS hour, number % 3 AS model, intDiv(number, 3) % 3 AS version, toDateTime(${fromMs / 1000} + hour * 3600, 'UTC') AS at
       SELECT 'default', '${source}', 'production', concat('prompt-', toString(prompt)), '${name}', at, cityHash64(version, model), concat('v', toString(version + 1)), ['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5'][model + 1],
         ['gpt-4o-2024-08-06', 'gpt-4o-mini-2024-07-18', 'claude-sonnet-4-5-20250929'][model + 1], ['openai', 'openai', 'anthropic'][model + 1], 'chat', map('app.route', '/chat'), at, NULL, 1, ${n}, ${total}, ${spread}, 0, 1, toUnixTimestamp(at), toUnixTimestamp(at) + 3599, ${binned}, ${units}
       FROM numbers(${prompts * hours * 9})`,
    );
  const none = "CAST(map(), 'Map(Int16, UInt32)')";
  for (const { name, kind } of callMetrics) {
    const shape = SHAPES[name] ?? [0, 1];
    const bad = `toUInt32(${callsPerCell} * ${RATES[name] ?? 0} * (0.5 + cityHash64(number) / 18446744073709551616.))`;
    await (kind === 'rate'
      ? insert('calls', name, callsPerCell, { total: `toFloat64(${bad})`, spread: '0', binned: none, units: `map(toInt32(0), toUInt32(${callsPerCell} - ${bad}), toInt32(50), ${bad})` })
      : insert('calls', name, callsPerCell, { total: `${callsPerCell * 2 ** shape[0]}`, spread: `${callsPerCell * 4 ** shape[0] * shape[1] ** 2}`, binned: bins(callsPerCell, 16, shape, 'Int16'), units: bins(callsPerCell, 8, shape, 'Int32') }));
  }
  const scores = Math.round(callsPerCell * 0.3);
  await insert('scores', 'quality', scores, { total: `${scores * 0.85}`, spread: `${scores * 0.01}`, binned: none, units: `mapFromArrays(arrayMap(bin -> toInt32(bin), range(25)), arrayMap(bin -> toUInt32(1 + cityHash64(number, bin) % 17), range(25)))` });
  await api.store.insert('cell_hours', (['calls', 'scores'] as const).flatMap((source) => Array.from({ length: hours }, (_, hour) => ({ source, hour: fromMs / 1000 + hour * 3600, at_us: 1, state: 'whole', version: 1, batches: {} }))));
  console.log(JSON.stringify({ calls: prompts * hours * 9 * callsPerCell, made_s: Math.round((performance.now() - began) / 1000) }));
}

async function measure(): Promise<void> {
  const [size] = await api.store.select<{ rows: number; bytes: number }>(`SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE database = currentDatabase() AND table = 'cells' AND active`);
  console.log(JSON.stringify({ cells: size?.rows, mib: Math.round((size?.bytes ?? 0) / 2 ** 20) }));
  const window = `from=${fromMs}&to=${toMs}`;
  const sql = "SELECT prompt_version, request_model, sum(n) AS calls, sum(total) / calls AS error_rate FROM llm_hours WHERE prompt_name = 'prompt-7' AND metric = 'error_rate' GROUP BY prompt_version, request_model";
  const questions: Record<string, { path: string; body?: object }> = {
    'versions of a prompt': { path: `/v1/prompts/prompt-7?${window}` },
    'versions by models, errors': { path: `/v1/prompts/prompt-7/matrix?${window}` },
    'versions by models, latency': { path: `/v1/prompts/prompt-7/matrix?metric=latency&${window}` },
    'versions compared, errors': { path: `/v1/compare?prompt=prompt-7&a=v1&b=v2&${window}` },
    'versions compared, latency': { path: `/v1/compare?prompt=prompt-7&a=v1&b=v2&metric=latency&${window}` },
    'versions compared, quality': { path: `/v1/compare?prompt=prompt-7&a=v1&b=v2&metric=quality&${window}` },
    'models compared, latency': { path: `/v1/compare?prompt=prompt-7&factor=model&a=gpt-4o-2024-08-06&b=gpt-4o-mini-2024-07-18&metric=latency&${window}` },
    'versions in SQL': { path: '/v1/query', body: { sql } },
    'all prompts': { path: `/v1/prompts?${window}` },
  };
  for (const [question, { path, body }] of Object.entries(questions)) {
    const ask = async (): Promise<{ ms: number; text: string }> => {
      const began = performance.now();
      const response = await api.app.request(path, body === undefined ? { headers: { host: '127.0.0.1' } } : { method: 'POST', headers: { host: '127.0.0.1', 'content-type': 'application/json' }, body: JSON.stringify(body) });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${text.slice(0, 400)}`);
      return { ms: performance.now() - began, text };
    };
    const first = await ask();
    const times: number[] = [];
    const before = process.cpuUsage();
    for (let run = 0; run < runs; run += 1) times.push((await ask()).ms);
    const { user, system } = process.cpuUsage(before);
    times.sort((one, other) => one - other);
    const middle = times[Math.floor(runs / 2)] ?? 0;
    console.log(JSON.stringify({ question, first_ms: Math.round(first.ms), fastest_ms: Math.round(times[0] ?? 0), middle_ms: Math.round(middle), cpu_ms: Math.round((user + system) / 1000 / runs), bytes: first.text.length, is_within: middle <= goalMs }));
  }
}

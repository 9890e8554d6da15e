/**
 * A request of 100 calls from bytes to spans, on one core: `node --import tsx test/bench/decode.ts [rounds]`. JSON by its own decoder, JSON by way of protobuf (as it
 * comes to the analyzer), and protobuf; in turns. Prints one JSON line with the middle round of each, in µs of processor time a span; fails unless all three say the same.
 */
import { isDeepStrictEqual } from 'node:util';
import { decode } from '../../collector/otlp/decode.ts';
import { jsonToProtobuf } from '../../collector/otlp/json-to-protobuf.ts';
import { seeded } from '../statistics/traffic.ts';
import { lognormal, spanOf, tracesOf } from './rig/calls.ts';
import { rounded } from './rig/load.ts';

const rounds = Number(process.argv[2] ?? 9);
const SPANS = 100;
const REPETITIONS = 100;
const STARTED_MS = Date.UTC(2026, 5, 1, 8, 30);

const random = seeded(1);
const spans = Array.from({ length: SPANS }, (_, index) =>
  spanOf({ prompt: 'refund-agent', version: index % 10 === 0 ? 'v2' : 'v1', model: 'gpt-4o', startMs: STARTED_MS + index, durationMs: lognormal(random, 900, 0.5), isError: index === 57, sessionId: `session-${index >> 1}` }, random),
);
const json = Buffer.from(JSON.stringify(tracesOf(spans)));

function toProtobuf(): Uint8Array {
  const body = jsonToProtobuf({ signal: 'traces', body: json });
  if (body === null) throw new Error('the request is not plain');
  return body;
}
const protobuf = toProtobuf();
const ways = {
  json: () => decode({ signal: 'traces', encoding: 'json', body: json }),
  json_by_protobuf: () => decode({ signal: 'traces', encoding: 'protobuf', body: toProtobuf() }),
  protobuf: () => decode({ signal: 'traces', encoding: 'protobuf', body: protobuf }),
} as const;
if (!isDeepStrictEqual(ways.json(), ways.protobuf())) throw new Error('JSON and protobuf do not say the same');

const times = { json: [] as number[], json_by_protobuf: [] as number[], protobuf: [] as number[] };
for (let round = 0; round < rounds; round += 1) {
  for (const way of ['json', 'json_by_protobuf', 'protobuf'] as const) {
    const before = process.cpuUsage();
    for (let repetition = 0; repetition < REPETITIONS; repetition += 1) ways[way]();
    const { user, system } = process.cpuUsage(before);
    times[way].push((user + system) / (SPANS * REPETITIONS));
  }
}
const middle = (of: readonly number[]): number => rounded(of.toSorted((one, other) => one - other)[Math.floor(of.length / 2)] ?? Number.NaN);
console.log(JSON.stringify({ bench: 'decode', bytes: json.byteLength / SPANS, cpu_us_per_span: { json: middle(times.json), json_by_protobuf: middle(times.json_by_protobuf), protobuf: middle(times.protobuf) } }));

/**
 * How soon one sees it: `node --import tsx test/bench/freshness.ts [spans per second of half load] [all|spans|alerts]` measures
 * 0. from the start of the process to the sentence that says where to send;
 * 1. from the sending of a span to its record in the answer of GET /v1/calls, on an idle server and at half load;
 * 2. from the end of the slot that decided to the alert in the answer of GET /v1/alerts, on four prompts whose v2 always fails.
 * Prints one JSON line for each. It takes about three minutes, most of which the slots take.
 */
import { SLOT_MS } from '../../analyzer/slots.ts';
import { lognormal, spanOf, tracesOf, type MadeUpSpan } from './rig/calls.ts';
import { percentile, rounded, sendLoad, until } from './rig/load.ts';
import { startMeasuredServer, type MeasuredServer } from './rig/server.ts';

const halfLoad = Number(process.argv[2] ?? 5_000);
const SPANS = 100;
const PROBE_EVERY_MS = 100;
const POLL_EVERY_MS = 20;

async function sendJson(url: string, request: object): Promise<void> {
  const answer = await fetch(`${url}/v1/traces`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) });
  if (!answer.ok) throw new Error(`a request was answered ${answer.status}: ${await answer.text()}`);
}

function probe(): MadeUpSpan {
  return spanOf({ prompt: 'probe', version: 'v1', model: 'gpt-4o', startMs: Date.now() - 900, durationMs: 800, isError: false, sessionId: null }, Math.random);
}

/** Milliseconds from the sending of each of `SPANS` single spans to its record in an answer, ascending. */
async function spansToQueryable(server: MeasuredServer): Promise<Float64Array> {
  const delaysMs: number[] = [];
  for (let sent = 0; sent < SPANS; sent++) {
    const span = probe();
    const begunMs = performance.now();
    await sendJson(server.url, tracesOf([span]));
    for (;;) {
      const { calls } = await server.get<{ calls: unknown[] }>(`/v1/calls?trace_id=${span.traceId}`);
      if (calls.length > 0) break;
      await until(performance.now() + POLL_EVERY_MS);
    }
    delaysMs.push(performance.now() - begunMs);
    await until(begunMs + PROBE_EVERY_MS);
  }
  return Float64Array.from(delaysMs).sort();
}

async function measureSpans(): Promise<void> {
  const server = await startMeasuredServer();
  try {
    console.log(JSON.stringify({ bench: 'start', ms: Math.round(server.startedAfterMs) }));
    const idle = await spansToQueryable(server);
    let isDone = false;
    const loading = sendLoad({ url: server.url, connections: 12, isDone: () => isDone, spansPerSecond: halfLoad });
    // The load is steady, and the engine has compiled what is hot.
    await until(performance.now() + 5_000);
    const loaded = await spansToQueryable(server);
    isDone = true;
    const load = await loading;
    const figures = (delaysMs: Float64Array) => ({ p50_ms: rounded(percentile(delaysMs, 0.5)), p99_ms: rounded(percentile(delaysMs, 0.99)) });
    console.log(
      JSON.stringify({ bench: 'span_to_queryable', spans: SPANS, idle: figures(idle), at_half_load: { ...figures(loaded), spans_per_second: Math.round(load.acknowledged / load.seconds), statuses: load.statuses } }),
    );
  } finally {
    await server.close();
  }
}

const PROMPTS = ['refund-agent', 'order-status', 'summarise-ticket', 'route-question'] as const;
const HISTORY_MS = 2 * 3_600_000;
const HISTORY_CALLS = 4_000;
const CALLS_PER_SECOND = 40;
const LONGEST_WAIT_MS = 10 * 60_000;

function callsOf(count: number, versionOf: () => string, startOf: (index: number) => number): MadeUpSpan[] {
  return Array.from({ length: count }, (_, index) => {
    const version = versionOf();
    const prompt = PROMPTS[index % PROMPTS.length] ?? '';
    return spanOf({ prompt, version, model: 'gpt-4o', startMs: startOf(index), durationMs: lognormal(Math.random, 700, 0.4), isError: version === 'v2', sessionId: null }, Math.random);
  });
}

type SeenAlert = { readonly id: string; readonly prompt: string | null; readonly raised_at: string };

async function measureAlerts(): Promise<void> {
  // A unit is a call here: else every alert would wait for the three minutes that a session may take.
  const server = await startMeasuredServer(['--session-window-s', '0']);
  try {
    const beganMs = Date.now();
    for (let sent = 0; sent < HISTORY_CALLS; sent += 500) {
      await sendJson(server.url, tracesOf(callsOf(500, () => 'v1', (index) => beganMs - HISTORY_MS + ((sent + index) / HISTORY_CALLS) * (HISTORY_MS - 60_000))));
    }
    // A version that is first seen in the same slot as the prompt itself has no history to be held against.
    await until(performance.now() + (SLOT_MS - (Date.now() % SLOT_MS)) + 1_000);
    const firstV2Ms = Date.now();
    const seenAfterMs = new Map<string, number>();
    const giveUpMs = performance.now() + LONGEST_WAIT_MS;
    for (let nextSendMs = performance.now(); seenAfterMs.size < PROMPTS.length; ) {
      if (performance.now() > giveUpMs) throw new Error(`after ten minutes there are ${seenAfterMs.size} alerts of ${PROMPTS.length}`);
      if (performance.now() >= nextSendMs) {
        nextSendMs += 1_000;
        await sendJson(server.url, tracesOf(callsOf(CALLS_PER_SECOND, () => (Math.random() < 0.2 ? 'v2' : 'v1'), () => Date.now() - 3_000 + Math.random() * 1_000)));
      }
      const { alerts } = await server.get<{ alerts: SeenAlert[] }>('/v1/alerts');
      for (const alert of alerts) if (!seenAfterMs.has(alert.id)) seenAfterMs.set(alert.id, Date.now() - Date.parse(alert.raised_at));
      await until(performance.now() + POLL_EVERY_MS);
    }
    const afterMs = Float64Array.from(seenAfterMs.values()).sort();
    console.log(JSON.stringify({ bench: 'slot_end_to_alert', alerts: afterMs.length, first_ms: afterMs[0], last_ms: afterMs.at(-1), from_first_v2_call_s: Math.round((Date.now() - firstV2Ms) / 1000) }));
  } finally {
    await server.close();
  }
}

const part = process.argv[3] ?? 'all';
if (part !== 'alerts') await measureSpans();
if (part !== 'spans') await measureAlerts();

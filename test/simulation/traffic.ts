import type { CallObservation, ScoreObservation } from '../../analyzer/look/observations.ts';
import { slotOf } from '../../analyzer/slots.ts';
import { normal, seeded } from '../statistics/traffic.ts';

/**
 * Seeded traffic of one prompt, of which is known what was broken, when, and by what. As OTLP/JSON lines for replay and
 * ingest, and as the observations that a comparison is fed with.
 */
export type Scenario = {
  readonly prompt: string;
  readonly beginMs: number;
  readonly minutes: number;
  readonly callsPerMinute: number;
  /** Of the traffic: 0 none, 1 from nothing to twice the mean, one wave a day; beginMs is at its mean, rising. */
  readonly rhythm: number;
  /** From these minutes on, versions by share. Before the first: nothing. */
  readonly versions: readonly (readonly [minute: number, shares: Shares])[];
  /** By share; or, as versions, from these minutes on. */
  readonly models: Shares | Schedule;
  /** What kind of traffic, by share; left out: one kind, without a name. */
  readonly routes?: Shares | Schedule;
  /** `session`: who is in a session stays with its version. `call`: drawn again for each call. */
  readonly routing: 'session' | 'call';
  readonly sessions: {
    readonly meanCalls: number;
    readonly gapS: number;
    /** Standard deviation of what its calls have in common, in quality. */
    readonly deviation: number;
    /** Quality that each further call of a session adds to all of them. */
    readonly longerIsBetter?: number;
  };
  /** What stands around each call, by share or, as versions, from these minutes on. Left out: openai, no service version, no system prompt, nothing. */
  readonly providers?: Schedule;
  readonly apps?: Schedule;
  readonly texts?: Schedule;
  readonly attributes?: Readonly<Record<string, Schedule>>;
  /** Default: shop. */
  readonly service?: string;
  readonly normally: Behaviour;
  readonly changes: readonly Change[];
};

export type Schedule = readonly (readonly [minute: number, shares: Shares])[];

export type Shares = Readonly<Record<string, number>>;

export type Behaviour = {
  readonly error: number;
  readonly medianMs: number;
  readonly sigma: number;
  /** Share of calls that take ten times as long. */
  readonly tail: number;
  readonly quality: number;
  readonly badJson: number;
};

export type Change = Partial<Behaviour> & {
  readonly version?: string;
  readonly model?: string;
  readonly route?: string;
  readonly provider?: string;
  readonly app?: string;
  readonly text?: string;
  /** One of the values of the attributes. */
  readonly attribute?: string;
  readonly fromMinute?: number;
  readonly toMinute?: number;
};

export type Call = {
  readonly trace_id: string;
  readonly span_id: string;
  readonly session: string;
  readonly version: string;
  readonly model: string;
  readonly route: string;
  readonly provider: string;
  readonly app: string;
  readonly text: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly startMs: number;
  readonly durationMs: number;
  readonly isError: boolean;
  readonly isJson: boolean;
  readonly outputTokens: number;
  /** Null: nobody judged it. */
  readonly score: { readonly name: string; readonly value: number; readonly atMs: number } | null;
};

/** A quiet hour and a half of 60 calls a minute; everything can be changed. */
export function scenario(change: Partial<Scenario> = {}): Scenario {
  return {
    prompt: 'refund-agent',
    beginMs: Date.UTC(2026, 5, 1, 8),
    minutes: 90,
    callsPerMinute: 60,
    rhythm: 0,
    versions: [[0, { v1: 1 }]],
    models: { 'gpt-4o-2024-08-06': 1 },
    routing: 'session',
    sessions: { meanCalls: 1, gapS: 20, deviation: 0 },
    normally: { error: 0.01, medianMs: 900, sigma: 0.45, tail: 0, quality: 0.86, badJson: 0.005 },
    changes: [],
    ...change,
  };
}

/** All calls, by start. */
export function callsOf(traffic: Scenario, seed: number): Call[] {
  const random = seeded(seed);
  const calls: Call[] = [];
  const hex = (digits: number): string => Array.from({ length: digits / 8 }, () => Math.floor(random() * 2 ** 32).toString(16).padStart(8, '0')).join('');
  const endMs = traffic.beginMs + traffic.minutes * 60_000;
  const sessionsPerMinute = traffic.callsPerMinute / traffic.sessions.meanCalls;
  for (let atMs = traffic.beginMs; ; ) {
    const day = 1 + traffic.rhythm * Math.sin((2 * Math.PI * (atMs - traffic.beginMs)) / 86_400_000);
    atMs += (-Math.log(1 - random()) * 60_000) / (sessionsPerMinute * Math.max(0.02, day));
    if (atMs >= endMs) break;
    const session = hex(16);
    let length = 1;
    while (random() < 1 - 1 / traffic.sessions.meanCalls) length += 1;
    const offset = traffic.sessions.deviation * normal(random) + (traffic.sessions.longerIsBetter ?? 0) * (Math.min(length, 5) - 1);
    let version = versionAt(traffic, atMs, random);
    let calledMs = atMs;
    for (let call = 0; call < length && calledMs < endMs; call += 1) {
      if (traffic.routing === 'call') version = versionAt(traffic, calledMs, random);
      if (version !== null) calls.push(oneCall(traffic, { version, session, startMs: Math.round(calledMs), offset, trace_id: hex(32), span_id: hex(16) }, random));
      calledMs += -Math.log(1 - random()) * traffic.sessions.gapS * 1000;
    }
  }
  return calls.sort((left, right) => left.startMs - right.startMs);
}

type CallFrame = Pick<Call, 'trace_id' | 'span_id' | 'session' | 'version' | 'startMs'> & { readonly offset: number };

function oneCall(traffic: Scenario, { offset, ...frame }: CallFrame, random: () => number): Call {
  const minute = (frame.startMs - traffic.beginMs) / 60_000;
  const model = pickAt(traffic.models, minute, random);
  const route = traffic.routes === undefined ? '' : pickAt(traffic.routes, minute, random);
  const around = {
    provider: traffic.providers === undefined ? 'openai' : pickAt(traffic.providers, minute, random),
    app: traffic.apps === undefined ? '' : pickAt(traffic.apps, minute, random),
    text: traffic.texts === undefined ? '' : pickAt(traffic.texts, minute, random),
    attributes: Object.fromEntries(Object.entries(traffic.attributes ?? {}).map(([name, schedule]) => [name, pickAt(schedule, minute, random)])),
  };
  const behaviour = behaviourOf(traffic, { version: frame.version, model, route, ...around, minute }, () => true);
  const isError = random() < behaviour.error;
  const durationMs = Math.max(1, Math.round(behaviour.medianMs * Math.exp(behaviour.sigma * normal(random)) * (random() < behaviour.tail ? 10 : 1)));
  const isJudged = random() < 0.5 && !isError;
  const value = Math.round(1e4 * Math.min(1, Math.max(0, behaviour.quality + offset + 0.12 * normal(random)))) / 1e4;
  const delayMs = -Math.log(1 - random()) * 15_000;
  return {
    ...frame,
    model,
    route,
    ...around,
    durationMs,
    isError,
    isJson: random() >= behaviour.badJson,
    outputTokens: Math.max(1, Math.round(180 * Math.exp(0.4 * normal(random)))),
    score: isJudged ? { name: 'quality', value, atMs: Math.round(frame.startMs + durationMs + delayMs) } : null,
  };
}

/** How a call behaves, by the changes that count. */
export function behaviourOf(
  traffic: Scenario,
  call: Pick<Call, 'version' | 'model' | 'route' | 'provider' | 'app' | 'text' | 'attributes'> & { readonly minute: number },
  counts: (change: Change) => boolean,
): Behaviour {
  return traffic.changes.filter(counts).reduce<Behaviour>((now, { version, model, route, provider, app, text, attribute: named, fromMinute = 0, toMinute = Number.POSITIVE_INFINITY, ...change }) => {
    const isAround = (provider ?? call.provider) === call.provider && (app ?? call.app) === call.app && (text ?? call.text) === call.text && (named === undefined || Object.values(call.attributes).includes(named));
    const isMeant = isAround && (version ?? call.version) === call.version && (model ?? call.model) === call.model && (route ?? call.route) === call.route;
    return isMeant && call.minute >= fromMinute && call.minute < toMinute ? { ...now, ...change } : now;
  }, traffic.normally);
}

function pickAt(shares: Shares | Schedule, minute: number, random: () => number): string {
  return pick(isSchedule(shares) ? (shares.findLast(([from]) => from <= minute)?.[1] ?? {}) : shares, random);
}

function isSchedule(shares: Shares | Schedule): shares is Schedule {
  return Array.isArray(shares);
}

function versionAt(traffic: Scenario, atMs: number, random: () => number): string | null {
  const minute = (atMs - traffic.beginMs) / 60_000;
  const now = traffic.versions.findLast(([from]) => from <= minute);
  return now === undefined ? null : pick(now[1], random);
}

function pick(shares: Shares, random: () => number): string {
  const entries = Object.entries(shares);
  let left = random() * entries.reduce((sum, [, share]) => sum + share, 0);
  for (const [value, share] of entries) if ((left -= share) < 0) return value;
  return entries.at(-1)?.[0] ?? '';
}

/** Lines of several prompts as one recording. */
export function together(...recordings: readonly (readonly string[])[]): string[] {
  const timed = recordings.flat().map((line) => ({ line, ns: Number(/"(?:endTimeUnixNano|timeUnixNano)":"(\d+)"/.exec(line)?.[1]) }));
  return timed.sort((left, right) => left.ns - right.ns).map(({ line }) => line);
}

/** One OTLP/JSON export request a line, as the File Exporter writes them: what ended within the same ten seconds, in order. */
export function linesOf(traffic: Scenario, calls: readonly Call[]): string[] {
  type Ten = { readonly spans: Map<string, object[]>; readonly records: object[] };
  const tens = new Map<number, Ten>();
  const at = (ms: number): Ten => {
    const ten = Math.floor(ms / 10_000);
    const known = tens.get(ten);
    if (known !== undefined) return known;
    const made: Ten = { spans: new Map(), records: [] };
    tens.set(ten, made);
    return made;
  };
  for (const call of calls) {
    const { spans } = at(call.startMs + call.durationMs);
    const ofApp = spans.get(call.app);
    if (ofApp === undefined) spans.set(call.app, [spanOf(traffic, call)]);
    else ofApp.push(spanOf(traffic, call));
    if (call.score !== null) at(call.score.atMs).records.push(recordOf(call, call.score));
  }
  const resourceOf = (app: string): object => ({
    attributes: [attribute('service.name', traffic.service ?? 'shop'), ...(app === '' ? [] : [attribute('service.version', app)]), attribute('deployment.environment.name', 'production')],
  });
  return [...tens]
    .sort(([left], [right]) => left - right)
    .flatMap(([, { spans, records }]) => [
      ...[...spans].map(([app, ofApp]) => JSON.stringify({ resourceSpans: [{ resource: resourceOf(app), scopeSpans: [{ scope: { name: 'simulation' }, spans: ofApp }] }] })),
      ...(records.length === 0 ? [] : [JSON.stringify({ resourceLogs: [{ resource: resourceOf(''), scopeLogs: [{ scope: { name: 'judge' }, logRecords: records }] }] })]),
    ]);
}

function spanOf(traffic: Scenario, call: Call): object {
  const text = call.isJson ? '{"eligible":true}' : '{"eligible":';
  const always = [
    attribute('gen_ai.operation.name', 'chat'),
    attribute('gen_ai.provider.name', call.provider),
    attribute('gen_ai.request.model', call.model.replace(/-\d{4}-.*/, '')),
    attribute('gen_ai.prompt.name', traffic.prompt),
    attribute('gen_ai.prompt.version', call.version),
    attribute('gen_ai.output.type', 'json'),
    attribute('session.id', call.session),
    ...(call.route === '' ? [] : [attribute('app.route', call.route)]),
    ...(call.text === '' ? [] : [attribute('gen_ai.system_instructions', JSON.stringify([{ type: 'text', content: call.text }]))]),
    ...Object.entries(call.attributes).map(([name, value]) => attribute(name, value)),
  ];
  const answered = [
    attribute('gen_ai.response.model', call.model),
    attribute('gen_ai.usage.input_tokens', 700),
    attribute('gen_ai.usage.output_tokens', call.outputTokens),
    { key: 'gen_ai.response.finish_reasons', value: { arrayValue: { values: [{ stringValue: 'stop' }] } } },
    attribute('gen_ai.output.messages', JSON.stringify([{ role: 'assistant', parts: [{ type: 'text', content: text }], finish_reason: 'stop' }])),
  ];
  return {
    traceId: call.trace_id,
    spanId: call.span_id,
    name: 'chat',
    kind: 3,
    startTimeUnixNano: `${call.startMs}000000`,
    endTimeUnixNano: `${call.startMs + call.durationMs}000000`,
    attributes: call.isError ? [...always, attribute('error.type', '500')] : [...always, ...answered],
    status: call.isError ? { code: 2 } : {},
  };
}

function recordOf(call: Call, score: NonNullable<Call['score']>): object {
  return {
    timeUnixNano: `${score.atMs}000000`,
    eventName: 'gen_ai.evaluation.result',
    traceId: call.trace_id,
    spanId: call.span_id,
    attributes: [attribute('gen_ai.evaluation.name', score.name), { key: 'gen_ai.evaluation.score.value', value: { doubleValue: score.value } }],
  };
}

function attribute(key: string, value: string | number): object {
  return { key, value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value } };
}

/** What the look would read of these calls, by slot: a call enters the slot that it ended in, a score the one that it came in. */
export function observationsOf(calls: readonly Call[]): { readonly calls: CallObservation[]; readonly scores: ScoreObservation[] } {
  const observed = calls.map((call) => callObservation(call));
  const scores = calls.flatMap((call): ScoreObservation[] => {
    if (call.score === null) return [];
    const { trace_id, span_id, session_id, start_ms, seen } = callObservation(call);
    const { name, value, atMs } = call.score;
    return [{ slot: slotOf(Math.max(atMs, call.startMs + call.durationMs)), name, value, data_type: 'numeric', evaluator: 'judge', trace_id, span_id, session_id, start_ms, seen }];
  });
  return { calls: observed.sort(inOrder), scores: scores.sort(inOrder) };
}

function callObservation(call: Call): CallObservation {
  return {
    slot: slotOf(call.startMs + call.durationMs),
    trace_id: call.trace_id,
    span_id: call.span_id,
    session_id: call.session,
    start_ms: call.startMs,
    seen: {
      version: call.version,
      request_model: call.model.replace(/-\d{4}-.*/, ''),
      response_model: call.isError ? call.model.replace(/-\d{4}-.*/, '') : call.model,
      operation: 'chat',
      route: call.route === '' ? '' : `app.route=${call.route}`,
      provider: call.provider,
      service_name: 'shop',
      app_version: call.app,
      prompt_content: call.text,
      attributes: call.attributes,
    },
    is_error: call.isError,
    duration_ms: call.durationMs,
    ttft_ms: null,
    input_tokens: call.isError ? null : 700,
    output_tokens: call.isError ? null : call.outputTokens,
    cost_usd: call.isError ? null : call.outputTokens * 1e-5 + 0.00175,
    finish_reason: call.isError ? null : 'stop',
    is_empty: call.isError ? null : false,
    is_format_valid: call.isError ? null : call.isJson,
  };
}

function inOrder(left: { slot: number; start_ms: number; trace_id: string }, right: { slot: number; start_ms: number; trace_id: string }): number {
  return left.slot - right.slot || left.start_ms - right.start_ms || (left.trace_id < right.trace_id ? -1 : 1);
}

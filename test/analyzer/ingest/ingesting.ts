import { createIngest, type BatchSummary, type Ingest, type IngestSettings } from '../../../analyzer/ingest/ingest.ts';
import { createNormaliser } from '../../../analyzer/normalise.ts';
import { slotOf } from '../../../analyzer/slots.ts';
import { decode } from '../../../collector/otlp/decode.ts';
import { RetryableError } from '../../../schemas/errors.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { AttributeValue, OtlpLogRecord, OtlpSpan } from '../../../schemas/otlp.ts';
import type { Store } from '../../../schemas/store.ts';
import { openApi } from '../../api/server.ts';
import { record, span, STARTED_MS } from '../spans.ts';

/** The ingest loop on a real embedded store, and what the API then says. Requests arrive two seconds after their calls began, unless told. */

export const ARRIVED_MS = STARTED_MS + 2_000;
export const ARRIVED_SLOT = slotOf(ARRIVED_MS);
export const RESOLVE_WAIT_MS = 30_000;

export type Ledger = { received: number; stored: number; duplicate: number; ignored: number; rejected: number; waiting: number; balanced: boolean; by_outcome: Record<string, { signal: string; reason: string; count: number }[]> };
export type CallRow = { span_id: string; role: string; slot: number; revision: number; prompt_name: string | null; prompt_version: string | null; prompt_attribution: string; session_id: string | null; user_id: string | null; end_ns: string; event_s: number; flags: string[] };
export type ScoreRow = { score_id: string; name: string; value: number | null; label: string | null; error_type: string | null; join_state: string; slot: number; revision: number; prompt_version: string | null; call_span_id: string; bet_value: number | null; deleted_slot: number; change: string; data_type: string; evaluator: string | null; flags: string[] };

const EMPTY_RESOURCE = { resource: new Map(), scope: { name: 'a-library', version: '1', attributes: new Map() } };

export function traces(spans: readonly OtlpSpan[], received_ms = ARRIVED_MS, project = 'default', library = 'a-library'): LogMessage {
  const decoded = { signal: 'traces', groups: [{ ...EMPTY_RESOURCE, scope: { ...EMPTY_RESOURCE.scope, name: library }, spans }], received: spans.length, rejected: new Map() } as const;
  return { signal: 'traces', project, received_ms, encoding: 'protobuf', body: new Uint8Array(), decoded: () => decoded };
}

/** The same spans, from a service. */
export function from(service: string, message: LogMessage): LogMessage {
  const decoded = message.decoded?.();
  if (decoded?.signal !== 'traces') return message;
  const resource = new Map([['service.name', service]]);
  return { ...message, decoded: () => ({ ...decoded, groups: decoded.groups.map((group) => ({ ...group, resource })) }) };
}

export function logs(records: readonly OtlpLogRecord[], received_ms = ARRIVED_MS, project = 'default'): LogMessage {
  const decoded = { signal: 'logs', groups: [{ ...EMPTY_RESOURCE, records }], received: records.length, rejected: new Map() } as const;
  return { signal: 'logs', project, received_ms, encoding: 'protobuf', body: new Uint8Array(), decoded: () => decoded };
}

/** 16 hex digits that a reader can follow: span 1, span 2, … */
export function id(number: number): string {
  return number.toString(16).padStart(16, '0');
}

type Wire = Readonly<Record<string, AttributeValue>>;

/** An inference. Without a parent it is complete at once. */
export function inference(number: number, attributes: Wire = {}, changed: Partial<OtlpSpan> = {}): OtlpSpan {
  return span({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gpt-4o', ...attributes }, { span_id: id(number), ...changed });
}

export const TAGS = { 'gen_ai.prompt.name': 'refund-agent', 'gen_ai.prompt.version': 'v2', 'session.id': 'session-1' };

/** An application's own span, no inference. */
export function wrapper(number: number, attributes: Wire = {}, changed: Partial<OtlpSpan> = {}): OtlpSpan {
  return span(attributes, { span_id: id(number), kind: 1, name: 'handle request', ...changed });
}

/** An agent that says which model it used: it may stand for an inference below it. */
export function agent(number: number, attributes: Wire = {}, changed: Partial<OtlpSpan> = {}): OtlpSpan {
  return inference(number, { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.usage.input_tokens': 100, ...attributes }, { name: 'invoke_agent support', ...changed });
}

/** A judgement of a span. */
export function judgement(spanNumber: number | null, value: AttributeValue, changed: Partial<OtlpLogRecord> = {}, attributes: Wire = {}): OtlpLogRecord {
  return record({ 'gen_ai.evaluation.name': 'quality', 'gen_ai.evaluation.score.value': value, ...attributes }, { span_id: spanNumber === null ? null : id(spanNumber), ...changed });
}

/** The loop, given messages as they come out of a log. */
export type MessageIngest = Omit<Ingest, 'write'> & { write(messages: readonly LogMessage[]): Promise<BatchSummary> };

type Settings = Partial<IngestSettings> & { readonly featureFlags?: Readonly<Record<string, string>>; readonly flagged?: (flag: string) => void };

export type Ingesting = Awaited<ReturnType<typeof openIngesting>>;

export async function openIngesting() {
  const api = await openApi({}, ARRIVED_MS);
  const { store } = api;
  const start = async ({ featureFlags = {}, flagged, ...settings }: Settings = {}, nowMs = ARRIVED_MS, through: Store = store): Promise<MessageIngest> => {
    const ingest = createIngest(
      { store: through, decode, normaliser: createNormaliser({ stratumAttributes: ['app.route'], featureFlags }), ...(flagged === undefined ? {} : { flagged }) },
      { resolveWaitMs: RESOLVE_WAIT_MS, maxWaiting: 1_000, rememberedSpans: 10_000, rememberedCalls: 10_000, ...settings },
    );
    await ingest.start(nowMs);
    return { ...ingest, write: async (messages) => ingest.write(messages.map(ingest.read)) };
  };
  return {
    store,
    /** What the API takes for now. */
    clock: api.clock,
    failures: api.failures,
    start,
    /** A store that has nothing, under a loop that was just started. */
    async fresh(settings: Settings = {}): Promise<MessageIngest> {
      for (const table of ['calls', 'relatives', 'scores', 'score_names', 'ledger', 'recounts', 'versions', 'look_progress']) await store.command(`TRUNCATE TABLE ${table}`);
      return start(settings);
    },
    async ledger(): Promise<Ledger> {
      return jsonOf<Ledger>(await api.app.request('/v1/ledger'));
    },
    /** One row a span, as FINAL sees it, in the order of span ids. */
    calls: (): Promise<CallRow[]> =>
      store.select<CallRow>(
        `SELECT span_id, role, slot, revision, prompt_name, prompt_version, prompt_attribution, session_id, user_id, toString(calls.end_ns) AS end_ns, toUnixTimestamp(event_time) AS event_s, flags
         FROM calls FINAL ORDER BY trace_id, span_id`,
      ),
    scores: (): Promise<ScoreRow[]> =>
      store.select<ScoreRow>('SELECT score_id, name, value, label, error_type, join_state, slot, revision, prompt_version, call_span_id, bet_value, deleted_slot, change, data_type, evaluator, flags FROM scores FINAL ORDER BY name, score_id'),
    request: (path: string) => api.app.request(path),
    close: () => api.close(),
  };
}

/** A store that fails on demand: before the rows are written, or after, when the answer is lost. The rows that are written are real. */
export function failing(store: Store) {
  const plan = { table: '', when: 'before' as 'before' | 'after', times: 0 };
  const through: Store = {
    ...store,
    async insert(table, rows) {
      const fails = table === plan.table && rows.length > 0 && plan.times > 0;
      if (fails) plan.times -= 1;
      if (!fails || plan.when === 'after') await store.insert(table, rows);
      if (fails) throw new RetryableError(`no room for ${table}`);
    },
  };
  return { through, plan };
}

/** A store that holds the next insert into a table back, as if it were on its way for long, until it is told to let it arrive. */
export function holding(store: Store) {
  let next: string | null = null;
  let arrive: (() => Promise<void>) | null = null;
  let heldBack = (): void => undefined;
  const through: Store = {
    ...store,
    insert(into, rows) {
      if (into !== next || rows.length === 0) return store.insert(into, rows);
      next = null;
      return new Promise((resolve, reject) => {
        arrive = () => store.insert(into, rows).then(resolve, reject);
        heldBack();
      });
    },
  };
  return {
    through,
    /** Resolves when the insert is held back. */
    hold(table: string): Promise<void> {
      next = table;
      return new Promise((resolve) => (heldBack = resolve));
    },
    /** What is held back, if anything is, arrives; or nothing is held back any more. */
    async release(): Promise<void> {
      next = null;
      const arriving = arrive;
      arrive = null;
      await arriving?.();
    },
  };
}

/**
 * A loop writes the messages as far as the first of these tables; the inserts into all of them stay on their way, and it does not hear of their end. By then its shard may be another's, so
 * it may not begin another one (deploy/kafka/lease.ts) unless `goesOn`.
 */
export async function overtaken(on: Pick<Ingesting, 'store' | 'start'>, settings: Settings, { tables, messages, goesOn = false }: { readonly tables: readonly string[]; readonly messages: readonly LogMessage[]; readonly goesOn?: boolean }) {
  let store: Store = on.store;
  const holds = tables.map((table) => {
    const { through, hold, release } = holding(store);
    store = through;
    return { table, hold, release };
  });
  let mayWrite = true;
  const ingest = await on.start(settings, ARRIVED_MS, { ...store, insert: (into, rows) => (mayWrite || rows.length === 0 ? store.insert(into, rows) : Promise.reject(new RetryableError("the shard may be another's"))) });
  const [held] = holds.map(({ table, hold }) => hold(table));
  await Promise.race([held, ingest.write(messages).catch(() => undefined)]);
  mayWrite = goesOn;
  return {
    /** What was held back of this table arrives; default: of the first one. */
    async release(of = tables[0]): Promise<void> {
      for (const { table, release } of holds) if (table === of) await release();
    },
  };
}

/** What must hold after whatever has happened: the ledger balances, and says of calls and score records what the rows say. */
export async function expectExactLedger({ ledger, store }: Pick<Ingesting, 'ledger' | 'store'>): Promise<Ledger> {
  const found = await ledger();
  const [rows] = await store.select<{ calls: number; waiting: number; duplicates: number }>(
    `SELECT countIf(role = 'call') AS calls, countIf(role = 'call' AND slot = 0) AS waiting, countIf(role = 'duplicate') AS duplicates FROM calls FINAL`,
  );
  const counted = (outcome: string, reason: string): number => found.by_outcome[outcome]?.filter((entry) => entry.reason === reason).reduce((sum, { count }) => sum + count, 0) ?? 0;
  const said = { balanced: found.balanced, calls: counted('stored', 'call'), waiting: found.waiting, duplicates: counted('duplicate', 'same_inference') };
  const expected = { balanced: true, calls: rows?.calls ?? 0, waiting: rows?.waiting ?? 0, duplicates: rows?.duplicates ?? 0 };
  if (JSON.stringify(said) !== JSON.stringify(expected)) throw new Error(`the ledger says ${JSON.stringify(said)}, the rows ${JSON.stringify(expected)}`);
  return found;
}

/** The body, taken for what the caller says it is; what is in it is what the test looks at. */
export async function jsonOf<Body>(response: Response): Promise<Body> {
  return (await response.json()) as Body;
}

import { decode } from '../../../collector/otlp/decode.ts';
import type { MayWrite } from '../../../deploy/kafka/consumer.ts';
import type { IngestShard } from '../../../deploy/roles/analyzer.ts';
import { loadPassedOf } from '../../../analyzer/ingest/shards.ts';
import type { Reading } from '../../../analyzer/ingest/reading.ts';
import { slotOf } from '../../../analyzer/slots.ts';
import type { LogMessage } from '../../../schemas/log.ts';
import type { Store } from '../../../schemas/store.ts';
import { unreachable, type Network, type Service } from './network.ts';
import type { Member, VirtualTime } from './virtual-time.ts';

/**
 * The store, and the ingest loop over it, as far as coordination goes: rows by span, a ledger that is written after them, a shard that is taken up from both. It
 * remembers who took a shard up last, so that it sees when somebody else still writes.
 */
export type SimulatedStore = {
  readonly service: Service;
  /** `log_progress`, for the real code that reads and writes it. */
  readonly store: Store;
  openShard(shard: number, mayWrite: MayWrite): Promise<IngestShard>;
  /** A look has read all slots before this one. */
  looked(slot: number): void;
  /** Calls back in the middle of the next write, with whoever is at it. */
  inNextWrite(callback: (member: Member) => void): void;
  /** When each shard was taken up last. */
  readonly takenUpMs: ReadonlyMap<number, number>;
  readonly rows: ReadonlyMap<string, number>;
  ledger(): { readonly received: number; readonly stored: number; readonly duplicate: number };
  /** What must never happen, and did. */
  readonly violations: readonly string[];
};

type ShardState = { received: number; stored: number; duplicate: number; ledgerBatch: number; batch: number; unaccounted: Map<number, number>; owner: number };

export function createSimulatedStore(time: VirtualTime, network: Network, shards: number): SimulatedStore {
  const service: Service = { name: 'the store', latencyMs: 10, isAway: false, cutFrom: new Set() };
  const rows = new Map<string, number>();
  const progress = new Map<number, number>();
  const takenUpMs = new Map<number, number>();
  const violations: string[] = [];
  const states = Array.from({ length: shards }, (): ShardState => ({ received: 0, stored: 0, duplicate: 0, ledgerBatch: 0, batch: 0, unaccounted: new Map(), owner: 0 }));
  let lastOwner = 0;
  let lookedSlot = 0;
  const interrupting: ((member: Member) => void)[] = [];

  const ask = <Answer>(work: () => Answer): Promise<Answer> => network.ask(service, work, unreachable);
  const stateOf = (shard: number): ShardState => {
    const found = states[shard];
    if (found === undefined) throw new Error(`there is no shard ${shard}`);
    return found;
  };
  const write = (shard: number, owner: number, what: string): ShardState => {
    const state = stateOf(shard);
    if (state.owner !== owner) violations.push(`${what} of shard ${shard} were written by one whose shard another had taken up, at ${time.now()}`);
    return state;
  };

  const store: Store = {
    async insert(table, inserted) {
      if (table !== 'log_progress') throw new Error(`nothing is simulated of ${table}`);
      await ask(() => {
        for (const { shard, slot } of inserted as readonly { shard: number; slot: number }[]) progress.set(shard, Math.max(slot, progress.get(shard) ?? 0)); // Rows of that table.
      });
    },
    async select<Row>(sql: string, parameters: Readonly<Record<string, unknown>> = {}) {
      if (!sql.includes('FROM log_progress')) throw new Error(`nothing is simulated of ${sql}`);
      const found = await ask(() => [...progress].map(([shard, slot]) => ({ shard, slot })));
      const { shard } = parameters;
      return (shard === undefined ? found : found.filter((row) => row.shard === shard)) as Row[]; // Columns of the two questions that there are.
    },
    command: async () => undefined,
    close: async () => undefined,
  };

  const openShard = async (shard: number, mayWrite: MayWrite): Promise<IngestShard> => {
    const owner = (lastOwner += 1);
    let openSlot = 0;
    let isInDoubt = false;
    let turn: Promise<unknown> = Promise.resolve();
    const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
      const done = turn.then(work);
      turn = done.catch(() => undefined);
      return done;
    };
    const spansOf = new Map<Reading, readonly string[]>();
    /** Rows of a batch that has no ledger are counted from what is there. */
    const takeUp = async (): Promise<void> => {
      await mayWrite();
      await ask(() => {
        const state = stateOf(shard);
        state.owner = owner;
        takenUpMs.set(shard, time.now());
        for (const count of state.unaccounted.values()) {
          state.received += count;
          state.stored += count;
        }
        state.unaccounted.clear();
      });
    };
    const put = async (readings: readonly Reading[]): Promise<void> => {
      if (readings.length === 0) return;
      if (isInDoubt) await takeUp();
      isInDoubt = true;
      const slot = Math.max(openSlot, slotOf(Math.max(...readings.map(({ stampMs }) => stampMs))));
      const names = readings.flatMap((reading) => spansOf.get(reading) ?? []);
      const fresh = await ask(() => [...new Set(names)].filter((name) => !rows.has(name)));
      const member = time.who();
      if (member !== null) for (const interrupt of interrupting.splice(0)) interrupt(member);
      await mayWrite();
      const batch = await ask(() => {
        const state = write(shard, owner, 'rows');
        state.batch += 1;
        if (fresh.length > 0) state.unaccounted.set(state.batch, fresh.length);
        for (const name of fresh) rows.set(name, slot);
        if (fresh.length > 0 && slot < lookedSlot) violations.push(`${fresh.length} rows came into slot ${slot} of shard ${shard}, which had been looked at`);
        return state.batch;
      });
      await mayWrite();
      await ask(() => {
        const state = write(shard, owner, 'ledger rows');
        state.received += names.length;
        state.stored += fresh.length;
        state.duplicate += names.length - fresh.length;
        state.unaccounted.delete(batch);
      });
      isInDoubt = false;
    };
    openSlot = await loadPassedOf(store, shard);
    await takeUp();
    return {
      shard,
      read(message: LogMessage) {
        const decoded = decode(message);
        const names = decoded.signal === 'traces' ? decoded.groups.flatMap((group) => group.spans.map(({ trace_id, span_id }) => `${trace_id}/${span_id}`)) : [];
        const reading: Reading = { project: message.project, signal: message.signal, stampMs: message.received_ms, received: names.length, counts: [], take: () => ({ calls: [], relatives: [], scores: [], contents: [], assignments: [] }) };
        spansOf.set(reading, names);
        return reading;
      },
      write: (batch) => inTurn(() => put(batch)),
      advance: (passedMs) => inTurn(async () => void (openSlot = Math.max(openSlot, slotOf(passedMs)))),
      idle: () => inTurn(async () => undefined),
    };
  };

  return {
    service,
    store,
    openShard,
    inNextWrite: (callback) => void interrupting.push(callback),
    looked: (slot) => void (lookedSlot = Math.max(lookedSlot, slot)),
    takenUpMs,
    rows,
    ledger: () => states.reduce((sum, state) => ({ received: sum.received + state.received, stored: sum.stored + state.stored, duplicate: sum.duplicate + state.duplicate }), { received: 0, stored: 0, duplicate: 0 }),
    violations,
  };
}

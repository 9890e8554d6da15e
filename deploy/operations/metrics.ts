import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { SinkStatus } from '../../api/sinks/lane.ts';
import type { Collector } from '../../collector/server.ts';
import { CALL_FLAGS } from '../../schemas/call-flags.ts';
import { PermanentError } from '../../schemas/errors.ts';
import type { JsonStore } from '../json-rows.ts';
import { VERSION } from '../version.ts';

/**
 * What a process tells Prometheus of itself. No label holds what a sender chose: reasons, statuses, tables, partitions and the sinks of the
 * configuration are few, and flags are ours. What the store knows is in `store-metrics.ts`.
 */
export type Metrics = {
  readonly registry: Registry;
  /** Times every statement of a store. */
  measured<Measured extends JsonStore>(store: Measured): Measured;
  watchCollector(collector: Pick<Collector, 'counters' | 'load'>): void;
  watchSinks(status: () => readonly SinkStatus[]): void;
  /** @param behindMs how far the evidence is behind the clock; null before the first look. */
  watchLook(behindMs: () => number | null): void;
  watchLag(lag: () => readonly PartitionLag[]): void;
  /** What tells of each flag of a call, where calls are written. */
  countFlags(): (flag: string) => void;
  /** A message went to the topic of the parked ones. */
  parked(): void;
  /** Messages were deleted by the broker before they were read. */
  missed(messages: number): void;
};

/** Messages of a partition that the group has not stored yet. */
export type PartitionLag = { readonly topic: string; readonly partition: number; readonly messages: number };

export type Role = 'culprit' | 'collector' | 'analyzer' | 'api';

export function createMetrics(role: Role): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({ name: 'culprit_build_info', help: '1; the version as a label', labelNames: ['version'], registers }).set({ version: VERSION }, 1);
  const seconds = new Histogram({ name: 'culprit_store_statement_seconds', help: 'Time of a statement at the store, waiting for its turn included', labelNames: ['statement', 'outcome'], buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60], registers });
  const rows = new Counter({ name: 'culprit_store_inserted_rows_total', help: 'Rows of inserts that the store has taken', labelNames: ['table'], registers });

  const timed = async <Result>(statement: 'insert' | 'select' | 'command', run: () => Promise<Result>): Promise<Result> => {
    const stop = seconds.startTimer({ statement });
    try {
      const result = await run();
      stop({ outcome: 'done' });
      return result;
    } catch (error) {
      stop({ outcome: error instanceof PermanentError ? 'refused' : 'failed' });
      throw error;
    }
  };

  return {
    registry,
    measured: (store) => ({
      ...store,
      async insert(table, inserted) {
        await timed('insert', () => store.insert(table, inserted));
        rows.inc({ table }, inserted.length);
      },
      select: (sql, parameters) => timed('select', () => store.select(sql, parameters)),
      selectJson: (sql, parameters) => timed('select', () => store.selectJson(sql, parameters)),
      command: (sql, parameters) => timed('command', () => store.command(sql, parameters)),
    }),
    watchCollector(collector) {
      void new Counter({
        name: 'culprit_requests_total',
        help: 'Requests of senders that were answered, by status and reason',
        labelNames: ['status', 'reason'],
        registers,
        collect() {
          const { accepted_requests, ignored_requests, refused } = collector.counters();
          this.reset();
          this.inc({ status: '200', reason: 'accepted' }, accepted_requests);
          this.inc({ status: '200', reason: 'ignored' }, ignored_requests);
          for (const { status, reason, requests } of refused) this.inc({ status: String(status), reason }, requests);
        },
      });
      gaugeOf('culprit_requests_in_flight', 'Requests of senders that are being received or appended', () => collector.load().requests);
      gaugeOf('culprit_request_bytes_in_flight', 'Bytes of the bodies of these requests', () => collector.load().bytes);
    },
    watchSinks(status) {
      void new Gauge({
        name: 'culprit_deliveries_waiting',
        help: 'Transitions of alerts that a sink has not been told of yet, as far as they are in memory',
        labelNames: ['sink'],
        registers,
        collect() {
          this.reset();
          for (const { sink, waiting } of status()) this.set({ sink }, waiting);
        },
      });
      void new Gauge({
        name: 'culprit_sink_failing',
        help: '1 where the last attempt of a sink failed, or it was disabled; else 0',
        labelNames: ['sink', 'state'],
        registers,
        collect() {
          this.reset();
          for (const { sink, state, last_problem } of status()) this.set({ sink, state }, last_problem !== null || state === 'disabled' ? 1 : 0);
        },
      });
    },
    watchLook(behindMs) {
      gaugeOf('culprit_look_lag_seconds', 'How far the evidence is behind the clock', () => {
        const behind = behindMs();
        return behind === null ? null : behind / 1000;
      });
    },
    watchLag(lag) {
      void new Gauge({
        name: 'culprit_kafka_consumer_lag',
        help: 'Messages of a partition that are not stored yet, as this analyzer, which has it, last saw',
        labelNames: ['topic', 'partition'],
        registers,
        collect() {
          this.reset();
          for (const { topic, partition, messages } of lag()) this.set({ topic, partition: String(partition) }, messages);
        },
      });
    },
    countFlags() {
      const counter = new Counter({ name: 'culprit_calls_flagged_total', help: 'Flags of calls when they became complete, and of those whose prompt came after that (docs/TAGGING.md says what each means)', labelNames: ['flag'], registers });
      for (const flag of Object.keys(CALL_FLAGS)) counter.inc({ flag }, 0);
      return (flag) => counter.inc({ flag: Object.hasOwn(CALL_FLAGS, flag) ? flag : 'other' });
    },
    parked: counterOf('culprit_messages_parked_total', 'Messages that went to the topic of those that cannot be read or stored'),
    missed: counterOf('culprit_messages_missed_total', 'Messages that the broker deleted, by the retention of the topic, before they were read'),
  };

  function gaugeOf(name: string, help: string, read: () => number | null): void {
    void new Gauge({
      name,
      help,
      registers,
      collect() {
        const value = read();
        if (value === null) this.remove();
        else this.set(value);
      },
    });
  }

  function counterOf(name: string, help: string): (count?: number) => void {
    const counter = new Counter({ name, help, registers });
    return (count = 1) => counter.inc(count);
  }
}

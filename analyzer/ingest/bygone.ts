import { BloomFilter } from 'bloomfilter';
import type { LlmCall } from '../../schemas/call.ts';
import { toolOf } from '../dialects/log-events.ts';
import { createCoverage } from './coverage.ts';
import { AROUND_STRAYS_S } from './strays.ts';

/**
 * What the store cannot have of a call that began before the memory of spans did. That memory holds seconds of heavy traffic, and calls of models take longer; to ask the
 * store for each of them would be five questions with every batch. So of what has come this remembers for longer whether there was anything: traces and response
 * ids in Bloom filters, some 20 bits for a call, and which libraries tell of a service. It never says that there is nothing where there was something; of what it has seen nothing
 * of it is wrong once in a hundred times, and then the store is asked.
 */
export type Bygone = {
  /** A span has come; `call`: it is an inference. */
  saw(span: { readonly trace_id: string }, call: Told | null): void;
  /** The clock of arrivals has come to here. */
  passed(stampMs: number): void;
  /** Nothing came of its trace, nor with its response id, nor from anybody else who tells of its service, as far back as it matters. */
  hasNothingOf(call: Told & Pick<LlmCall, 'trace_id' | 'start_time_ns'>, stampMs: number): boolean;
};

type Told = Pick<LlmCall, 'project' | 'service_name' | 'scope_name' | 'response_id'>;

/** Bits for an entry, and bits that are set: wrong once in 85 times when full. Seven would be best (once in 120), but each is a visit to memory. */
const BITS_EACH = 10;
const BITS_SET = 4;
/** Services whose libraries are remembered; past it the store is asked. */
const MOST_SERVICES = 10_000;

/** @param settings.capacity entries (about two a call) in each of two generations. @param settings.coversFromMs everything that came since is told to it: 0 for an empty store. */
export function createBygone({ capacity, coversFromMs }: { readonly capacity: number; readonly coversFromMs: number }): Bygone {
  const coverage = createCoverage(coversFromMs);
  const empty = (): BloomFilter => new BloomFilter(capacity * BITS_EACH, BITS_SET);
  let young = empty();
  let old = empty();
  let entries = 0;
  /** By service, the library that tells of it; null: several do. */
  const scopes = new Map<string, string | null>();

  const add = (text: string): void => {
    if (entries >= capacity) {
      [old, young, entries] = [young, empty(), 0];
      coverage.rotated();
    }
    young.add(text);
    entries += 1;
  };
  const has = (text: string): boolean => young.test(text) || old.test(text);
  const serviceOf = ({ project, service_name }: Told): string => `${project} ${service_name}`;

  return {
    saw({ trace_id }, call) {
      add(trace_id);
      if (call === null) return;
      if (call.response_id !== null) add(call.response_id);
      const service = serviceOf(call);
      const scope = scopes.get(service);
      if (scope === undefined && scopes.size < MOST_SERVICES) scopes.set(service, call.scope_name);
      else if (scope !== undefined && scope !== call.scope_name) scopes.set(service, null);
    },
    passed: (stampMs) => coverage.passed(stampMs),
    hasNothingOf(call, stampMs) {
      if (coverage.isInDoubt(() => Number(call.start_time_ns) / 1e6 - AROUND_STRAYS_S * 1_000, stampMs)) return false;
      const scope = scopes.get(serviceOf(call));
      const isToldByOne = scope === call.scope_name || (scope === undefined && scopes.size < MOST_SERVICES);
      // A tool's events may tell of it again, in another trace of its session (echoes.ts).
      return isToldByOne && toolOf(call.scope_name) === null && !has(call.trace_id) && (call.response_id === null || !has(call.response_id));
    },
  };
}

/**
 * Prints one JSON line for each number of open comparisons: seconds for one slot of all of them on one core, of 10 metrics each, and what each
 * keeps: bytes as it is stored, and of heap (with `--expose-gc`). Two models, so that each metric has three parts; each comparison has units of its own.
 */
import { createComparison, type Comparison } from '../../analyzer/look/comparison.ts';
import { factorNamed } from '../../analyzer/look/factors.ts';
import { openComparison } from '../../analyzer/look/opening.ts';
import { atSlot, call, FIRST_SLOT, scoreOf } from '../analyzer/look/observed.ts';
import { ConfigFile } from '../../schemas/config.ts';
import { metricSettingsFor } from '../../schemas/metric-settings.ts';
import { normal, seeded } from '../statistics/traffic.ts';
import type { CallObservation, ScoreObservation } from '../../analyzer/look/observations.ts';

/** Other numbers may be given as arguments. */
const COUNTS = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1_000, 3_000, 10_000];
const UNITS = 10;
const SLOTS = 24;
const config = ConfigFile.parse({});
const policy = (name: string, kind: 'signal' | 'numeric' | 'boolean') => metricSettingsFor(config, 'p', name, kind === 'boolean' ? 'rate' : 'score');
const random = seeded(1);

const rowsOf = (slot: number, units: number): { calls: CallObservation[]; scores: ScoreObservation[] } => {
  const calls = Array.from({ length: units }, (_, index) =>
    call(slot, {
      version: slot > 0 && index % 5 === 0 ? 'v2' : 'v1', start_ms: atSlot(slot) + index * 100, response_model: index % 4 === 0 ? 'm-2' : 'm-1', is_error: random() < 0.02, duration_ms: 900 * Math.exp(0.5 * normal(random)),
      ttft_ms: 200 * Math.exp(0.4 * normal(random)), input_tokens: 700, output_tokens: Math.round(180 * Math.exp(0.4 * normal(random))), cost_usd: 0.002 * Math.exp(0.4 * normal(random)), finish_reason: random() < 0.01 ? 'length' : 'stop', is_empty: false, is_format_valid: random() > 0.01,
    }));
  return { calls, scores: calls.filter(({ is_error }) => !is_error).map((judged) => scoreOf(judged, slot, Math.min(1, 0.86 + 0.1 * normal(random)))) };
};

const hour = Array.from({ length: 30 }, (_, slot) => rowsOf(slot - 30, UNITS));
const opening = openComparison({
  factor: factorNamed('prompt_version'), group: '', slot: FIRST_SLOT, baseline: 'v1', candidate: 'v2', opened_ms: atSlot(0), alpha: 0.01, stake: 1, session_window_s: 0, policy,
  calls: hour.flatMap(({ calls }) => calls), scores: hour.flatMap(({ scores }) => scores),
});
type Rows = ReturnType<typeof rowsOf>;
/** The rows of a slot as those of another prompt: nothing that is kept of them is shared. */
const ofPrompt = (index: number, { calls, scores }: Rows): Rows => {
  const ids = <Row extends { readonly trace_id: string; readonly span_id: string }>(row: Row): Row => ({ ...row, trace_id: index.toString(16) + row.trace_id.slice(4), span_id: index.toString(16) + row.span_id.slice(4) });
  return { calls: calls.map(ids), scores: scores.map(ids) };
};
/** Comparisons whose rows are there at a time; making them is not measured. */
const AT_A_TIME = 250;
const rows = Array.from({ length: SLOTS }, (_, slot) => rowsOf(slot + 1, UNITS));
const collect = globalThis.gc;

for (const count of COUNTS) {
  collect?.();
  const before = process.memoryUsage().heapUsed;
  const comparisons: Comparison[] = Array.from({ length: count }, (_, index) =>
    createComparison({ project: 'p', environment: 'e', prompt_name: `p${index}`, factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0, comparison_id: String(index) }, { ...opening, policy }));
  const seconds: number[] = [];
  let strata = 0;
  for (const [slot, ofSlot] of rows.entries()) {
    let micros = 0;
    for (let from = 0; from < count; from += AT_A_TIME) {
      const fed = comparisons.slice(from, from + AT_A_TIME).map((comparison, index) => ({ comparison, ...ofPrompt(from + index, ofSlot) }));
      const begun = process.cpuUsage();
      for (const { comparison, calls, scores } of fed) strata += comparison.feed(FIRST_SLOT + slot + 1, calls, scores, new Map()).strata.length;
      const { user, system } = process.cpuUsage(begun);
      micros += user + system;
    }
    seconds.push(micros / 1e6);
  }
  collect?.();
  const [first] = comparisons;
  const snapshot = JSON.stringify(first?.snapshot());
  console.log(JSON.stringify({
    bench: 'comparisons', comparisons: count, metrics: Object.keys(first?.settings().metrics ?? {}).length, units_a_slot: UNITS, strata_a_slot: Number((strata / count / SLOTS).toFixed(1)), cpu_s_a_slot: Number((seconds.slice(1).reduce((sum, each) => sum + each, 0) / (SLOTS - 1)).toFixed(2)),
    slowest_cpu_s: Number(Math.max(...seconds).toFixed(2)), snapshot_bytes: snapshot.length, heap_bytes_each: collect === undefined ? null : Math.round((process.memoryUsage().heapUsed - before) / count),
  }));
}

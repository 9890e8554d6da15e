/**
 * Prints one JSON line for each number of open comparisons, each of a prompt of its own: seconds for one slot of all of them on one core, of 10 metrics each, with their guards, and
 * what each keeps: bytes as it is stored, and of memory (with `--expose-gc`), apart from the units of its prompt. Two models, so that each metric has three parts. Then the same of one
 * prompt with so many comparisons (`--of-one-prompt 1 --of-one-prompt 20`), after a day; `guards_us`: what it costs then to ask the guards of one, which is done in one slot of ten.
 */
import { parseArgs } from 'node:util';
import { Comparison } from '../../analyzer/look/comparison.ts';
import { factorNamed } from '../../analyzer/look/factors.ts';
import { guardsTogether } from '../../analyzer/look/guards.ts';
import { openComparison } from '../../analyzer/look/opening.ts';
import { createPromptUnits, type PromptUnits } from '../../analyzer/look/prompt-units.ts';
import { atSlot, call, FIRST_SLOT, scoreOf } from '../analyzer/look/observed.ts';
import { ConfigFile } from '../../schemas/config.ts';
import { ComparisonSettings } from '../../schemas/evidence.ts';
import { metricSettingsFor } from '../../schemas/metric-settings.ts';
import { SLOTS_PER_DAY } from '../../analyzer/slots.ts';
import { normal, seeded } from '../statistics/traffic.ts';
import type { CallObservation, ScoreObservation } from '../../analyzer/look/observations.ts';
import { until } from './rig/load.ts';

/** Other numbers may be given as arguments. */
const { values, positionals } = parseArgs({ allowPositionals: true, options: { 'of-one-prompt': { type: 'string', multiple: true, default: ['1', '20'] } } });
const COUNTS = positionals.length > 0 ? positionals.map(Number) : [1_000, 3_000, 10_000];
const UNITS = 10;
const SLOTS = 24;
/** How often guards are asked to see what that costs. */
const TIMES = 1_000;
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
/** Bytes on the heap, and in buffers beside it, which are let go a moment after their owners. */
async function held(): Promise<number> {
  for (let time = 0; time < 6; time += 1) {
    collect?.();
    await until(performance.now() + 50);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** What comparisons hold, all together, and what the units of their prompts hold without them. Empties the array. */
async function memoryOf(comparisons: Comparison[], before: number): Promise<{ comparisons: number; units: number } | null> {
  if (collect === undefined) return null;
  const after = await held();
  for (const comparison of comparisons.splice(0)) comparison.leave();
  const ofUnits = await held();
  return { comparisons: after - ofUnits, units: ofUnits - before };
}

const settings = JSON.stringify(opening.settings);
/** With settings of its own, as they are read from the store. */
const opened = (prompt_name: string, index: number, units: PromptUnits): Comparison =>
  new Comparison(
    { project: 'p', environment: 'e', prompt_name, factor: 'prompt_version', baseline: 'v1', candidate: 'v2', epoch: 0, comparison_id: String(index) },
    { settings: ComparisonSettings.parse(JSON.parse(settings)), schedule: opening.schedule, policy },
    null,
    units,
  );

const ARMS = { factor: factorNamed('prompt_version'), group: '', baseline: 'v1', candidate: 'v2' };
function askGuards(comparison: Comparison, slot: number): void {
  comparison.guard({ together: guardsTogether(ARMS, comparison.settings(), comparison.judged, { slot, split: { v1: 80, v2: 20 } }) });
}
/** One slot of one comparison, as a rollout has it. Returns how many strata it closed. */
function feed(comparison: Comparison, slot: number, { calls, scores }: Rows): number {
  const { strata } = comparison.feed(slot, calls, scores, new Map());
  if (comparison.judged.isHeardAt(slot)) askGuards(comparison, slot);
  return strata.length;
}

async function ofManyPrompts(count: number): Promise<string> {
  const before = await held();
  const units = Array.from({ length: count }, () => createPromptUnits());
  const comparisons = units.map((each, index) => opened(`p${index}`, index, each));
  const seconds: number[] = [];
  let strata = 0;
  for (const [slot, ofSlot] of rows.entries()) {
    let micros = 0;
    for (let from = 0; from < count; from += AT_A_TIME) {
      const fed = comparisons.slice(from, from + AT_A_TIME).map((comparison, index) => ({ comparison, rows: ofPrompt(from + index, ofSlot) }));
      const begun = process.cpuUsage();
      for (const each of fed) strata += feed(each.comparison, FIRST_SLOT + slot + 1, each.rows);
      const { user, system } = process.cpuUsage(begun);
      micros += user + system;
    }
    seconds.push(micros / 1e6);
  }
  const snapshot_bytes = JSON.stringify(comparisons[0]?.snapshot()).length;
  const memory = await memoryOf(comparisons, before);
  return JSON.stringify({
    bench: 'comparisons', comparisons: count, metrics: Object.keys(opening.settings.metrics).length, units_a_slot: UNITS, strata_a_slot: Number((strata / count / SLOTS).toFixed(1)), cpu_s_a_slot: Number((seconds.slice(1).reduce((sum, each) => sum + each, 0) / (SLOTS - 1)).toFixed(2)),
    slowest_cpu_s: Number(Math.max(...seconds).toFixed(2)), snapshot_bytes, bytes_each: memory && Math.round(memory.comparisons / count), prompts: units.length, units_bytes_each: memory && Math.round(memory.units / count),
  });
}

async function dayOfOnePrompt(count: number): Promise<string> {
  const before = await held();
  const units = createPromptUnits();
  const comparisons = Array.from({ length: count }, (_, index) => opened('p', index, units));
  const begun = process.cpuUsage();
  for (let slot = 1; slot <= SLOTS_PER_DAY; slot += 1) {
    const ofSlot = ofPrompt(slot, rows[slot % SLOTS] ?? { calls: [], scores: [] });
    for (const comparison of comparisons) feed(comparison, FIRST_SLOT + slot, ofSlot);
  }
  const { user, system } = process.cpuUsage(begun);
  const asked = process.cpuUsage();
  for (let time = 0; time < TIMES; time += 1) for (const comparison of comparisons) askGuards(comparison, FIRST_SLOT + SLOTS_PER_DAY);
  const asking = process.cpuUsage(asked);
  const snapshot_bytes = JSON.stringify(comparisons[0]?.snapshot()).length;
  const memory = await memoryOf(comparisons, before);
  return JSON.stringify({ bench: 'a day of one prompt', guards_us: Math.round((asking.user + asking.system) / TIMES / count), comparisons: count, units: SLOTS_PER_DAY * UNITS, cpu_s: Number(((user + system) / 1e6).toFixed(1)), snapshot_bytes, bytes_each: memory && Math.round(memory.comparisons / count), units_bytes: memory && memory.units, forgotten_early: units.forgottenEarly() });
}

// Once to warm up: compiled code is no state.
for (const run of [ofManyPrompts, dayOfOnePrompt]) await run(5);
for (const count of COUNTS) console.log(await ofManyPrompts(count));
for (const count of values['of-one-prompt'].map(Number)) console.log(await dayOfOnePrompt(count));

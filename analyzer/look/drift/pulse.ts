import type { Store } from '../../../schemas/store.ts';
import { ATTRIBUTED, JUDGED, ROUTE, type PromptKey } from '../observations.ts';
import { SLOTS_PER_HOUR } from '../../slots.ts';
import { HOUR, UNIT } from '../unit-sql.ts';

/**
 * The pulse of all prompts: counts by slot, request model and route, made in the store, because it is read for everything all the time.
 * As where times are compared, a unit is the first call of its session (or trace) in an hour of the clock, whatever range is read.
 */
export type Pulse = PromptKey & {
  readonly slot: number;
  readonly version: string;
  readonly request_model: string;
  readonly provider: string;
  readonly route: string;
  readonly metric: string;
  readonly bins: readonly number[];
  readonly counts: readonly number[];
};

export type PulseRange = { readonly from: number; readonly to: number };
/** One request model over all that serve it, or one provider with all its models. */
export type Place = { readonly project: string; readonly environment: string; readonly by: 'model' | 'provider'; readonly of: string };
/** Null: of everything. */
export type PulseOf = Place | null;

/** 64 bits of it: as text, the units of an hour with five million calls did not fit into a gigabyte. Two that are taken for one are one unit less (unit-memory.ts). */
const UNIT_OF_HOUR = (trace: string, ...beside: readonly string[]): string => `cityHash64(${['project', 'environment', 'prompt_name', HOUR, ...beside, UNIT(trace)].join(', ')})`;
const OF = `({project:String} = '' OR (project = {project:String} AND environment = {environment:String} AND {of:String} = if({by:String} = 'provider', provider, coalesce(request_model, ''))))`;
/** Latency in eighths of an octave, as everywhere (`statistics/badness.ts`). */
const LATENCY = `toInt32(round(8 * log2(greatest((end_ns - start_ns) / 1e6, 0.001))))`;

/** Named, here and of calls, because the engine takes 10 ms to think about a column list of forty, each time. */
const SCORE_COLUMNS = 'slot, project, environment, prompt_name, prompt_version, request_model, provider, stratum_attributes, name, data_type, bet_value, flags, deleted_slot, session_id, score_id, call_trace_id, call_span_id, call_start_ns';

/** As one tuple: grouped and sorted by nine columns, twice, the engine took 20 ms more to think about each of the two questions. */
const SERIES = ['slot', 'project', 'environment', 'prompt_name', 'version', 'request_model', 'provider', 'route', 'metric'] as const;

const NEARLY_ALL = 0.9;

/** Calls of an hour whose units are told apart, some 100 bytes each. */
const MOST_CALLS = 4_000_000;
const SAMPLED = `cityHash64(${UNIT('trace_id')}) % transform(cityHash64(project, environment, assumeNotNull(prompt_name)), {sampled:Array(UInt64)}, {every:Array(UInt32)}, toUInt32(1)) = 0`;

/**
 * By slot; of scores, bins are fiftieths of their own unit. Rates have bins 0 and 1. Where the hour has more than `mostCalls` calls, those of its busiest prompts are of a part of their units, told by
 * a hash. A prompt's part only ever becomes smaller within an hour, so a unit still counts once at most.
 */
export async function selectPulse(store: Store, range: PulseRange, of: PulseOf = null, mostCalls = MOST_CALLS): Promise<Pulse[]> {
  const hour = Math.floor(range.from / SLOTS_PER_HOUR) * SLOTS_PER_HOUR;
  const samples = samplesOf(await selectBusiest(store, { from: hour, to: range.to }), mostCalls);
  const parameters = { project: '', environment: '', by: '', of: '', ...of, ...range, hour, sampled: samples.map(({ prompt }) => prompt), every: samples.map(({ every }) => every) };
  const isSampled = samples.length === 0 ? '' : `AND ${SAMPLED}`;
  const calls = `
    SELECT slot, project, environment, assumeNotNull(prompt_name) AS prompt_name, assumeNotNull(prompt_version) AS version, coalesce(calls.request_model, '') AS request_model, provider, route,
           arrayJoin(arrayFilter(reading -> reading.2 IS NOT NULL, [
             ('error_rate', toNullable(toInt32(is_error))),
             ('latency', if(is_error OR is_cache_hit OR end_ns <= start_ns, NULL, ${LATENCY})),
             ('format', if(is_error OR is_format_valid IS NULL, NULL, toInt32(NOT is_format_valid))),
             ('truncated', if(is_error OR finish_reason IS NULL, NULL, toInt32(finish_reason = 'length')))
           ])) AS reading, reading.1 AS metric, assumeNotNull(reading.2) AS bin
    FROM (SELECT slot, project, environment, prompt_name, prompt_version, request_model, provider, ${ROUTE} AS route, is_error, is_cache_hit, start_ns, end_ns, is_format_valid, finish_reason
          FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND prompt_name IS NOT NULL AND ${ATTRIBUTED} AND ${OF} ${isSampled}
            AND ${UNIT_OF_HOUR('trace_id')} NOT IN
              (SELECT ${UNIT_OF_HOUR('trace_id')} FROM calls
               WHERE slot >= {hour:UInt32} AND slot < {from:UInt32} AND prompt_name IS NOT NULL AND ${ATTRIBUTED} AND ${OF} ${isSampled})
          ORDER BY slot, start_ns, trace_id, span_id, revision DESC LIMIT 1 BY ${UNIT_OF_HOUR('trace_id')}) AS calls`;
  const scores = `
    SELECT slot, project, environment, assumeNotNull(prompt_name) AS prompt_name, assumeNotNull(prompt_version) AS version, coalesce(scores.request_model, '') AS request_model, provider, route,
           concat(if(data_type = 'boolean', 'pass:', 'score:'), name) AS metric, toInt32(if(data_type = 'boolean', bet_value >= 0.5, round(50 * least(greatest(assumeNotNull(bet_value), -600), 600)))) AS bin
    FROM (SELECT slot, project, environment, prompt_name, prompt_version, request_model, provider, ${ROUTE} AS route, name, data_type, bet_value
          FROM (SELECT ${SCORE_COLUMNS} FROM scores WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND prompt_name IS NOT NULL AND ${ATTRIBUTED} AND ${OF} ORDER BY revision DESC LIMIT 1 BY project, score_id)
          WHERE bet_value IS NOT NULL AND isFinite(assumeNotNull(bet_value)) AND ${JUDGED}
            AND ${UNIT_OF_HOUR('call_trace_id', 'name')} NOT IN
              (SELECT ${UNIT_OF_HOUR('call_trace_id', 'name')} FROM scores
               WHERE slot >= {hour:UInt32} AND slot < {from:UInt32} AND prompt_name IS NOT NULL AND ${ATTRIBUTED} AND ${OF})
          ORDER BY slot, call_start_ns, call_trace_id, call_span_id, score_id LIMIT 1 BY ${UNIT_OF_HOUR('call_trace_id', 'name')}) AS scores`;
  const counted = (readings: string): Promise<Pulse[]> =>
    store.select<Pulse>(
      `SELECT ${SERIES.map((name, index) => `series.${index + 1} AS ${name}`).join(', ')}, groupArray(bin) AS bins, groupArray(units) AS counts
       FROM (SELECT series, bin, toUInt32(count()) AS units FROM (SELECT (${SERIES.join(', ')}) AS series, bin FROM (${readings})) GROUP BY series, bin ORDER BY series, bin)
       GROUP BY series ORDER BY series`,
      parameters,
    );
  return (await Promise.all([counted(calls), counted(scores)])).flat();
}

type Busy = { readonly prompt: bigint; readonly calls: number };

/** Prompts by a hash, busiest first; no more than matter. */
async function selectBusiest(store: Store, range: PulseRange): Promise<Busy[]> {
  const rows = await store.select<{ prompt: string; calls: number }>(
    `SELECT toString(cityHash64(project, environment, assumeNotNull(prompt_name))) AS prompt, count() AS calls FROM calls
     WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND prompt_name IS NOT NULL GROUP BY project, environment, prompt_name ORDER BY calls DESC, prompt LIMIT 1000`,
    range,
  );
  return rows.map(({ prompt, calls }) => ({ prompt: BigInt(prompt), calls }));
}

/** One unit in `every`, a power of two, of the prompts that have more than an even share of what there is room for, when those that have less take only what they need. */
export function samplesOf(busiest: readonly Busy[], room: number): { readonly prompt: bigint; readonly every: number }[] {
  let left = room;
  let share = Number.POSITIVE_INFINITY;
  for (const [index, { calls }] of busiest.toReversed().entries()) {
    share = left / (busiest.length - index);
    if (calls > share) break;
    left -= calls;
    share = Number.POSITIVE_INFINITY;
  }
  return busiest.filter(({ calls }) => calls > share).map(({ prompt, calls }) => ({ prompt, every: 2 ** Math.ceil(Math.log2(calls / share)) }));
}

/** Of a prompt on a model: pulses that differ by who serves it become one, and those that differ by its version, unless that is told apart. */
export function merged(pulses: readonly Pulse[], apart: 'version' | 'nothing' = 'nothing'): Pulse[] {
  const sums = new Map<string, Pulse>();
  for (const pulse of pulses) {
    const key = `${pulse.slot}\0${pulse.project}\0${pulse.environment}\0${pulse.prompt_name}\0${pulse.request_model}\0${pulse.route}\0${pulse.metric}\0${apart === 'version' ? pulse.version : ''}`;
    const known = sums.get(key);
    if (known === undefined) {
      sums.set(key, pulse);
      continue;
    }
    const bins = [...new Set([...known.bins, ...pulse.bins])].sort((left, right) => left - right);
    const at = (of: Pulse, bin: number): number => of.counts[of.bins.indexOf(bin)] ?? 0;
    sums.set(key, { ...known, bins, counts: bins.map((bin) => at(known, bin) + at(pulse, bin)) });
  }
  return [...sums.values()];
}

/** The model that answered (nearly) all calls for a request model; null: there were several, or none was named. */
export async function selectResponseModel(store: Store, range: PulseRange & Place): Promise<string | null> {
  const rows = await store.select<{ model: string; calls: number }>(
    `SELECT assumeNotNull(response_model) AS model, count() AS calls FROM calls WHERE slot >= {from:UInt32} AND slot < {to:UInt32} AND ${OF} AND response_model IS NOT NULL
     GROUP BY model ORDER BY calls DESC, model`,
    range,
  );
  const [first] = rows;
  const total = rows.reduce((sum, { calls }) => sum + calls, 0);
  return first !== undefined && first.calls >= NEARLY_ALL * total ? first.model : null;
}

import type { Store } from '../../../schemas/store.ts';
import { ATTRIBUTED, JUDGED, ROUTE, type PromptKey } from '../observations.ts';
import { SLOTS_PER_HOUR } from '../../slots.ts';
import { addCounts } from '../../statistics/add-counts.ts';
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
const OF = `(project = {project:String} AND environment = {environment:String} AND {of:String} = if({by:String} = 'provider', provider, coalesce(request_model, '')))`;
/** Latency in eighths of an octave, as everywhere (`statistics/badness.ts`). */
const LATENCY = `toInt32(round(8 * log2(greatest((end_ns - start_ns) / 1e6, 0.001))))`;

/** Named, here and of calls, because the engine takes 10 ms to think about a column list of forty, each time. */
const SCORE_COLUMNS = 'slot, project, environment, prompt_name, prompt_version, request_model, provider, stratum_attributes, name, data_type, bet_value, flags, deleted_slot, session_id, score_id, call_trace_id, call_span_id, call_start_ns';

/** As one tuple: grouped and sorted by so many columns, twice, the engine took 20 ms more to think about each of the two questions. */
const SERIES = ['slot', 'project', 'environment', 'prompt_name', 'version', 'request_model', 'provider', 'route'] as const;
const SERIES_OF_ROW = `slot, project, environment, assumeNotNull(prompt_name), assumeNotNull(prompt_version), coalesce(request_model, ''), provider, route`;

const NEARLY_ALL = 0.9;

/** Calls of an hour whose units are told apart, some 100 bytes each. */
const MOST_CALLS = 4_000_000;
const SAMPLED = `cityHash64(${UNIT('trace_id')}) % transform(cityHash64(project, environment, assumeNotNull(prompt_name)), {sampled:Array(UInt64)}, {every:Array(UInt32)}, toUInt32(1)) = 0`;

/** All that a call says. Null: it says nothing of that. Counted as it is and told apart here, because the engine thinks about such a question for longer than it counts, where traffic is light. */
type CallSays = readonly [is_error: boolean, latency: number | null, is_format_valid: boolean | null, is_truncated: number | null];

/** The bin of each metric, in the order of their names. */
const METRICS_OF_CALLS: readonly (readonly [metric: string, bin: (says: CallSays) => number | null])[] = [
  ['error_rate', ([is_error]) => Number(is_error)],
  ['format', ([is_error, , is_format_valid]) => (is_error || is_format_valid === null ? null : Number(!is_format_valid))],
  ['latency', ([, latency]) => latency],
  ['truncated', ([is_error, , , is_truncated]) => (is_error ? null : is_truncated)],
];

/**
 * By slot; of scores, bins are fiftieths of their own unit. Rates have bins 0 and 1. Where the hour has more than `mostCalls` calls, those of its busiest prompts are of a part of their units, told by
 * a hash. A prompt's part only ever becomes smaller within an hour, so a unit still counts once at most.
 */
export async function selectPulse(store: Store, range: PulseRange, of: PulseOf = null, mostCalls = MOST_CALLS): Promise<Pulse[]> {
  const hour = Math.floor(range.from / SLOTS_PER_HOUR) * SLOTS_PER_HOUR;
  const samples = samplesOf(await selectBusiest(store, { from: hour, to: range.to }), mostCalls);
  const parameters = { ...of, ...range, hour, sampled: samples.map(({ prompt }) => prompt), every: samples.map(({ every }) => every) };
  const those = `prompt_name IS NOT NULL AND ${ATTRIBUTED}${of === null ? '' : ` AND ${OF}`}`;
  const within = `slot >= {from:UInt32} AND slot < {to:UInt32} AND ${those}`;
  /** Not those that the hour has counted before. */
  const isNew = (table: 'calls' | 'scores', unit: string, which: string): string =>
    hour === range.from ? '' : `AND unit NOT IN (SELECT ${unit} FROM ${table} WHERE slot >= {hour:UInt32} AND slot < {from:UInt32} AND ${those} ${which})`;
  const series = SERIES.map((name, index) => `series.${index + 1} AS ${name}`).join(', ');

  const isSampled = samples.length === 0 ? '' : `AND ${SAMPLED}`;
  const unitOfCall = UNIT_OF_HOUR('trace_id');
  const calls = store.select<Omit<Pulse, 'metric' | 'bins'> & { readonly said: readonly CallSays[] }>(
    `SELECT ${series}, groupArray(says) AS said, groupArray(units) AS counts
     FROM (SELECT (${SERIES_OF_ROW}) AS series, (is_error, latency, is_format_valid, is_truncated) AS says, toUInt32(count()) AS units
           FROM (SELECT slot, project, environment, prompt_name, prompt_version, request_model, provider, ${ROUTE} AS route,
                        is_error, if(is_error OR is_cache_hit OR end_ns <= start_ns, NULL, ${LATENCY}) AS latency, is_format_valid, finish_reason = 'length' AS is_truncated, ${unitOfCall} AS unit
                 FROM calls WHERE ${within} ${isSampled} ${isNew('calls', unitOfCall, isSampled)}
                 ORDER BY slot, start_ns, trace_id, span_id, revision DESC LIMIT 1 BY unit)
           GROUP BY series, says)
     GROUP BY series ORDER BY series`,
    parameters,
  );
  const unitOfScore = UNIT_OF_HOUR('call_trace_id', 'name');
  const scores = store.select<Pulse>(
    `SELECT ${series}, series.${SERIES.length + 1} AS metric, groupArray(bin) AS bins, groupArray(units) AS counts
     FROM (SELECT (${SERIES_OF_ROW}, concat(if(data_type = 'boolean', 'pass:', 'score:'), name)) AS series,
                  toInt32(if(data_type = 'boolean', bet_value >= 0.5, round(50 * least(greatest(assumeNotNull(bet_value), -600), 600)))) AS bin, toUInt32(count()) AS units
           FROM (SELECT slot, project, environment, prompt_name, prompt_version, request_model, provider, ${ROUTE} AS route, name, data_type, bet_value, ${unitOfScore} AS unit
                 FROM (SELECT ${SCORE_COLUMNS} FROM scores WHERE ${within} ORDER BY revision DESC LIMIT 1 BY project, score_id)
                 WHERE bet_value IS NOT NULL AND isFinite(assumeNotNull(bet_value)) AND ${JUDGED} ${isNew('scores', unitOfScore, '')}
                 ORDER BY slot, call_start_ns, call_trace_id, call_span_id, score_id LIMIT 1 BY unit)
           GROUP BY series, bin ORDER BY series, bin)
     GROUP BY series ORDER BY series`,
    parameters,
  );
  const [ofCalls, ofScores] = await Promise.all([calls, scores]);
  return [...ofCalls.flatMap(({ said, counts, ...key }) => METRICS_OF_CALLS.flatMap(([metric, bin]) => pulseOf({ ...key, metric }, said.map(bin), counts))), ...ofScores];
}

/** Sums of each bin, ascending; none where nobody says anything. */
function pulseOf(key: Omit<Pulse, 'bins' | 'counts'>, bins: readonly (number | null)[], counts: readonly number[]): Pulse[] {
  const sums = new Map<number, number>();
  addCounts(sums, bins, counts);
  if (sums.size === 0) return [];
  const sorted = [...sums].sort(([left], [right]) => left - right);
  return [{ ...key, bins: sorted.map(([bin]) => bin), counts: sorted.map(([, units]) => units) }];
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

import type { Alert } from '../../schemas/alert.ts';
import type { MixSettings } from '../../schemas/mix-settings.ts';
import type { Store } from '../../schemas/store.ts';
import { ATTRIBUTED, JUDGED, ROUTE, selectCallsBySlot, type PromptKey } from './observations.ts';
import { SLOTS_PER_HOUR } from '../slots.ts';
import { HOUR, UNIT } from './unit-sql.ts';
import { mixChangeOf, type MixChange, type MixCount } from '../statistics/mix.ts';
import type { Scale } from '../statistics/types.ts';

/**
 * Whether what a metric did is what its traffic did: units of before (or of the baseline) against those of after (or of the candidate), by what
 * describes them. Asked of the store only when somebody is about to be accused.
 */
export type MixFinding = MixChange & { readonly dimension: string };
export type Mix = {
  /** The dimension that explains it. */
  readonly explains: MixFinding | null;
  /** One that may explain it, once there are more units. */
  readonly may_explain: MixFinding | null;
  /** All whose mix surely moved, the explanation first. */
  readonly shifted: readonly MixFinding[];
};

export type MixQuestion = {
  readonly metric: string;
  readonly scale: Scale;
  /** On the scale of the metric; of distributions a relative increase. */
  readonly tolerance: number;
  /** Slots from (inclusive) to (exclusive), and which calls of them count, as SQL over calls and scores. */
  readonly before: { readonly from: number; readonly to: number; readonly where: string };
  readonly after: { readonly from: number; readonly to: number; readonly where: string };
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Whether the length of the input is the traffic's: not where another prompt or model made it. */
  readonly isInputGiven: boolean;
};

/** Of all intervals together. */
const CONFIDENCE = 0.95;
/** Rows that are read: a dimension with very many values is cut, and says less. */
const MOST_ROWS = 50_000;

const OF_PROMPT = 'project = {project:String} AND environment = {environment:String} AND prompt_name = {prompt_name:String}';
const OCTAVES = (value: string): string => `toInt32(round(8 * log2(greatest(${value}, 0.000001))))`;
const RATE = (outcome: string): string => `toInt32(50 * (${outcome}))`;

/** Of calls, in the bins of `statistics/badness.ts`. NULL: the call says nothing of it. Scores are all other metrics. */
const READINGS: ReadonlyMap<string, string> = new Map([
  ['error_rate', RATE('is_error')],
  ['latency', `if(is_error OR is_cache_hit OR end_ns <= start_ns, NULL, ${OCTAVES('(end_ns - start_ns) / 1e6')})`],
  ['ttft', `if(is_error OR is_cache_hit OR ttft_ms IS NULL, NULL, ${OCTAVES('assumeNotNull(ttft_ms)')})`],
  ['input_tokens', `if(is_error OR input_tokens IS NULL, NULL, ${OCTAVES('assumeNotNull(input_tokens)')})`],
  ['output_tokens', `if(is_error OR output_tokens IS NULL, NULL, ${OCTAVES('assumeNotNull(output_tokens)')})`],
  ['cost', `if(is_error OR is_cache_hit OR cost_usd IS NULL, NULL, ${OCTAVES('assumeNotNull(cost_usd)')})`],
  ['truncated', `if(is_error OR finish_reason IS NULL, NULL, ${RATE(`assumeNotNull(finish_reason) = 'length'`)})`],
  ['content_filter', `if(is_error OR finish_reason IS NULL, NULL, ${RATE(`assumeNotNull(finish_reason) = 'content_filter'`)})`],
  ['empty', `if(is_error OR is_empty IS NULL, NULL, ${RATE('assumeNotNull(is_empty)')})`],
  ['format', `if(is_error OR is_format_valid IS NULL, NULL, ${RATE('NOT assumeNotNull(is_format_valid)')})`],
]);

export async function mixOf(store: Store, prompt: PromptKey, question: MixQuestion, settings: MixSettings): Promise<Mix> {
  const rows = await selectMix(store, prompt, question, settings);
  const dimensions = new Map<string, MixCount[]>();
  for (const { dimension, ...count } of rows) {
    const counts = dimensions.get(dimension);
    if (counts === undefined) dimensions.set(dimension, [count]);
    else counts.push(count);
  }
  const confidence = 1 - (1 - CONFIDENCE) / Math.max(1, dimensions.size);
  const changes = [...dimensions].flatMap(([dimension, counts]): MixFinding[] => {
    const change = mixChangeOf(question.scale, counts, { tolerance: question.tolerance, confidence });
    return change === null ? [] : [{ dimension, ...change }];
  });
  // The one after which least is left.
  const best = (verdict: MixChange['verdict']): MixFinding | null =>
    changes.filter((each) => each.verdict === verdict).sort((left, right) => left.standardised.high - right.standardised.high || (left.dimension < right.dimension ? -1 : 1))[0] ?? null;
  const explains = best('explains');
  const shifted = changes.filter(({ is_shifted }) => is_shifted).sort((left, right) => Number(right === explains) - Number(left === explains) || Math.abs(right.after - right.before) - Math.abs(left.after - left.before));
  return { explains, may_explain: explains === null ? best('may_explain') : null, shifted };
}

/** Of a busier prompt every other unit, or every third, …, by its hash: the mix of so many is known well enough. */
const MOST_CALLS = 500_000;
const SAMPLED = (trace: string): string => `cityHash64(${UNIT(trace)}) % greatest({every:UInt32}, 1) = 0`;

/** Units by dimension, base, value and bin. A unit is the first call of its session (or trace) in an hour of the clock, as where times are compared. */
async function selectMix(store: Store, prompt: PromptKey, { metric, scale, before, after, parameters, isInputGiven }: MixQuestion, settings: MixSettings): Promise<(MixCount & { readonly dimension: string })[]> {
  const time = `multiIf(slot >= {before_from:UInt32} AND slot < {before_to:UInt32} AND (${before.where}), 'a', slot >= {after_from:UInt32} AND slot < {after_to:UInt32} AND (${after.where}), 'b', '')`;
  const range = 'slot >= {from:UInt32} AND slot < {to:UInt32}';
  const described = `mix_attributes, input_tokens, session_id`;
  const reading = READINGS.get(metric);
  const readings =
    reading === undefined
      ? `SELECT at, base, bin, mix_attributes, input_tokens, session_id FROM
           (SELECT * FROM
             (SELECT slot, ${time} AS at, ${BASE} AS base, ${scoreBin(scale)} AS bin, call_trace_id, call_span_id, call_start_ns, session_id, score_id
              FROM (SELECT * FROM scores WHERE ${range} AND ${OF_PROMPT} AND name = {metric:String} AND ${ATTRIBUTED} AND ${SAMPLED('call_trace_id')} ORDER BY revision DESC LIMIT 1 BY score_id)
              WHERE bet_value IS NOT NULL AND isFinite(assumeNotNull(bet_value)) AND ${JUDGED} AND at != '')
            ORDER BY slot, call_start_ns, score_id LIMIT 1 BY at, ${HOUR}, ${UNIT('call_trace_id')}) AS judged
         INNER JOIN
           (SELECT trace_id, span_id, mix_attributes, input_tokens FROM calls WHERE slot >= {earlier:UInt32} AND slot < {to:UInt32} AND ${OF_PROMPT} AND ${SAMPLED('trace_id')} ORDER BY revision DESC LIMIT 1 BY trace_id, span_id) AS described
         ON judged.call_trace_id = described.trace_id AND judged.call_span_id = described.span_id`
      : `SELECT at, base, assumeNotNull(reading) AS bin, ${described} FROM
           (SELECT slot, ${time} AS at, ${BASE} AS base, ${reading} AS reading, trace_id, span_id, start_ns, ${described}
            FROM (SELECT * FROM calls WHERE ${range} AND ${OF_PROMPT} AND ${ATTRIBUTED} AND ${SAMPLED('trace_id')} ORDER BY revision DESC LIMIT 1 BY trace_id, span_id) WHERE role = 'call' AND at != ''
            ORDER BY slot, start_ns, trace_id, span_id LIMIT 1 BY at, ${HOUR}, ${UNIT('trace_id')})
         WHERE reading IS NOT NULL`;
  const dimensions = [
    `arrayMap(name -> (name, mix_attributes[name]), {attributes:Array(String)})`,
    `[('session', if(session_id IS NULL, 'none', 'one'))]`,
    ...(settings.input_tokens && isInputGiven && metric !== 'input_tokens' ? [`[('input_tokens', ${LENGTH})]`] : []),
  ];
  const [from, to] = [Math.min(before.from, after.from), Math.max(before.to, after.to)];
  const calls = (await selectCallsBySlot(store, prompt, { from, to })).reduce((sum, slot) => sum + slot.calls, 0);
  return store.select(
    `SELECT dimension, base, value, bin, toUInt32(countIf(at = 'a')) AS a, toUInt32(countIf(at = 'b')) AS b FROM
       (SELECT at, base, bin, arrayJoin(arrayConcat(${dimensions.join(', ')})) AS of, of.1 AS dimension, of.2 AS value FROM (${readings}))
     GROUP BY dimension, base, value, bin ORDER BY a + b DESC, dimension, base, value, bin LIMIT ${MOST_ROWS}`,
    {
      ...parameters, ...prompt, metric, from, to, earlier: Math.max(1, from - SLOTS_PER_HOUR), before_from: before.from, before_to: before.to, after_from: after.from, after_to: after.to, attributes: settings.attributes,
      every: Math.ceil(calls / MOST_CALLS), minimum: scale.minimum ?? 0, maximum: scale.maximum ?? 1,
    },
  );
}

const BASE = `concat(${ROUTE}, ' ', coalesce(request_model, ''))`;
/** By powers of two, as people say it. */
const LENGTH = `if(input_tokens IS NULL, '', if(input_tokens < 128, 'under 128', concat(toString(toUInt64(exp2(floor(log2(assumeNotNull(input_tokens)))))), ' and more')))`;

/** Bins of a score ascend with badness; of a judgement that is yes or no, 0 and 50 as it is. */
function scoreBin({ kind, direction }: Scale): string {
  if (kind === 'rate') return `toInt32(50 * (bet_value >= 0.5))`;
  const scaled = 'least(greatest((assumeNotNull(bet_value) - {minimum:Float64}) / ({maximum:Float64} - {minimum:Float64}), 0), 1)';
  return `toInt32(round(50 * (${direction === 'down' ? `1 - ${scaled}` : scaled})))`;
}

/** What moved beside a culprit, as an alert says it. */
export function toldMix({ shifted }: Mix): Pick<Alert, 'mix'> {
  if (shifted.length === 0) return {};
  return { mix: shifted.map(({ dimension, value, before, after, raw, standardised, verdict }) => ({ dimension, value, before, after, raw, standardised, explains: verdict === 'explains' })) };
}

/**
 * The alert of a culprit that the mix explains, as one of the mix: a ticket, with whoever was to be accused among the innocent. An alert that is not explained is
 * told with what moved beside it.
 */
export function withMix(alert: Alert, mix: Mix): Alert {
  const told: Alert = { ...alert, ...toldMix(mix) };
  const { explains } = mix;
  if (explains === null) return told;
  const { confounded_with: _together, ...culprit } = alert.culprit;
  const value = `${explains.dimension}=${explains.value} ${percent(explains.before)} → ${percent(explains.after)}`;
  const left = `with the earlier mix of ${explains.dimension}, ${alert.metric} is worse by ${shown(alert, explains.standardised.estimate)} (${shown(alert, explains.standardised.low)} to ${shown(alert, explains.standardised.high)}), not by ${shown(alert, explains.raw)}`;
  const version = alert.prompt_version === null ? [] : [{ factor: 'prompt_version', value: alert.prompt_version }];
  const accused = culprit.factor === 'unknown' || culprit.factor === 'prompt_version' ? version : [{ factor: culprit.factor, value: culprit.value }, ...version];
  const names = new Set(accused.map((each) => `${each.factor}\0${each.value}`));
  return {
    ...told,
    severity: 'ticket',
    culprit: { ...culprit, factor: 'mix', value, commit: null, author: null, diff_url: null },
    exonerated: [...accused.map((each) => ({ ...each, reason: left, e_value: null })), ...alert.exonerated.filter((each) => !names.has(`${each.factor}\0${each.value}`))],
    links: { ...alert.links, rollback: null },
    summary: `${alert.prompt ?? ''} gets other traffic: ${explains.dimension}=${explains.value} is ${percent(explains.after)} of it (${percent(explains.before)} before). ${left} since ${alert.onset.slice(11, 16)} UTC`,
  };
}

/** Whether an alert blames the traffic. */
export const isOfMix = (alert: Alert | null): boolean => alert?.culprit.factor === 'mix';

const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`;
const shown = ({ evidence }: Alert, value: number): string => (evidence.effect.kind === 'difference' ? String(Number(value.toPrecision(2))) : percent(value));

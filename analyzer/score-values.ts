import type { AttributeValue } from '../schemas/otlp.ts';
import type { Score, ScoreDataType } from '../schemas/score.ts';
import { amount, text } from './dialects/values.ts';

/**
 * What a judgement says, as a number: a number is one, a truth is 1 or 0, and a label is 1 or 0 where it is one of the usual
 * words for good and bad, or one that the configuration lists. Any other label stays a label: it is shown as the share of
 * each, and not compared. A larger value is better unless `metrics.NAME.direction` says otherwise.
 */
export type LabelRule = {
  /** Labels that count 1 and 0. Where one of the two is empty, every label that is not in the other counts for it. */
  readonly good: ReadonlySet<string>;
  readonly bad: ReadonlySet<string>;
};

/** By score name; null: nothing is configured. Labels of rules are lower case. */
export type LabelRules = (name: string) => LabelRule | null;

/** Pairs that mean nothing but yes and no. */
const GOOD: ReadonlySet<string> = new Set(['pass', 'passed', 'true', 'yes', 'good', 'correct', 'up', 'thumbs_up', 'thumbs-up', '👍']);
const BAD: ReadonlySet<string> = new Set(['fail', 'failed', 'false', 'no', 'bad', 'incorrect', 'down', 'thumbs_down', 'thumbs-down', '👎']);

type Judgement = Pick<Score, 'value' | 'data_type'>;

/** Null: it says neither a usable value nor a label. */
export function judge(said: { readonly value: AttributeValue | undefined; readonly label: string | null; readonly declared: ScoreDataType | null; readonly rule: LabelRule | null }): Judgement | null {
  const { value, label, declared, rule } = said;
  const word = (label ?? (typeof value === 'string' ? text(value, new Set(), 16) : null))?.toLowerCase() ?? null;
  // Whoever lists labels means them, also where the wire has a number of its own beside them.
  const listed = rule === null || label === null || word === null ? null : ruled(word, rule);
  if (listed !== null) return { value: listed, data_type: 'boolean' };
  if (typeof value === 'boolean') return { value: value ? 1 : 0, data_type: 'boolean' };
  const number = amount(value);
  if (number !== null && declared !== 'categorical') return { value: number, data_type: declared === 'boolean' && (number === 0 || number === 1) ? 'boolean' : 'numeric' };
  if (declared !== 'categorical' && rule === null && word !== null) {
    if (GOOD.has(word)) return { value: 1, data_type: 'boolean' };
    if (BAD.has(word)) return { value: 0, data_type: 'boolean' };
  }
  return label === null ? null : { value: null, data_type: 'categorical' };
}

/** Null where both lists are given and it is in neither. */
function ruled(word: string, { good, bad }: LabelRule): 0 | 1 | null {
  if (good.has(word)) return 1;
  if (bad.has(word)) return 0;
  if (bad.size === 0) return 0;
  return good.size === 0 ? 1 : null;
}

import type { Attributes, AttributeValue } from '../../schemas/otlp.ts';
import type { WireScore } from './index.ts';
import { text } from './values.ts';

/**
 * OpenInference's judgements: numbered groups of attributes, `evaluations.0.evaluation.name` and the like, on the span that is judged
 * or on a span of kind EVALUATOR that is linked to it. A word in front says that the trace or the session is meant.
 */
const GROUP = /^(?:(trace|session)\.)?(?:evaluations|annotations)\.(\d{1,4})\.(?:evaluation|annotation)\.(name|score|label|explanation|annotator_kind|identifier)$/;
/** Longer keys are none of these; and the pattern sees only keys that begin right. */
const MAX_KEY_CHARACTERS = 80;
const BEGINNINGS = ['evaluations.', 'annotations.', 'trace.', 'session.'];

const MAX_EXPLANATION_CHARACTERS = 4096;

/** In the order of their first attribute. A group without a name is left out: there is no score without one. */
export function annotationsOf(attributes: Attributes, flags: Set<string>): readonly WireScore[] {
  let groups: Map<string, Map<string, AttributeValue>> | null = null;
  for (const [key, value] of attributes) {
    if (key.length > MAX_KEY_CHARACTERS || !BEGINNINGS.some((beginning) => key.startsWith(beginning))) continue;
    const field = GROUP.exec(key)?.[3];
    if (field === undefined) continue;
    groups ??= new Map();
    const group = key.slice(0, key.lastIndexOf('.'));
    const fields = groups.get(group) ?? new Map<string, AttributeValue>();
    groups.set(group, fields.set(field, value));
  }
  const scores: WireScore[] = [];
  for (const [group, fields] of groups ?? []) {
    const name = text(fields.get('name'), flags);
    if (name === null) continue;
    scores.push({
      name,
      value: fields.get('score'),
      label: text(fields.get('label'), flags),
      explanation: text(fields.get('explanation'), flags, MAX_EXPLANATION_CHARACTERS),
      evaluator: text(fields.get('annotator_kind'), flags),
      identifier: text(fields.get('identifier'), flags),
      target: group.startsWith('trace.') ? 'trace' : group.startsWith('session.') ? 'session' : 'span',
    });
  }
  return scores;
}

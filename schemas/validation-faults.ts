import type { z } from 'zod';

export type ValidationFault = {
  /** Where in the value; empty: the value as a whole. */
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** Whether nothing stands there, and something has to. */
  readonly isMissing: boolean;
  /** Keys that the schema does not know; empty for every other fault. */
  readonly unknownKeys: readonly string[];
};

type Issue = z.core.$ZodIssue;

/**
 * What zod says of a value that does not fit, with something in it that one can mend. Of a union zod says only "Invalid input": here it is what
 * the alternative says that the value comes nearest to, or, where it is of none of their kinds, which kinds they are.
 */
export function validationFaults(issues: readonly Issue[]): ValidationFault[] {
  return issues.flatMap((issue) => named(issue)).map((issue) => {
    const isMissing = issue.message.endsWith(MISSING);
    return { path: issue.path, message: isMissing ? issue.message.slice(0, -MISSING.length).replace(/^Invalid input: /, 'is missing: ') : issue.message, isMissing, unknownKeys: issue.code === 'unrecognized_keys' ? issue.keys : [] };
  });
}

const MISSING = ', received undefined';

function named(issue: Issue): Issue[] {
  if (issue.code === 'invalid_key') return issue.issues.map((inner) => ({ ...inner, path: issue.path }));
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const alternatives = issue.errors.map((errors) => errors.flatMap(named));
  const ofItsKind = alternatives.filter((faults) => kindWanted(faults) === null);
  if (ofItsKind.length === 0) {
    const kinds = [...new Set(alternatives.map(kindWanted))].join(' or ');
    const received = /, received .+$/.exec(alternatives[0]?.[0]?.message ?? '')?.[0] ?? '';
    return [{ ...issue, message: `Invalid input: expected ${kinds}${received}` }];
  }
  const least = Math.min(...ofItsKind.map(strangeness));
  const nearest = ofItsKind.filter((faults) => strangeness(faults) === least);
  // Alternatives that all speak of the value itself (an address of IPv4, or one of IPv6) are as near as each other.
  if (nearest.length > 1 && nearest.every((faults) => faults.length === 1 && faults[0]?.path.length === 0)) {
    return [{ ...issue, message: [...new Set(nearest.flat().map(({ message }) => message))].join(', or ') }];
  }
  return (nearest[0] ?? []).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}

/** What the alternative expected where the value is of another kind altogether, as in "array"; null: it is of that kind. */
function kindWanted(faults: readonly Issue[]): string | null {
  const whole = faults.find(({ path, code }) => path.length === 0 && code === 'invalid_type');
  return whole?.code === 'invalid_type' ? whole.expected : null;
}

/** How many of its keys are too many or missing. */
function strangeness(faults: readonly Issue[]): number {
  const counts = faults.map((fault) => (fault.code === 'unrecognized_keys' ? fault.keys.length : fault.code === 'invalid_type' && fault.message.endsWith(MISSING) ? 1 : 0));
  return counts.reduce<number>((sum, count) => sum + count, 0);
}

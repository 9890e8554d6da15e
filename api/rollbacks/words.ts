import type { Rollback } from './records.ts';

/** A rollback in a sentence, for the alert, the page and whoever is told. */
export function saysOf({ identity, last, steps }: Rollback): string {
  const { hook, candidate, baseline } = identity;
  const because = last.reason === '' ? '' : `: ${last.reason}`;
  switch (last.state) {
    case 'proposed':
      return `Rolling back to ${baseline} is proposed${because}`;
    case 'waiting':
      return `Rolls back to ${baseline} at ${new Date(last.due_ms).toISOString().slice(11, 19)} UTC, unless somebody vetoes`;
    case 'confirmed':
      return `${last.who} lets ${hook} roll back to ${baseline}`;
    case 'vetoed':
      return `${last.who} vetoed the rollback${because}`;
    case 'withdrawn':
      return `Not rolled back${because}`;
    case 'asked':
      return `${hook} is being asked to roll back to ${baseline}`;
    case 'retry':
      return `${hook} is asked again soon${because}`;
    case 'dry_run':
      return `Dry run, nothing was asked. It would have been: ${last.request}`;
    case 'done':
      return `${hook} was asked to roll back to ${baseline}: ${last.answer}. Whether it helps is being tested`;
    case 'failed':
      return `${hook} could not roll back to ${baseline}${because}`;
    case 'moved':
      return `${hook} rolled back to ${baseline}, and ${candidate} takes no more traffic. Whether it helps is being tested`;
    case 'not_moved':
      return `${hook} answered (${steps.findLast(({ state }) => state === 'done')?.answer ?? 'done'}), and nothing moved${because}`;
    case 'recovered':
      return `Rolled back to ${baseline}, and it helped${because}`;
    case 'not_recovered':
      return `Rolled back to ${baseline}, and it did not help: ${candidate} is not the culprit, or not alone`;
    case 'unknown':
      return `Rolled back to ${baseline}; whether it helped cannot be told${because}`;
  }
}

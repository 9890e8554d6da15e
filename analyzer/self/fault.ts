import type { Alert } from '../../schemas/alert.ts';
import { derivedId } from '../../schemas/derived-id.ts';
import type { Store } from '../../schemas/store.ts';

/** A fault of Culprit itself, or something that it cannot do right any more, as it is when it is looked for. Nothing of it is inferred: it is counted. */
export type Fault = {
  readonly project: string;
  /** Null: of all. */
  readonly environment: string | null;
  readonly prompt: string | null;
  /** Tells faults of one kind in one project apart; part of the ids, so it must not change while the fault lasts. */
  readonly subject: string;
  /** In the unit of the kind: calls, spans, milliseconds. */
  readonly observed: number;
  readonly allowed: number;
  /** Never after the moment at which it is found. */
  readonly sinceMs: number;
  /** One sentence, without its time. */
  readonly summary: string;
  readonly advice: string;
  /** Calls that show it, where there are any. Asked for when an alert is raised. */
  readonly examples: () => Promise<Alert['examples']>;
};

/** What is looked for. One kind, one file, one line in index.ts. */
export type FaultKind = {
  /** Also the metric of its alerts. */
  readonly name: string;
  /** What holds where there is no such fault. */
  readonly normal: string;
  /** How long it has to be gone until its alert is resolved. */
  readonly calmMs: number;
  /** Why an alert of it is resolved, when it is gone. */
  readonly gone: string;
  find(at: FaultContext): Promise<readonly Fault[]>;
};

export type FaultContext = {
  readonly store: Store;
  readonly nowMs: number;
  /** When this process began to look: what was late before was nobody's. */
  readonly startedMs: number;
  /** Of what concerns no single project. */
  readonly project: string;
};

/** Of all environments, where an alert has to name one. */
const EVERYWHERE = '(all)';

export function causeIdOf(kind: FaultKind, { project, subject }: Fault): string {
  return derivedId(CAUSE, JSON.stringify([kind.name, project, subject]));
}

/** What the ids of causes begin with, before a `_`; they stand where other alerts have their comparison. */
export const CAUSE = 'slf';

/** @param epoch how many alerts the cause has had before. */
export async function selfAlertOf(kind: FaultKind, fault: Fault, at: { readonly epoch: number; readonly raisedMs: number; readonly publicUrl: string }): Promise<Alert> {
  const { observed, allowed } = fault;
  const id = derivedId('alr', `${causeIdOf(kind, fault)}/${at.epoch}`);
  const onset = new Date(Math.min(fault.sinceMs, at.raisedMs)).toISOString();
  return {
    id,
    schema: 'culprit.alert/1',
    state: 'open',
    severity: 'ticket',
    project: fault.project,
    environment: fault.environment ?? EVERYWHERE,
    prompt: fault.prompt,
    prompt_version: null,
    metric: kind.name,
    direction: 'up',
    culprit: { factor: 'pipeline', value: kind.name, baseline: kind.normal, commit: null, author: null, owner: null, diff_url: null },
    evidence: {
      grade: 'counted',
      e_value: 1,
      threshold: 1,
      alpha: 1,
      metrics: {},
      baseline: { units: 0, value: allowed },
      candidate: { units: 0, value: observed },
      effect: { kind: 'difference', estimate: observed - allowed, low: observed - allowed, high: observed - allowed, confidence: 1 },
    },
    exonerated: [],
    onset,
    raised_at: new Date(at.raisedMs).toISOString(),
    resolved_at: null,
    examples: await fault.examples(),
    links: { alert: `${at.publicUrl}/alerts/${id}`, evidence: `${at.publicUrl}/v1/ledger`, chart: `${at.publicUrl}/data`, rollback: null },
    summary: `${fault.summary}, since ${onset.slice(11, 16)} UTC`,
    advice: fault.advice,
  };
}

export const noExamples = async (): Promise<Alert['examples']> => [];

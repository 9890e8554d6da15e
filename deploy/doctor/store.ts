import { LEDGER } from '../../schemas/ledger.ts';
import type { Store } from '../../schemas/store.ts';
import { slotStartMs } from '../../analyzer/slots.ts';
import { readSchemaState } from '../migrate.ts';
import { ok, saidBy, watch, wrong, type Finding } from './finding.ts';

/** What any store says of itself: its schema, the ledger, how far the look has come, what is parked. */

const LATE_MS = 5 * 60_000;

/** @param isRunning whether some process should be looking right now. */
export async function examineStore(store: Store, at: { readonly nowMs: number; readonly isRunning: boolean }): Promise<Finding[]> {
  const findings: Finding[] = [];
  let pending: readonly string[] = [];
  try {
    const schema = await readSchemaState(store);
    pending = schema.pending;
    if (schema.foreign !== null) return [wrong('schema', schema.foreign, 'start the version of Culprit that wrote it, or restore a backup')];
    findings.push(
      schema.newest === null
        ? watch('schema', 'there are no tables yet', 'nothing to do: the first start makes them')
        : pending.length > 0
          ? watch('schema', `${schema.newest}; ${pending.join(', ')} not yet applied`, 'nothing to do: the next start applies them; take a backup before')
          : ok('schema', schema.newest),
    );
    if (schema.newest === null) return findings;
    findings.push(await ledgerFinding(store), await lookFinding(store, at));
    const [parked] = await store.select<{ messages: number }>(`SELECT count() AS messages FROM parked FINAL WHERE state = 'parked'`);
    findings.push(parkedFinding('parked messages', parked?.messages ?? 0));
  } catch (error) {
    // Where a migration is missing, its table may be what is asked for.
    if (pending.length === 0) findings.push(wrong('store', `a question failed: ${saidBy(error)}`, 'see the log of the store'));
  }
  return findings;
}

export function ledgerOf(difference: number): Finding {
  return difference === 0
    ? ok('ledger', 'balances')
    : wrong('ledger', `differs by ${difference}: ${difference > 0 ? 'received and not accounted for' : 'accounted for and not received'}`, 'docs/RUNBOOK.md#culpritledgerunbalanced');
}

export function parkedFinding(check: string, messages: number): Finding {
  return messages === 0 ? ok(check, 'none') : watch(check, `${messages} could not be stored`, 'culprit parked lists them and says why; then culprit parked --replay');
}

async function ledgerFinding(store: Store): Promise<Finding> {
  const [balance] = await store.select<{ difference: number }>(`SELECT sumIf(count, outcome = 'received') - sumIf(count, outcome != 'received') AS difference FROM ${LEDGER}`);
  return ledgerOf(balance?.difference ?? 0);
}

async function lookFinding(store: Store, { nowMs, isRunning }: { readonly nowMs: number; readonly isRunning: boolean }): Promise<Finding> {
  const [progress] = await store.select<{ reached: number }>('SELECT max(look_progress.slot) AS reached FROM look_progress');
  const reached = progress?.reached ?? 0;
  if (reached === 0) return ok('evidence', 'nothing was looked at yet');
  return behindFinding(nowMs - slotStartMs(reached), isRunning);
}

export function behindFinding(behindMs: number, isRunning: boolean): Finding {
  const found = `${Math.max(0, Math.round(behindMs / 1000))} s behind the clock`;
  return isRunning && behindMs > LATE_MS ? wrong('evidence', found, 'docs/RUNBOOK.md#culpritlookbehind') : ok('evidence', found);
}

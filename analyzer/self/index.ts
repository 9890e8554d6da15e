import type { CardinalityLimits } from '../ingest/cardinality.ts';
import { asideFault } from './aside-fault.ts';
import { cardinalityFault } from './cardinality-fault.ts';
import type { FaultKind } from './fault.ts';
import { lagFault } from './lag-fault.ts';
import { ledgerFault } from './ledger-fault.ts';
import { parkedFault } from './parked-fault.ts';

export function faultKinds(limits: CardinalityLimits): readonly FaultKind[] {
  return [cardinalityFault(limits), ledgerFault, lagFault, parkedFault, asideFault];
}

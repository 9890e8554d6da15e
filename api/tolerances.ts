import { z } from '@hono/zod-openapi';
import type { MetricKind, MetricSettings } from '../schemas/evidence.ts';

/** How much worse a metric may be, in the terms of its kind. Below the least, no traffic would prove it. */
const Tolerance = z
  .union([
    z.strictObject({ odds_ratio: z.number().min(1.1).max(10) }).openapi({ description: 'of a rate; usually 1.5' }),
    z.strictObject({ ratio: z.number().min(1.1).max(4) }).openapi({ description: 'of the 95th percentile of a distribution, counted in steps of 9 %; usually one step' }),
    z.strictObject({ shift: z.number().gt(0).max(1e6) }).openapi({ description: 'of a score, in its own units; usually .02 of its range' }),
  ])
  .openapi('Tolerance');
type Tolerance = z.infer<typeof Tolerance>;

/** By metric; of the others the usual is tolerated. */
export const Tolerances = z.record(z.string().min(1).max(512), Tolerance).refine((tolerances) => Object.keys(tolerances).length <= 50, 'are more than 50');
export type Tolerances = z.infer<typeof Tolerances>;

const TERMS: Readonly<Record<MetricKind, string>> = { rate: 'odds_ratio', score: 'shift', distribution: 'ratio' };

/** Why a tolerance does not fit a metric; null: it does. */
export function misfitOf(name: string, kind: MetricKind, tolerance: Tolerance): string | null {
  return TERMS[kind] in tolerance ? null : `the tolerance of ${name} is no ${TERMS[kind]}, as that of a ${kind} is`;
}

/** As the test of "worse" takes it (analyzer/statistics/not-worse.ts); undefined: the usual. */
export function toleratedBy({ kind, minimum = 0, maximum = 1 }: Pick<MetricSettings, 'kind' | 'minimum' | 'maximum'>, tolerance: Tolerance | undefined): number | undefined {
  if (tolerance === undefined) return undefined;
  switch (kind) {
    case 'rate':
      return 'odds_ratio' in tolerance ? tolerance.odds_ratio : undefined;
    case 'score':
      return 'shift' in tolerance ? tolerance.shift / (maximum - minimum) : undefined;
    case 'distribution':
      return 'ratio' in tolerance ? tolerance.ratio : undefined;
  }
}

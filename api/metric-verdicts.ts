import { betStrata, worseningOf } from '../analyzer/statistics/effect.ts';
import { proofCurve, wealthOf } from '../analyzer/statistics/not-worse.ts';
import type { Stratum } from '../analyzer/statistics/types.ts';
import { isSetAside, type MetricKind, type MetricSettings } from '../schemas/evidence.ts';
import type { ApiDeps } from './app.ts';
import type { Found } from './comparisons.ts';
import { readMaterial, readMaterials, type Material } from './evidence.ts';
import { proofHoursOf, seenOf, type Seen } from './forecasts.ts';
import { createKept } from './kept.ts';
import { toleratedBy, type Tolerances } from './tolerances.ts';
import type { Verdict } from './verdict.ts';

/** Of one metric of a comparison what a verdict rests on. Effects with their intervals, which take ten times as long, are in results.ts. */
export type MetricVerdict = {
  readonly name: string;
  readonly kind: MetricKind;
  /** Share of the stake; 0: shown, not bet on. */
  readonly weight: number;
  readonly peak_e_value: number | null;
  readonly verdict: Verdict;
  /** On the scale of the tolerance; positive is worse. */
  readonly worsening: number | null;
  /** What a forecast is made from (forecasts.ts). */
  readonly seen: Seen | null;
  readonly proof_hours: number | null;
};

/** 1/α of the test that a metric is worse by its tolerance (α = .05, as measured in its calibration). */
const NOT_WORSE_THRESHOLD = 20;
/** A list of rollouts has a thousand at most. */
const MOST_KEPT = 2_000;
/** Of comparisons that are read at once, or of one alone: strata are as many as looks and metrics, or a few times that. */
const STRATA_AT_ONCE = 30_000;

export type MetricVerdicts = {
  /** Heaviest stake first. `tolerances`: what `not_worse` is proved against instead of the usual. */
  read(found: Found, tolerances?: Tolerances): Promise<readonly MetricVerdict[]>;
  /** For whoever is about to read many: a question to the store takes longer than a verdict, and here one answers for many. */
  readAhead(asked: readonly Asked[]): Promise<void>;
};
type Asked = { readonly found: Found; readonly tolerances?: Tolerances | undefined };

export function createMetricVerdicts(deps: ApiDeps): MetricVerdicts {
  const kept = createKept<readonly MetricVerdict[]>(MOST_KEPT);
  const readAlone = async (found: Found, tolerances: Tolerances): Promise<readonly MetricVerdict[]> => metricVerdictsOf(found, await readMaterial(deps, found.comparison.id), tolerances);
  return {
    read: (found, tolerances = {}) => kept.get(found, tolerances) ?? kept.set(found, tolerances, readAlone(found, tolerances)),
    async readAhead(asked) {
      for (const together of groupsOf(asked.filter(({ found, tolerances = {} }) => kept.get(found, tolerances) === undefined))) {
        const materials = await readMaterials(deps, together.map(({ found }) => found.comparison.id));
        for (const [index, { found, tolerances = {} }] of together.entries()) {
          const material = materials[index];
          if (material !== undefined) await kept.set(found, tolerances, metricVerdictsOf(found, material, tolerances));
        }
      }
    },
  };
}

function groupsOf(asked: readonly Asked[]): Asked[][] {
  const groups: Asked[][] = [];
  let room = 0;
  for (const each of asked) {
    const size = each.found.comparison.looks * Object.keys(each.found.settings.metrics).length;
    const last = groups.at(-1);
    if (last === undefined || size > room) {
      groups.push([each]);
      room = STRATA_AT_ONCE - size;
    } else {
      last.push(each);
      room -= size;
    }
  }
  return groups;
}

/** Heaviest stake first. */
async function metricVerdictsOf(found: Found, { strata, peaks }: Material, tolerances: Tolerances): Promise<MetricVerdict[]> {
  const verdicts: MetricVerdict[] = [];
  for (const [name, metric] of Object.entries(found.settings.metrics)) {
    verdicts.push(metricVerdictOf(found, { name, metric, bets: betStrata(strata, name, metric), peak_e_value: peaks.get(name) ?? null, tolerances }));
    // Whatever else the process serves goes on between two.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return verdicts.toSorted(byStake);
}

export const byStake = (one: Pick<MetricVerdict, 'weight' | 'name'>, other: Pick<MetricVerdict, 'weight' | 'name'>): number => other.weight - one.weight || (one.name < other.name ? -1 : 1);

/** @param bets strata of the metric that were bet on. */
export function metricVerdictOf(found: Found, { name, metric, bets, peak_e_value, tolerances }: { name: string; metric: MetricSettings; bets: readonly Stratum[]; peak_e_value: number | null; tolerances: Tolerances }): MetricVerdict {
  const { comparison, settings } = found;
  const worsening = worseningOf(metric, bets);
  const isProved = comparison.alert_id !== null || (comparison.peak_e_value ?? 0) >= comparison.threshold;
  const isGuarded = settings.guards.some((guard) => guard.metric === name || guard.metric === '*');
  const tolerated = toleratedBy(metric, tolerances[name]);
  const seen = seenOf(metric, bets, found);
  const { verdict, logWealth } = verdictOf(metric, bets, { worsening, tolerated, isRegressed: isProved && (peak_e_value ?? 0) >= comparison.threshold });
  return {
    name,
    kind: metric.kind,
    weight: metric.weight,
    peak_e_value,
    verdict: isGuarded || (verdict === 'not_worse' && isSetAside(comparison)) ? 'undecided' : verdict,
    worsening,
    seen,
    proof_hours: verdict === 'undecided' && !isGuarded ? proofHoursOf(metric, seen, { log_wealth: logWealth, threshold: NOT_WORSE_THRESHOLD, tolerated }) : null,
  };
}

/** A metric regressed where the comparison's sum crossed, its own evidence did too, and the effect is beyond what is tolerated. `logWealth`: that of each alternative, against "worse". */
function verdictOf(metric: MetricSettings, bets: readonly Stratum[], { worsening, tolerated, isRegressed }: { worsening: number | null; tolerated: number | undefined; isRegressed: boolean }): { verdict: Verdict; logWealth: readonly number[] } {
  if (worsening === null) return { verdict: 'no_data', logWealth: [] };
  if (isRegressed && worsening > metric.tolerance) return { verdict: 'regressed', logWealth: [] };
  const curveOf = proofCurve(metric, tolerated);
  const logWealth: number[] = [];
  // Only arms that ran together prove it: over time, a drift for the better would.
  for (const stratum of bets.filter(({ use }) => use === 'bet')) {
    curveOf(stratum).forEach((increment, index) => {
      logWealth[index] = (logWealth[index] ?? 0) + increment;
    });
    if (wealthOf(logWealth) >= NOT_WORSE_THRESHOLD) return { verdict: 'not_worse', logWealth };
  }
  return { verdict: 'undecided', logWealth };
}

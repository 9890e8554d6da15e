import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seeded } from '../../analyzer/statistics/random.ts';
import { eventually } from '../eventually.ts';
import { alertsOfReplay, appendRecording, essencesOf, RAISED } from '../kafka/recorded.ts';
import { callsOf, linesOf, scenario } from '../simulation/traffic.ts';
import { seconds } from './drill.ts';
import { FAULTS } from './faults.ts';
import { openRig } from './rig.ts';

/** What was raised of the same traffic without any fault (by a replay in one process), and with them. */
export type VerdictsOutcome = {
  readonly fault: string;
  readonly seed: number;
  readonly did: readonly string[];
  readonly calls: number;
  readonly stored: number;
  readonly alerts: number;
  readonly alerts_undisturbed: number;
  /** Ids, metrics, culprits, onsets and e-values, to the last bit. */
  readonly equal: boolean;
  readonly caught_up_s: number;
  readonly holds: boolean;
};

/** Which of the faults; each with how long, ms. Those that change clocks change what an analyzer takes for now, and so when slots close. */
const MEANWHILE: readonly (readonly [name: string, forMs: number])[] = [
  ['kill -9 of an analyzer', 500],
  ['store away', 2_000],
  ['kill -9 of the broker', 0],
  ['network cut between analyzer and broker', 8_000],
  ['frozen analyzer', 8_000],
  ['rebalances in a loop', 8_000],
  ['network hangs between analyzer and store', 4_000],
];

/** Slow enough that the backlog is still being read while the faults come. */
const PACE = { delayMs: 60, bytesPerSecond: 1_000_000 };

export async function drillVerdicts(binary: string, { seed, catchUpMs }: { readonly seed: number; readonly catchUpMs: number }): Promise<VerdictsOutcome> {
  const random = seeded(seed);
  const directory = await mkdtemp(join(tmpdir(), 'culprit-verdicts-'));
  const rig = await openRig({ binary });
  try {
    // Of the last hour, so that the clock of the log has not far to go from its end to now.
    const beginMs = Math.floor((Date.now() - 58 * 60_000) / 60_000) * 60_000;
    const traffic = scenario({ beginMs, minutes: 45, callsPerMinute: 120, versions: [[0, { v1: 1 }], [15, { v1: 0.5, v2: 0.5 }]], changes: [{ version: 'v2', error: 0.25 }] });
    const calls = callsOf(traffic, seed);
    const file = join(directory, 'traffic.jsonl');
    await writeFile(file, `${linesOf(traffic, calls).join('\n')}\n`);
    const undisturbed = await alertsOfReplay(binary, file);
    await appendRecording(rig.broker.address, file);

    for (const seat of ['analyzer-a', 'analyzer-b', 'analyzer-c'] as const) rig.link(seat, 'store').slow(PACE);
    await rig.start('api');
    await Promise.all([rig.start('analyzer-a'), rig.start('analyzer-b')]);
    const stored = async (): Promise<number> => Number((await rig.ask<{ calls: string }>('SELECT count() AS calls FROM calls FINAL'))[0]?.calls);
    const did: string[] = [];
    for (const [name, forMs] of MEANWHILE) {
      const fault = FAULTS.find((each) => each.name === name);
      if (fault === undefined) throw new Error(`there is no fault "${name}"`);
      did.push(`${name}, ${await stored()} of ${calls.length} stored before it: ${await fault.run(rig, random, forMs)}`);
    }
    const healedMs = performance.now();
    for (const seat of ['analyzer-a', 'analyzer-b', 'analyzer-c'] as const) rig.link(seat, 'store').heal();
    const raised = async () => essencesOf((await rig.ask<{ body: string }>(RAISED)).map(({ body }) => body));
    const caughtUp = await eventually(
      async () => {
        if (JSON.stringify(await raised()) !== JSON.stringify(undisturbed)) throw new Error('not yet');
        return performance.now();
      },
      { timeoutMs: catchUpMs, everyMs: 500 },
    ).catch(() => Number.POSITIVE_INFINITY);
    rig.allAlive();
    const equal = Number.isFinite(caughtUp);
    if (!equal) console.error(JSON.stringify({ undisturbed, raised: await raised() }));
    return {
      fault: 'verdicts of recorded traffic, under seven faults', seed, did, calls: calls.length, stored: await stored(), alerts: (await raised()).length, alerts_undisturbed: undisturbed.length,
      equal, caught_up_s: seconds(caughtUp - healedMs), holds: equal && (await stored()) === calls.length && undisturbed.length > 0,
    };
  } finally {
    await rig.end();
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Fault drills over the whole product on one machine: `npm run drill`.
 *
 *   npm run drill                                            each drill once, seed 1 (about ten minutes)
 *   npm run drill -- --only "network cut" --seed 7           those whose name has the words
 *   npm run drill -- --minutes 30                            again and again, with another seed each round
 *   npm run drill -- --only simulation                       10 collectors and 50 analyzers over 1,000 partitions, in virtual time
 *   … --for SECONDS (of each fault) --rate SPANS_PER_SECOND
 *
 * Prints a line of JSON for each, and ends with 1 where an acknowledged span or score is lost or there twice, the ledger does not close, a verdict is another
 * than that of undisturbed traffic, or a process ended by itself.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mountSmallDisk } from '../full-disk.ts';
import { createDrills } from './drill.ts';
import { drillFullDisk } from './embedded.ts';
import { FAULTS, fullDisk, type Fault } from './faults.ts';
import { openRig, RESIDENTS, startResidents } from './rig.ts';
import { brokenBy, simulate } from './simulation/simulation.ts';
import { drillVerdicts } from './verdicts.ts';

/** Of what a process said before a drill failed. */
const SAID_CHARACTERS = 4_000;
const STORE_DISK_MEGABYTES = 512;
const ROOT = join(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    minutes: { type: 'string', default: '0' },
    for: { type: 'string', default: '12' },
    rate: { type: 'string', default: '400' },
    patience: { type: 'string', default: '180' },
  },
});
const endMs = performance.now() + Number(values.minutes) * 60_000;
const settingsOf = (seed: number) => ({ seed, forMs: Number(values.for) * 1000, spansPerSecond: Number(values.rate), catchUpMs: Number(values.patience) * 1000 });

function report(outcome: { readonly holds: boolean }): void {
  console.log(JSON.stringify(outcome));
  if (!outcome.holds) process.exitCode = 1;
}

/** Over one rig, one after the other. */
async function overRig(faults: readonly Fault[], seed: number, storeIn?: string): Promise<void> {
  if (faults.length === 0) return;
  const rig = await openRig({ binary, ...(storeIn === undefined ? {} : { storeIn }) });
  try {
    await startResidents(rig);
    const drills = createDrills(rig);
    for (const fault of faults) {
      const outcome = await drills.run(fault, settingsOf(seed));
      report(outcome);
      if (!outcome.holds) for (const seat of RESIDENTS) console.error(`--- ${seat}\n${rig.process(seat).output().slice(-SAID_CHARACTERS)}`);
    }
  } finally {
    await rig.end();
  }
}

async function onSmallDisk(seed: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'culprit-disk-'));
  const disk = mountSmallDisk(directory, STORE_DISK_MEGABYTES);
  try {
    await overRig([fullDisk(directory)], seed, directory);
  } finally {
    disk.unmount();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Besides the faults of one rig. */
const OTHERS: readonly { readonly name: string; readonly run: (seed: number) => Promise<void> }[] = [
  { name: 'full disk of the store', run: onSmallDisk },
  { name: 'full disk, embedded', run: async (seed) => report(await drillFullDisk(binary, settingsOf(seed))) },
  { name: 'verdicts', run: async (seed) => report(await drillVerdicts(binary, settingsOf(seed))) },
  {
    name: 'simulation',
    async run(seed) {
      const outcome = await simulate({ seed, collectors: 10, analyzers: 50, partitions: 1_000, faultSeconds: 45, messagesPerSecond: 100 });
      const broken = brokenBy(outcome);
      const told = { fault: 'simulation', ...outcome, broken, holds: broken.length === 0 };
      report(told);
    },
  },
];

const [faults, others] = [FAULTS.filter(({ name }) => name.includes(values.only)), OTHERS.filter(({ name }) => name.includes(values.only))];
if (faults.length + others.length === 0) throw new Error(`no drill has "${values.only}" in its name; there are: ${[...FAULTS, ...OTHERS].map(({ name }) => name).join('; ')}`);

const built = await mkdtemp(join(tmpdir(), 'culprit-drill-'));
const building = spawnSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, env: { ...process.env, CULPRIT_BUILD_DIR: built }, encoding: 'utf8' });
if (building.status !== 0) throw new Error(`the build failed: ${building.stdout}${building.stderr}`);
await symlink(join(ROOT, 'node_modules'), join(built, 'node_modules'));
const binary = join(built, 'deploy/bin.cjs');
try {
  let seed = Number(values.seed);
  do {
    await overRig(faults, seed);
    for (const other of others) await other.run(seed);
    seed += 1;
  } while (performance.now() < endMs);
} finally {
  await rm(built, { recursive: true, force: true });
}

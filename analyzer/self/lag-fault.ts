import { noExamples, type FaultKind } from './fault.ts';
import { slotStartMs } from '../slots.ts';

const ALLOWED_MS = 5 * 60_000;

/** Slots have closed and nobody has looked at them: a version that is worse now would be told too late, or never. */
export const lagFault: FaultKind = {
  name: 'lag',
  normal: 'at most five minutes',
  calmMs: 2 * 60_000,
  gone: 'the evidence is up to the clock again',
  async find({ store, nowMs, startedMs, project }) {
    const [progress] = await store.select<{ reached: number }>('SELECT max(look_progress.slot) AS reached FROM look_progress');
    if (progress === undefined || progress.reached === 0) return [];
    const reachedMs = slotStartMs(progress.reached);
    // What came while no process ran is caught up with first.
    const sinceMs = Math.max(reachedMs, startedMs);
    const observed = nowMs - sinceMs;
    if (observed <= ALLOWED_MS) return [];
    return [
      {
        project,
        environment: null,
        prompt: null,
        subject: 'look',
        observed,
        allowed: ALLOWED_MS,
        sinceMs,
        summary: `evidence is ${Math.floor(observed / 60_000)} minutes behind the clock: no alert can be raised of what happens now`,
        advice: 'Read the log of the analyzer for "a look failed", and see whether the store answers and has room. Nothing is lost: what was missed is looked at in order once it goes on.',
        examples: noExamples,
      },
    ];
  },
};

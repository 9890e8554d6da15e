import { noExamples, type FaultKind } from './fault.ts';
import { slotOf, slotStartMs } from '../slots.ts';

/** Prompts that the look goes on without, since the store does not answer what is asked about them, and comparisons that could not be read (look/aside.ts). */
export const asideFault: FaultKind = {
  name: 'set_aside',
  normal: 'every prompt is watched',
  // Who comes back and fails again is set aside again: one fault, also where the look is some minutes behind.
  calmMs: 10 * 60_000,
  gone: 'it is watched again; of comparisons that were closed, a day has passed',
  async find({ store, nowMs }) {
    const rows = await store.select<{ project: string; environment: string; prompt_name: string; comparison_id: string; last_slot: number; last_reason: string; times: number }>(
      `SELECT project, environment, prompt_name, comparison_id, max(slot) AS last_slot, argMax(reason, slot) AS last_reason, count() AS times FROM set_aside FINAL
       WHERE until_slot > {now:UInt32} GROUP BY project, environment, prompt_name, comparison_id ORDER BY last_slot, project, environment, prompt_name, comparison_id LIMIT 100`,
      { now: slotOf(nowMs) },
    );
    return rows.map(({ project, environment, prompt_name, comparison_id, last_slot, last_reason, times }) => {
      const name = prompt_name === '' ? 'a model' : prompt_name;
      const isOne = comparison_id !== '';
      return {
        project,
        environment,
        prompt: prompt_name === '' ? null : prompt_name,
        subject: `${environment}/${prompt_name}/${comparison_id}`,
        observed: times,
        allowed: 0,
        sinceMs: Math.min(nowMs, slotStartMs(last_slot)),
        summary: isOne ? `a comparison of ${name} was closed as undecided, as what was kept of it cannot be read` : `${name} is not watched: what is asked about it fails, while other prompts are answered`,
        advice: isOne
          ? `It was ${comparison_id}: ${last_reason}. An alert of it that is open stays so until somebody resolves it. Its candidate is compared again when it comes back after a day without calls; to have it compared now, deploy it under another version.`
          : `No version of it can be told to be worse meanwhile; its verdicts are undecided, all else goes on. The store said: ${last_reason}. It is tried again every half hour and goes on where it stood. A limit of memory or time: give the store more of it, or the prompt fewer calls (one name for several prompts?). Else read the log of the analyzer.`,
        examples: noExamples,
      };
    });
  },
};

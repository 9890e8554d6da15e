import { seeded } from '../../analyzer/statistics/random.ts';
import { eventually } from '../eventually.ts';
import type { Fault } from './faults.ts';
import { startLoad, type Load } from './load.ts';
import type { Rig } from './rig.ts';

/** What a drill came to. `lost` and `doubled` are of acknowledged spans and scores. */
export type Outcome = {
  readonly fault: string;
  readonly seed: number;
  readonly did: string;
  readonly fault_s: number;
  readonly acknowledged: number;
  /** Of these, while the fault was on. */
  readonly acknowledged_meanwhile: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly stored: number;
  readonly lost: number;
  readonly doubled: number;
  /** `closes`, or what is wrong with it. */
  readonly ledger: string;
  /** From the end of the fault until everything was stored and the ledger closed. */
  readonly caught_up_s: number;
  readonly holds: boolean;
};

export type DrillSettings = { readonly seed: number; readonly forMs: number; readonly spansPerSecond: number; readonly catchUpMs: number };

/**
 * Drills over one rig, one after the other: the ledger is of all of them.
 * @param before spans and scores that were taken before.
 */
export function createDrills(rig: Rig, before = 0) {
  let taken = before;
  let number = 0;
  return {
    async run(fault: Fault, { seed, forMs, spansPerSecond, catchUpMs }: DrillSettings): Promise<Outcome> {
      const random = seeded(seed);
      const prompt = `drill ${(number += 1)}`;
      // Ids of its own, also where the seed is that of another drill.
      const load = startLoad({ url: rig.collectorUrl, prompt, spansPerSecond, random: seeded(seed * 1_000_003 + number) });
      await load.more(100);
      const [beganMs, soFar] = [performance.now(), load.spans.size];
      const did = await fault.run(rig, random, forMs);
      const [healedMs, meanwhile] = [performance.now(), load.spans.size - soFar];
      await load.more(100);
      await load.stop();
      taken += load.spans.size + load.scores.size;
      rig.allAlive();
      const look = async () => ({ ...(await reckon(rig, load, prompt)), ledger: await ledgerSays(rig, taken) });
      let found = await look();
      const caughtUp = await eventually(
        async () => {
          found = await look();
          if (found.lost > 0 || found.doubled > 0 || found.ledger !== 'closes') throw new Error('not yet');
          return performance.now();
        },
        { timeoutMs: catchUpMs, everyMs: 200 },
      ).catch(() => Number.POSITIVE_INFINITY);
      rig.allAlive();
      return {
        fault: fault.name,
        seed,
        did,
        fault_s: seconds(healedMs - beganMs),
        acknowledged: load.spans.size + load.scores.size,
        acknowledged_meanwhile: meanwhile,
        refused: Object.fromEntries(load.refusals),
        ...found,
        caught_up_s: seconds(caughtUp - healedMs),
        holds: Number.isFinite(caughtUp),
      };
    },
  };
}

const LEDGER_TIMEOUT_MS = 10_000;

/** What the store has of the acknowledged, each once. */
async function reckon(rig: Rig, load: Load, prompt: string): Promise<{ stored: number; lost: number; doubled: number }> {
  type Row = { trace_id: string; span_id: string };
  const calls = await rig.ask<Row>(`SELECT trace_id, span_id FROM calls FINAL WHERE prompt_name = '${prompt}' AND role = 'call' AND slot > 0`);
  const scores = await rig.ask<Row>(`SELECT call_trace_id AS trace_id, call_span_id AS span_id FROM scores FINAL WHERE prompt_name = '${prompt}' AND join_state = 'joined' AND slot > 0`);
  let [stored, lost, doubled] = [0, 0, 0];
  for (const [rows, acknowledged] of [[calls, load.spans], [scores, load.scores]] as const) {
    const found = new Set(rows.map(({ trace_id, span_id }) => `${trace_id}/${span_id}`));
    stored += rows.length;
    doubled += rows.length - found.size;
    lost += [...acknowledged].filter((name) => !found.has(name)).length;
    // Nothing else was sent.
    doubled += [...found].filter((name) => !acknowledged.has(name)).length;
  }
  return { stored, lost, doubled };
}

async function ledgerSays(rig: Rig, taken: number): Promise<string> {
  try {
    const answer = await fetch(`${rig.apiUrl}/v1/ledger`, { signal: AbortSignal.timeout(LEDGER_TIMEOUT_MS) });
    const { balanced, stored, waiting } = (await answer.json()) as { balanced: boolean; stored: number; waiting: number }; // The contract of the API.
    return balanced && stored === taken && waiting === 0 ? 'closes' : `${stored} stored of ${taken}, ${waiting} wait, ${balanced ? 'balanced' : 'not balanced'}`;
  } catch (error) {
    return `is not told: ${String(error)}`;
  }
}

export function seconds(ms: number): number {
  return Number((ms / 1000).toFixed(1));
}

/**
 * What a slot of half a minute costs the look, the store's answers included, as prompts that are compared grow in number, and as calls do: `node --import tsx test/bench/looks.ts [prompts]…`
 * Prints one JSON line for each: every prompt has a version on half of its traffic, slots are looked at one by one, as a server does; of the last ten minutes, when all comparisons are open.
 */
import { SLOT_MS } from '../../analyzer/slots.ts';
import { callsOf, linesOf, scenario, together } from '../simulation/traffic.ts';
import { ingest, lookOver, openStore } from '../simulation/store.ts';

const counts = process.argv.slice(2).map(Number);
const MINUTES = 40;
const MEASURED_SLOTS = 20;

for (const prompts of counts.length > 0 ? counts : [10, 40, 160]) console.log(JSON.stringify(await measure({ prompts, callsPerMinute: 10 })));
if (counts.length === 0) for (const callsPerMinute of [40, 160]) console.log(JSON.stringify(await measure({ prompts: 10, callsPerMinute })));

async function measure({ prompts, callsPerMinute }: { readonly prompts: number; readonly callsPerMinute: number }): Promise<object> {
  const { store, close } = await openStore();
  try {
    const traffic = Array.from({ length: prompts }, (_, index) => scenario({ prompt: `prompt ${index}`, minutes: MINUTES, callsPerMinute, versions: [[0, { v1: 1 }], [15, { v1: 0.5, v2: 0.5 }]] }));
    const endMs = await ingest(store, together(...traffic.map((each, index) => linesOf(each, callsOf(each, index)))));
    let questions = 0;
    const look = lookOver({ ...store, select: (sql, parameters) => ((questions += 1), store.select(sql, parameters)) }, {}, 1);
    await look.start();
    await look.advance(endMs - MEASURED_SLOTS * SLOT_MS);
    const [before, cpu, began] = [questions, process.cpuUsage(), performance.now()];
    await look.advance(endMs);
    const [ms, { user, system }] = [performance.now() - began, process.cpuUsage(cpu)];
    const [open] = await store.select<{ comparisons: number; kb: number }>(`SELECT count() AS comparisons, sum(length(settings) + length(snapshot)) / 1000 AS kb FROM comparisons FINAL WHERE state = 'open'`);
    const each = (of: number): number => Number((of / MEASURED_SLOTS).toFixed(1));
    return {
      bench: 'looks', prompts, comparisons: open?.comparisons, calls_a_slot: (prompts * callsPerMinute) / 2,
      questions_a_slot: each(questions - before), ms_a_slot: each(ms), cpu_ms_a_slot: each((user + system) / 1_000), filed_kb_a_slot: Math.round(open?.kb ?? 0),
    };
  } finally {
    await close();
  }
}

/**
 * A prompt with much traffic: `node --expose-gc --import tsx test/bench/busy.ts [cutover|sessions] [calls a second]… [hours]` writes hours of a version's calls into the store, each in a trace of its own (with `sessions`: two of each session), then twelve minutes in which a tenth
 * (with `cutover`: all) are of a version that fails ten times as often, and looks at those slots one by one, as a server does that was started before them. Prints one JSON line for each rate, with what the look holds at the end; fails where the version is not paged.
 */
import { SLOT_MS, SLOTS_PER_HOUR } from '../../analyzer/slots.ts';
import { lookOver, openStore } from '../simulation/store.ts';

const rollout = ['cutover', 'sessions'].find((name) => name === process.argv[2]) ?? 'canary';
const [hours = 24, ...rates] = process.argv.slice(rollout === 'canary' ? 2 : 3).map(Number).reverse();
const CANARY_SLOTS = 24;
const ROWS = 1_000_000;
const PROMPT = 'moderation';

/** Calls in even steps, complete in the slot in which they began; who fails is told by a hash. */
const INSERT = `
  INSERT INTO calls (project, event_time, trace_id, span_id, session_id, start_ns, end_ns, received_ms, slot, batch, revision, role, environment, service_name, operation, prompt_name, prompt_version, prompt_attribution,
                     provider, request_model, response_model, is_error, finish_reason, input_tokens, output_tokens, ttft_ms, cost_usd, stratum_attributes)
  SELECT 'default', toDateTime(intDiv(at_ms, 1000)), lower(hex(MD5(toString(number)))), lower(hex(number + 1)), if({calls_of_unit:UInt8} = 1, NULL, toString(intDiv(number, {calls_of_unit:UInt8}))), at_ms * 1000000, (at_ms + 700 + cityHash64(number, 'ms') % 600) * 1000000, at_ms + 1400, at_slot, 1, 1, 'call', 'production', 'shop', 'chat',
         {prompt:String}, if(is_canary, 'v2', 'v1'), 'direct', 'openai', 'gpt-4o', 'gpt-4o-2024-08-06', cityHash64(number, 'error') % 1000 < if(is_canary, 100, 10), 'stop', 700 + cityHash64(number, 'in') % 200, 100 + cityHash64(number, 'out') % 300, 250, 0.004, map('app.route', '/moderate', 'gen_ai.agent.name', 'gatekeeper')
  FROM (SELECT number + {from:UInt64} AS number, {first_slot:UInt64} + intDiv(number, {per_slot:UInt64}) AS at_slot, at_slot * ${SLOT_MS} + intDiv((number % {per_slot:UInt64}) * ${SLOT_MS}, {per_slot:UInt64}) AS at_ms,
               at_slot >= {canary_slot:UInt64} AND cityHash64(intDiv(number, {calls_of_unit:UInt8}), 'arm') % 10 < {of_ten:UInt8} AS is_canary
        FROM numbers({rows:UInt64}))`;

/** MiB on the heap and in buffers, after a collection where there is one to ask for. */
function held(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
}

async function measure(callsPerSecond: number): Promise<object> {
  const { store, close } = await openStore();
  try {
    const perSlot = (callsPerSecond * SLOT_MS) / 1_000;
    const canarySlot = 50_000 * SLOTS_PER_HOUR;
    const firstSlot = canarySlot - hours * SLOTS_PER_HOUR;
    const calls = (hours * SLOTS_PER_HOUR + CANARY_SLOTS) * perSlot;
    for (let from = 0; from < calls; from += ROWS) await store.command(INSERT, { from, rows: Math.min(ROWS, calls - from), first_slot: firstSlot, canary_slot: canarySlot, per_slot: perSlot, prompt: PROMPT, of_ten: rollout === 'cutover' ? 10 : 1, calls_of_unit: rollout === 'sessions' ? 2 : 1 });
    await store.insert('look_progress', [{ owner: 'embedded', slot: canarySlot - 4 }]);
    const before = held();
    const look = lookOver(store, {}, 1);
    await look.start();
    const paged: number[] = [];
    const took: number[] = [];
    const cpu = process.cpuUsage();
    for (let slot = canarySlot - 4; slot < canarySlot + CANARY_SLOTS; slot += 1) {
      const began = performance.now();
      const events = await look.advance((slot + 1) * SLOT_MS);
      took.push(performance.now() - began);
      if (events.some((event) => event.kind === 'alert' && event.alert.state === 'open' && event.alert.culprit.value === 'v2')) paged.push(slot);
    }
    const { user, system } = process.cpuUsage(cpu);
    const heldMiB = held();
    if (paged.length === 0) throw new Error('the version that fails was not paged');
    const ms = (index: number): number => Math.round(took.toSorted((one, other) => one - other).at(index) ?? 0);
    return {
      bench: 'busy', rollout, calls_a_second: callsPerSecond, hours, calls, slots: took.length, paged_after_slots: (paged[0] ?? 0) - canarySlot + 1,
      slowest_slots_ms: [ms(-1), ms(-2), ms(-3)], middle_slot_ms: ms(Math.floor(took.length / 2)), held_mib: Math.round((heldMiB - before) * 10) / 10, cpu_s_a_slot: Number(((user + system) / 1e6 / took.length).toFixed(2)),
    };
  } finally {
    await close();
  }
}

for (const callsPerSecond of rates.length > 0 ? rates.reverse() : [20, 150]) console.log(JSON.stringify(await measure(callsPerSecond)));

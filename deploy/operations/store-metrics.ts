import { Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';
import { SLOT_MS } from '../../analyzer/slots.ts';
import { WRITTEN } from '../../schemas/cells.ts';
import { LEDGER } from '../../schemas/ledger.ts';

/**
 * What the store knows of the whole: the ledger, what waits, what is parked, what was told to whom. Over all projects, without their names. Asked for
 * when it is scraped, once in fifteen seconds at most; of several processes over one store each says the same.
 */
const ASKED_EVERY_MS = 15_000;
/** A store that does not answer must not hold up the numbers of the process, which say why. */
const ANSWERED_MS = 4_000;
/** Reasons are ours and few; a bound for a store that somebody else wrote into. */
const MOST_ROWS = 200;

type Overview = {
  readonly records: readonly { readonly signal: string; readonly outcome: string; readonly reason: string; readonly records: number }[];
  readonly difference: number;
  readonly waiting: number;
  readonly parked: number;
  readonly aside: number;
  readonly deliveries: readonly { readonly sink: string; readonly outcome: string; readonly attempts: number }[];
};

/** @param sinks of the configuration: what was told to one that is no longer there is nobody's concern. */
export function watchStore(registry: Registry, { store, clock }: { readonly store: Store; readonly clock: Clock }, sinks: readonly string[]): void {
  let known: { readonly atMs: number; readonly overview: Promise<Overview | null> } | null = null;
  const overview = (): Promise<Overview | null> => {
    const nowMs = clock();
    if (known === null || Math.abs(nowMs - known.atMs) > ASKED_EVERY_MS) known = { atMs: nowMs, overview: withinTime(readOverview(store, sinks)) };
    return known.overview;
  };
  /** What is not known is not there, so that nothing looks fine that was not asked. */
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[], set: (gauge: Gauge<Label>, overview: Overview) => void): void => {
    const registered: Gauge<Label> = new Gauge<Label>({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        const read = await overview();
        registered.reset();
        if (read !== null) set(registered, read);
        else if (labelNames.length === 0) registered.remove();
      },
    });
  };
  gauge('culprit_ledger_records', 'Spans and log records by what became of them, since the beginning; a correction may take from one and give to another', ['signal', 'outcome', 'reason'], (each, { records }) => {
    for (const { signal, outcome, reason, records: count } of records) each.set({ signal, outcome, reason }, count);
  });
  gauge('culprit_ledger_difference', 'Records received less those accounted for; not 0 for long means lost or doubled ones', [], (each, { difference }) => each.set(difference));
  gauge('culprit_calls_waiting', 'Calls that wait for a relative that may carry their prompt', [], (each, { waiting }) => each.set(waiting));
  gauge('culprit_parked_messages', 'Messages in the store that could not be stored as what they are', [], (each, { parked }) => each.set(parked));
  gauge('culprit_set_aside', 'Prompts that the look goes on without, and comparisons of the last day that could not be read', [], (each, { aside }) => each.set(aside));
  gauge('culprit_delivery_attempts', 'Attempts to tell a sink in the last 24 hours, by outcome', ['sink', 'outcome'], (each, { deliveries }) => {
    for (const { sink, outcome, attempts } of deliveries) each.set({ sink, outcome }, attempts);
  });
  void new Gauge({
    name: 'culprit_store_up',
    help: '1 where the store has answered, else 0',
    registers: [registry],
    async collect() {
      this.set((await overview()) === null ? 0 : 1);
    },
  });
}

async function readOverview(store: Store, sinks: readonly string[]): Promise<Overview> {
  const [records, [waiting], [parked], [aside], deliveries] = await Promise.all([
    store.select<{ signal: string; outcome: string; reason: string; records: number }>(`SELECT signal, outcome, reason, sum(count) AS records FROM ${LEDGER} WHERE outcome != '${WRITTEN.outcome}' GROUP BY signal, outcome, reason ORDER BY records DESC, signal, outcome, reason LIMIT {most:UInt32}`, { most: MOST_ROWS }),
    // As in api/ledger.ts.
    store.select<{ calls: number }>(
      `SELECT count() AS calls FROM calls FINAL WHERE slot = 0 AND role = 'call' AND (project, event_time, trace_id, span_id) IN
         (SELECT project, event_time, trace_id, span_id FROM calls WHERE slot = 0 AND role = 'call')`,
    ),
    store.select<{ messages: number }>(`SELECT count() AS messages FROM parked FINAL WHERE state = 'parked'`),
    store.select<{ prompts: number }>('SELECT uniqExact(project, environment, prompt_name, comparison_id) AS prompts FROM set_aside WHERE until_slot > intDiv(toUnixTimestamp(now()), {slot_s:UInt32})', { slot_s: SLOT_MS / 1000 }),
    store.select<{ sink: string; outcome: string; attempts: number }>(
      `SELECT sink, outcome, count() AS attempts FROM deliveries WHERE at_ms > toUnixTimestamp(now() - INTERVAL 1 DAY) * 1000 AND sink IN {sinks:Array(String)}
       GROUP BY sink, outcome ORDER BY sink, outcome LIMIT {most:UInt32}`,
      { sinks, most: MOST_ROWS },
    ),
  ]);
  const [balance] = await store.select<{ difference: number }>(`SELECT sumIf(count, outcome = 'received') - sumIf(count, outcome != 'received') AS difference FROM ${LEDGER}`);
  return { records, difference: balance?.difference ?? 0, waiting: waiting?.calls ?? 0, parked: parked?.messages ?? 0, aside: aside?.prompts ?? 0, deliveries };
}

async function withinTime(reading: Promise<Overview>): Promise<Overview | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), ANSWERED_MS)));
  try {
    return await Promise.race([reading, late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

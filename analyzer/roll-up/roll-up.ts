import { countCells, EVENT_HOUR, HOUR_S, hourOf, rollUp, WRITTEN, type CellSource } from '../../schemas/cells.ts';
import type { Clock, RandomSource } from '../../schemas/clock.ts';
import type { Store } from '../../schemas/store.ts';

/**
 * The roll-up: cells of whole hours, from the stored rows, by whoever owns the look loop and beside it.
 *
 * Rows are revised: a late ancestor, a duplicate, a wrapper demoted, a score joined or deleted. So nothing is ever added to a cell: the cells
 * of an hour are made anew, all of them, from rows that are each counted once, under a version of their own; then one row of `cell_hours` says that
 * they count. A crash between the two leaves cells that nobody reads. Two owners write two versions of the same, and the later one counts.
 *
 * When an hour has to be made again, the ledger tells: each batch writes down, after its rows, which hours of event time it has written
 * into (`WRITTEN`), and an hour remembers the last batch of each shard that it has seen. Readers hold the two against each other as well
 * (api/hours.ts), so from the moment in which a batch is acknowledged, until it is rolled up, an hour is read from its rows.
 */
export type RollUp = {
  /** Hours that are due: those written into since, longest waiting first; then those without cells, newest first. As many as fit into a turn; resolves with how many. One at a time. */
  tick(): Promise<number>;
};

export type RollUpSettings = {
  /** Days that calls and scores are kept, and cells; null: for ever. */
  readonly rowsDays: number | null;
  readonly cellsDays: number | null;
  /** Past which a turn begins no other hour. */
  readonly turnMs: number;
  readonly hoursPerTurn: number;
  /** Beyond it an hour has no cells, and is read from its rows. */
  readonly maxCells: number;
};

export const DEFAULT_ROLL_UP = { turnMs: 3_000, hoursPerTurn: 48, maxCells: 50_000 } as const;

/** After the end of an hour, for calls that end late. */
const REST_S = 120;
const DAY_S = 86_400;
/** Rows and cells are not counted on so shortly before they expire. */
const MARGIN_S = HOUR_S;
const SOURCES: readonly CellSource[] = ['calls', 'scores'];

type State = 'whole' | 'sealed' | 'refused' | 'gone';
type Due = { readonly source: CellSource; readonly hour: number };
type Known = { readonly hour: number; readonly at_us: number; readonly state: State; readonly version: number; readonly batches: Readonly<Record<string, number>>; readonly is_current: boolean };

export function createRollUp({ store, clock, random }: { readonly store: Store; readonly clock: Clock; readonly random: RandomSource }, settings: RollUpSettings): RollUp {
  /** Hours with cells that were seen to be written into, by `keyOf`, in the order in which that was seen. */
  let noticed: readonly string[] = [];

  const tick = async (): Promise<number> => {
    const beganMs = clock();
    const now_s = Math.floor(beganMs / 1000);
    const oldest = Math.max(...[settings.rowsDays, settings.cellsDays].map((days) => (days === null ? 0 : now_s - days * DAY_S + MARGIN_S)));
    const changed: Due[] = [];
    let newest = 0;
    const fresh: Due[] = [];
    for (const source of SOURCES) {
      // 1. What is known of the hours, and which of them were written into since.
      const known = await readKnown(store, source);
      newest = known.reduce((most, { at_us }) => Math.max(most, at_us), newest);
      changed.push(...known.filter(({ hour, state, is_current }) => !is_current && hour >= oldest && (state === 'whole' || state === 'refused')).map(({ hour }) => ({ source, hour })));
      // 2. What expires: cells count for good when their rows do, and no more when they do themselves.
      await seal(source, known, now_s);
      // 3. Which have no cells yet.
      const has = new Set(known.map(({ hour }) => hour));
      fresh.push(...(await hoursOf(source, oldest, now_s)).filter((hour) => !has.has(hour)).map((hour) => ({ source, hour })));
    }
    // 4. An hour that was just written into waits for the next turn: nobody then still reads the cells that are replaced.
    const waited = new Set(noticed);
    const inOrder = changed.toSorted((one, other) => rankIn(noticed, one) - rankIn(noticed, other));
    noticed = inOrder.map(keyOf);
    const again = inOrder.filter((due) => waited.has(keyOf(due)));
    // Unique among owners; what begins later has the higher one, whatever the clock says.
    const version = Math.max(clock() * 1000, newest + 1) + Math.floor(random() * 1000);
    // 5. As many as fit into the turn: what changed, then what is new, from the newest on.
    const turn = [...again, ...fresh.toSorted((one, other) => other.hour - one.hour)].slice(0, settings.hoursPerTurn);
    let made = 0;
    for (const source of SOURCES) {
      const hours = turn.filter((due) => due.source === source).map(({ hour }) => hour);
      if (hours.length > 0) made += await make({ source, hours, version }, () => clock() - beganMs > settings.turnMs);
    }
    return made;
  };

  /** From the newest hour that is over to the first that has rows. */
  const hoursOf = async (source: CellSource, oldest: number, now_s: number): Promise<number[]> => {
    const [first] = await store.select<{ first_s: number; rows: number }>(`SELECT toUnixTimestamp(min(event_time)) AS first_s, count() AS rows FROM ${source}`);
    if (first === undefined || first.rows === 0) return [];
    const from = Math.ceil(Math.max(oldest, hourOf(first.first_s)) / HOUR_S) * HOUR_S;
    const hours: number[] = [];
    for (let hour = hourOf(now_s - REST_S) - HOUR_S; hour >= from; hour -= HOUR_S) hours.push(hour);
    return hours;
  };

  /** Resolves with how many were made. Which batches are in an hour is read before its rows: one that comes meanwhile makes it due again. */
  const make = async ({ source, hours, version }: { readonly source: CellSource; readonly hours: readonly number[]; readonly version: number }, isOver: () => boolean): Promise<number> => {
    const bounds = { first: Math.min(...hours), last: Math.max(...hours) };
    const written = await store.select<{ hour: number; shard: number; last: number }>(
      `SELECT toUnixTimestamp(hour) AS hour, shard, max(last_batch) AS last FROM ledger
       WHERE project = {project:String} AND ledger.hour >= {first:UInt32} AND ledger.hour <= {last:UInt32} AND signal = {source:String} AND outcome = {outcome:String} GROUP BY hour, shard`,
      { ...WRITTEN, source, ...bounds },
    );
    const filled = await store.select<{ hour: number }>(`SELECT DISTINCT ${EVENT_HOUR} AS hour FROM ${source} WHERE event_time >= {first:UInt32} AND event_time < {last:UInt32} + ${HOUR_S}`, bounds);
    const rowOf = (hour: number, state: State): object => ({ source, hour, at_us: version, state, version, batches: Object.fromEntries(written.filter((row) => row.hour === hour).map(({ shard, last }) => [shard, last])) });
    const hasRows = new Set(filled.map(({ hour }) => hour));
    const empty = hours.filter((hour) => !hasRows.has(hour));
    await store.insert('cell_hours', empty.map((hour) => rowOf(hour, 'whole')));
    let made = empty.length;
    for (const hour of hours.filter((each) => hasRows.has(each))) {
      if (isOver()) break;
      const [count] = await store.select<{ cells: number }>(countCells(source), { hour });
      const isTooMany = (count?.cells ?? 0) > settings.maxCells;
      if (!isTooMany) await store.command(rollUp(source), { hour, version });
      await store.insert('cell_hours', [rowOf(hour, isTooMany ? 'refused' : 'whole')]);
      made += 1;
    }
    return made;
  };

  const seal = async (source: CellSource, known: readonly Known[], now_s: number): Promise<void> => {
    const isPast = (hour: number, days: number | null): boolean => days !== null && hour < now_s - days * DAY_S + MARGIN_S;
    const rows = known.flatMap(({ hour, at_us, state, version, batches }) => {
      const next: State | null = state !== 'gone' && isPast(hour, settings.cellsDays) ? 'gone' : state === 'whole' && isPast(hour, settings.rowsDays) ? 'sealed' : null;
      return next === null ? [] : [{ source, hour, at_us: Math.max(clock() * 1000, at_us + 1), state: next, version, batches }];
    });
    await store.insert('cell_hours', rows);
  };

  return { tick };
}

const keyOf = ({ source, hour }: Due): string => `${source} ${hour}`;

/** What was noticed first comes first, and what is not in it last. */
function rankIn(noticed: readonly string[], due: Due): number {
  const at = noticed.indexOf(keyOf(due));
  return at === -1 ? noticed.length : at;
}

/** Every hour of which something is known; `is_current`: no batch has written into it since. */
async function readKnown(store: Store, source: CellSource): Promise<Known[]> {
  const rows = await store.select<Omit<Known, 'is_current'> & { is_current: number }>(
    `SELECT toUnixTimestamp(of_hour.hour) AS hour, of_hour.newest AS at_us, of_hour.state AS state, of_hour.version AS version, of_hour.batches AS batches, arrayAll(each -> of_hour.batches[each.1] >= each.2, written.last) AS is_current
     FROM (SELECT hour, max(at_us) AS newest, argMax(state, at_us) AS state, argMax(version, at_us) AS version, argMax(batches, at_us) AS batches FROM cell_hours WHERE source = {source:String} GROUP BY hour) AS of_hour
     LEFT JOIN (SELECT hour, groupArray((shard, last)) AS last FROM (SELECT hour, shard, max(last_batch) AS last FROM ledger WHERE project = {project:String} AND signal = {source:String} AND outcome = {outcome:String} GROUP BY hour, shard) GROUP BY hour) AS written
     ON written.hour = of_hour.hour ORDER BY hour`,
    { ...WRITTEN, source },
  );
  return rows.map((row) => ({ ...row, is_current: row.is_current === 1 }));
}

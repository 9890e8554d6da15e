/**
 * Bytes on disk that one call takes, by column, after all parts are merged: `npx tsx test/bench/disk.ts [calls] [seed]`.
 *
 * The traffic is made up, with the entropy of the real thing: random ids as the SDKs and providers make them, lognormal
 * durations, normal token counts, four prompts with two versions each on three models, half of the calls under a parent span.
 */
import { openStore } from '../simulation/store.ts';
import { makeCalls } from './made-up-calls.ts';

const calls = Number(process.argv[2] ?? 300_000);
const seed = Number(process.argv[3] ?? 1);
const batchRows = 5_000;

const { store, close } = await openStore();
try {
  const began = performance.now();
  const source = makeCalls({ calls, seed });
  for (let rows = take(source, batchRows); rows.length > 0; rows = take(source, batchRows)) await store.insert('calls', rows);
  const seconds = (performance.now() - began) / 1000;
  await store.command('OPTIMIZE TABLE calls FINAL');

  const columns = await store.select<{ column: string; bytes: number; type: string }>(
    `SELECT column, any(type) AS type, sum(column_data_compressed_bytes + column_marks_bytes) / {calls:UInt64} AS bytes
     FROM system.parts_columns WHERE active AND database = currentDatabase() AND table = 'calls' GROUP BY column ORDER BY bytes DESC`,
    { calls },
  );
  for (const { column, bytes, type } of columns) if (bytes >= 0.05) console.log(`${bytes.toFixed(2).padStart(7)}  ${column.padEnd(22)} ${type}`);
  const [total] = await store.select<{ all: number; data: number; indexes: number; parts: number; rows: number }>(
    `SELECT sum(bytes_on_disk) / {calls:UInt64} AS all, sum(data_compressed_bytes) / {calls:UInt64} AS data,
            sum(secondary_indices_compressed_bytes + secondary_indices_marks_bytes + primary_key_size) / {calls:UInt64} AS indexes,
            count() AS parts, sum(rows) AS rows
     FROM system.parts WHERE active AND database = currentDatabase() AND table = 'calls'`,
    { calls },
  );
  if (total === undefined || total.rows !== calls) throw new Error(`the store has ${total?.rows ?? 0} rows of ${calls}`);
  console.log(`seed ${seed}: ${calls} calls in ${total.parts} parts, inserted and made up in ${seconds.toFixed(1)} s`);
  console.log(`${total.all.toFixed(1)} bytes a call on disk (columns ${total.data.toFixed(1)}, of which text index and keys apart ${total.indexes.toFixed(1)})`);
} finally {
  await close();
}

function take<T>(source: Iterator<T>, limit: number): T[] {
  const taken: T[] = [];
  while (taken.length < limit) {
    const next = source.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}

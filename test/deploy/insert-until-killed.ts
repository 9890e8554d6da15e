/** A process for store-embedded-kill.test.ts: inserts batches of 50 rows until it is killed, and prints the number of each that was acknowledged. */
import { writeSync } from 'node:fs';
import { openEmbeddedStore } from '../../deploy/store-embedded.ts';

const [directory = '', firstBatch = '0'] = process.argv.slice(2);
const store = await openEmbeddedStore({ directory });
await store.command('CREATE TABLE IF NOT EXISTS acknowledged (batch UInt32, row UInt8, text String) ENGINE = MergeTree ORDER BY (batch, row)');
for (let batch = Number(firstBatch); ; batch += 1) {
  await store.insert('acknowledged', Array.from({ length: 50 }, (_, row) => ({ batch, row, text: `batch ${batch} row ${row}` })));
  writeSync(1, `${batch}\n`);
}

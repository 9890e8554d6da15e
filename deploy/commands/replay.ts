import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Reading } from '../../analyzer/ingest/reading.ts';
import { SLOT_MS } from '../../analyzer/slots.ts';
import { loadEvidence } from '../../analyzer/look/look-store.ts';
import type { Alert } from '../../schemas/alert.ts';
import type { Config } from '../../schemas/config.ts';
import { endlessRetention, migrate } from '../migrate.ts';
import { createIngestFor, createLookFor, createSelfWatchFor } from '../pipeline.ts';
import { openRecording } from '../recording.ts';
import { openEmbeddedStore } from '../store-embedded.ts';

/**
 * Runs recorded traffic through ingest and look in event time, as fast as it can, against a throw-away store.
 * The same files give the same bytes: batches are cut by what is in the files, and every id is derived.
 */
export type ReplayRequest = {
  readonly files: readonly string[];
  readonly config: Config;
  /** Where the evidence of each alert goes, as `<alert id>.json`. */
  readonly evidenceDirectory: string | null;
  readonly migrations: string;
  readonly onAlert: (alert: Alert) => void;
  /** Share of the input that has been read, 0 to 1, and calls so far. */
  readonly onProgress: (progress: { readonly share: number; readonly calls: number }) => void;
};

export type ReplaySummary = { readonly received: number; readonly calls: number; readonly scores: number; readonly alerts: number; readonly seconds: number };

/** Records in one write. */
const BATCH_RECORDS = 16_000;
/** What may become of slots before they are looked at, whichever is first: a look costs the same for few rows as for many. The results do not depend on it. */
const RECORDS_PER_LOOK = 48_000;
const SLOTS_PER_LOOK = 480;
/** After the end nothing more arrives: sessions end (180 s by default), windows close (eight minutes). */
const WINDOW_SLOTS = 20;

export async function replay(request: ReplayRequest, clock: () => number): Promise<ReplaySummary> {
  const begun = clock();
  const { config } = request;
  const recording = await openRecording(request.files, config.project);
  const directory = await mkdtemp(join(tmpdir(), 'culprit-replay-'));
  const store = await openEmbeddedStore({ directory });
  // One look at a time, while the batches after it are written. It sees the slots that closed before it as they were then: whoever revises one of them waits.
  let looking: Promise<void> = Promise.resolve();
  try {
    await migrate(store, { directory: request.migrations, cluster: null, retention: endlessRetention });
    const ingest = createIngestFor(store, config, undefined, { beforeRevising: () => looking });
    const looks = createLookFor(store, config, { slotsPerRead: SLOTS_PER_LOOK });
    const selfWatch = createSelfWatchFor(store, config, 0);
    await ingest.start(0);
    await looks.start();
    if (request.evidenceDirectory !== null) await mkdir(request.evidenceDirectory, { recursive: true });

    let summary = { received: 0, calls: 0, scores: 0, alerts: 0 };
    let lookedMs = 0;
    let recordsUnseen = 0;
    const look = async (nowMs: number): Promise<void> => {
      for (const event of await looks.advance(nowMs)) {
        if (event.kind !== 'alert') continue;
        summary = { ...summary, alerts: summary.alerts + 1 };
        request.onAlert(event.alert);
        if (request.evidenceDirectory === null) continue;
        const evidence = await loadEvidence(store, event.comparison_id, event.slot);
        await writeFile(join(request.evidenceDirectory, `${event.alert.id}.json`), `${JSON.stringify(evidence)}\n`);
      }
    };
    /** The look is done, and nothing is being written: what the watch over ourselves counts now is the same in every replay. */
    const settled = async (): Promise<void> => {
      await looking;
      for (const { alert } of lookedMs === 0 ? [] : await selfWatch.look(lookedMs)) {
        summary = { ...summary, alerts: summary.alerts + 1 };
        request.onAlert(alert);
      }
    };
    /** Slots before `nowMs` are closed; they are looked at from now on. */
    const advance = async (nowMs: number): Promise<void> => {
      await settled();
      await ingest.advance(nowMs);
      lookedMs = nowMs;
      recordsUnseen = 0;
      looking = look(nowMs);
      // A failure is met at the next await of it.
      looking.catch(() => undefined);
    };
    const write = async (batch: readonly Reading[]): Promise<void> => {
      const firstMs = batch[0]?.stampMs ?? 0;
      // Calls that waited long enough before this batch arrived are complete before it.
      if (recordsUnseen >= RECORDS_PER_LOOK || firstMs - lookedMs >= SLOTS_PER_LOOK * SLOT_MS) await advance(firstMs);
      else await ingest.advance(firstMs);
      const written = await ingest.write(batch);
      recordsUnseen += written.received;
      summary = { ...summary, received: summary.received + written.received, calls: summary.calls + written.calls, scores: summary.scores + written.scores };
      const { read, total } = recording.progress();
      request.onProgress({ share: total === 0 ? 1 : read / total, calls: summary.calls });
    };

    // While one batch is written the next one is read.
    let writing: Promise<void> = Promise.resolve();
    let batch: Reading[] = [];
    let records = 0;
    let endMs = 0;
    for await (const message of recording.messages()) {
      const reading = ingest.read(message);
      batch.push(reading);
      records += reading.received;
      endMs = message.received_ms;
      if (records < BATCH_RECORDS) continue;
      const full = batch;
      await writing;
      writing = write(full);
      // A failure is met at the next await of it; a line that cannot be read may come before.
      writing.catch(() => undefined);
      batch = [];
      records = 0;
    }
    await writing;
    await write(batch);
    await advance(endMs + config.resolve_wait_s * 1000);
    await advance(endMs + (config.resolve_wait_s + config.session_window_s) * 1000 + (WINDOW_SLOTS + 1) * SLOT_MS);
    await settled();
    return { ...summary, seconds: (clock() - begun) / 1000 };
  } finally {
    await looking.catch(() => undefined);
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

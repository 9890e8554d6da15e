import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BatchSummary } from '../../analyzer/ingest/ingest.ts';
import { SLOT_MS } from '../../analyzer/slots.ts';
import { loadEvidence } from '../../analyzer/look/look-store.ts';
import { release } from '../../collector/release.ts';
import type { Alert } from '../../schemas/alert.ts';
import type { Config } from '../../schemas/config.ts';
import type { LogMessage } from '../../schemas/log.ts';
import { endlessRetention, migrate } from '../migrate.ts';
import { createIngestFor, createLookFor, createSelfWatchFor } from '../pipeline.ts';
import { openRecording, type RecordedRequest } from '../recording.ts';
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

/** Of requests in one write, as protobuf: some 10,000 calls of a KB. */
const BATCH_BYTES = 10 * 1024 * 1024;
/** What may become of slots before they are looked at, whichever is first: a look costs the same for few rows as for many. The results do not depend on it. */
const RECORDS_PER_LOOK = 110_000;
const SLOTS_PER_LOOK = 480;
/** After the end nothing more arrives: sessions end (180 s by default), windows close (eight minutes). */
const WINDOW_SLOTS = 20;

export async function replay(request: ReplayRequest, clock: () => number): Promise<ReplaySummary> {
  const startedMs = clock();
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
    let endMs = 0;
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
    /** One batch is drafted while the one before it is written (ingest/turns.ts). */
    const underWay: Promise<void>[] = [];
    const count = async (advanced: Promise<void>, writing: Promise<BatchSummary>, messages: readonly LogMessage[]): Promise<void> => {
      const [, written] = await Promise.all([advanced, writing]);
      // They are read no more; until they are gone, V8 would mark all that is in use once a second.
      for (const { body } of messages) release(body);
      summary = { ...summary, received: summary.received + written.received, calls: summary.calls + written.calls, scores: summary.scores + written.scores };
      const { read, total } = recording.progress();
      request.onProgress({ share: total === 0 ? 1 : read / total, calls: summary.calls });
    };
    const write = async (requests: readonly RecordedRequest[]): Promise<void> => {
      if (underWay.length > 1) await underWay.shift();
      const messages: LogMessage[] = [];
      const batch = requests.map((request) => {
        const message = request.read();
        messages.push(message);
        return ingest.read(message);
      });
      const firstMs = batch[0]?.stampMs ?? 0;
      endMs = batch.at(-1)?.stampMs ?? endMs;
      const isLookDue = recordsUnseen >= RECORDS_PER_LOOK || firstMs - lookedMs >= SLOTS_PER_LOOK * SLOT_MS;
      if (isLookDue) {
        await Promise.all(underWay.splice(0));
        await advance(firstMs);
      }
      recordsUnseen += batch.reduce((records, { received }) => records + received, 0);
      // Calls that waited long enough before this batch arrived are complete before it.
      const writing = count(isLookDue ? Promise.resolve() : ingest.advance(firstMs), ingest.write(batch), messages);
      // A failure is met at the next await of it.
      writing.catch(() => undefined);
      underWay.push(writing);
    };

    // While one batch waits for its turn the lines of the next one are taken from the file.
    let begun: Promise<void> = Promise.resolve();
    let batch: RecordedRequest[] = [];
    let bytes = 0;
    for await (const request of recording.requests()) {
      batch.push(request);
      bytes += request.bytes;
      if (bytes < BATCH_BYTES) continue;
      await begun;
      begun = write(batch);
      // As above; a line that is no request may come before.
      begun.catch(() => undefined);
      batch = [];
      bytes = 0;
    }
    await begun;
    await write(batch);
    await Promise.all(underWay);
    await advance(endMs + config.resolve_wait_s * 1000);
    await advance(endMs + (config.resolve_wait_s + config.session_window_s) * 1000 + (WINDOW_SLOTS + 1) * SLOT_MS);
    await settled();
    return { ...summary, seconds: (clock() - startedMs) / 1000 };
  } finally {
    await looking.catch(() => undefined);
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

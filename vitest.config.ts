import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { createSummaryReporter } from './test/reporter.ts';
import { scratchDirectory } from './test/scratch.ts';

// What the workers, and the programs that they start, take for the directory of temporary files.
const scratch = scratchDirectory();
if (scratch !== null) process.env['TMPDIR'] = scratch;

/** Of functions, and of stores that each file opens and closes: nothing of theirs outlives a file, so they share processes, and load what they test once. By itself a file takes half a second of processor time for that. */
const SHARED = ['test/analyzer/**/*.test.ts', 'test/api/**/*.test.ts', 'test/collector/**/*.test.ts', 'test/statistics/*.test.ts'];

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'shared', include: SHARED, isolate: false } },
      // These start programs, and stop them in any way: each file has a process.
      { extends: true, test: { name: 'processes', include: ['test/**/*.test.ts'], exclude: SHARED } },
    ],
    globalSetup: ['test/global-setup.ts'],
    // chDB crashes when its native engine is loaded into a worker thread.
    pool: 'forks',
    // By default one core is left free, which on two cores halves the speed; and a good part of the tests wait, for brokers, pages and processes.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Where nobody sits before it, one test that a busy machine upset is run again, and named as flaky at the end.
    retry: process.env['CI'] === undefined ? 0 : 1,
    reporters: ['default', createSummaryReporter()],
  },
});

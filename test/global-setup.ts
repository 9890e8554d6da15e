import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A directory for what this run builds (built.ts). */
    buildDirectory: string;
  }
}

export function setup(project: TestProject): () => Promise<void> {
  const directory = join(tmpdir(), `culprit-test-build-${process.pid}`);
  project.provide('buildDirectory', directory);
  return () => rm(directory, { recursive: true, force: true });
}

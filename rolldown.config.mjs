import { defineConfig } from 'rolldown';

/**
 * `npm run build`: the program and its threads with all packages that they use, in some dozens of files. It starts in three quarters of the
 * processor time of a file for each module (BENCHMARKS.md), and an image needs a few packages in the place of 200 MB of them. What a module finds by its own place (pages, fonts, examples) lies beside these files.
 */
export default defineConfig({
  input: { main: 'deploy/main.ts', 'look-worker': 'deploy/look-worker.ts', 'audit-worker': 'deploy/audit-worker.ts' },
  platform: 'node',
  // Packages with machine code or WebAssembly, which lie beside the build (the Dockerfile copies them); and what only sources need.
  external: [/^chdb(\/|$)/, '@node-rs/argon2', '@node-rs/crc32', '@platformatic/wasm-utils', '@resvg/resvg-js', 'tsx/esm/api'],
  output: { entryFileNames: '[name].js' },
});

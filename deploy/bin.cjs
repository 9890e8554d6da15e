#!/usr/bin/env -S node --max-semi-space-size=64
// That setting counts only from the first instruction of the process on: a young generation that holds a batch of spans, a few megabytes of short-lived
// objects, is collected a quarter as often (77 times in a replay of 120,000 calls instead of 283; set from inside the process it changed nothing). Started
// as `node deploy/bin.cjs`, everything works without it.
//
// CommonJS, because this setting counts only before the first asynchronous file read, and loading a module is one.
'use strict';
// The engine's statements run on libuv's thread pool; with its 4 threads, slow SELECTs would hold up file reads (deploy/store-embedded.ts).
process.env.UV_THREADPOOL_SIZE ??= '16';
// The first process of a container gets only signals that it listens to. Until a server does (deploy/lifecycle.ts) it ends at once, as any other would.
if (process.pid === 1) for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]]) process.once(signal, () => process.exit(status));
// Sources run as they are; what `npm run build` made is JavaScript and needs no loader.
const isBuilt = require('node:fs').existsSync(require('node:path').join(__dirname, 'main.js'));
const loaded = isBuilt ? import('./main.js') : import('tsx/esm/api').then(({ register }) => (register(), import('./main.ts')));
loaded
  .then((program) => program.main())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });

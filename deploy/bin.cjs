#!/usr/bin/env node
// CommonJS, because both settings count only before the first asynchronous file read, and loading a module is one.
'use strict';
// The engine's statements run on libuv's thread pool; with its 4 threads, slow SELECTs would hold up file reads (deploy/store-embedded.ts).
process.env.UV_THREADPOOL_SIZE ??= '16';
// A batch of spans is a few megabytes of short-lived objects: a young generation that holds it keeps them from being copied around.
require('node:v8').setFlagsFromString('--max-semi-space-size=64');
require('node:v8').setFlagsFromString('--min-semi-space-size=16');
// Sources run as they are; what `npm run build` made is JavaScript and needs no loader.
const isBuilt = require('node:fs').existsSync(require('node:path').join(__dirname, 'main.js'));
const loaded = isBuilt ? import('./main.js') : import('tsx/esm/api').then(({ register }) => (register(), import('./main.ts')));
loaded
  .then((program) => program.main())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });

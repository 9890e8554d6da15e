/**
 * `node --import …/shifted-clock.mjs`: the wall clock of this process, and of its threads, is off by as many milliseconds as the file that DRILL_CLOCK names
 * says, from the moment on in which it says so. Timers and performance.now go on as they do when somebody sets the clock of a machine.
 */
import { readFileSync } from 'node:fs';

const file = process.env['DRILL_CLOCK'] ?? '';
const EVERY_MS = 50;
const RealDate = Date;
let offsetMs = read();
setInterval(() => (offsetMs = read()), EVERY_MS).unref();

function read() {
  const found = Number(readFileSync(file, 'utf8'));
  return Number.isFinite(found) ? found : 0;
}

globalThis.Date = class Date extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + offsetMs);
    else super(...given);
  }
  static now() {
    return RealDate.now() + offsetMs;
  }
};

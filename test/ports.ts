import { createServer } from 'node:net';

// Below what Linux and macOS give to outgoing connections and to port 0, so that nobody else on the machine is handed one of these between here and its use.
const FIRST = 12_000;
const OF_A_WORKER = 400;
const WORKERS = 50;
let next = Math.floor(Math.random() * OF_A_WORKER);

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

/** A port that no other test has, and that stays free until it is listened on; the one below it is free as well, since a server takes that for OTLP/gRPC. */
export async function freePort(): Promise<number> {
  const first = FIRST + (Number(process.env['VITEST_POOL_ID'] ?? process.pid) % WORKERS) * OF_A_WORKER;
  for (let tried = 0; tried < OF_A_WORKER; tried += 2) {
    next += 2;
    const port = first + 1 + (next % (OF_A_WORKER - 1));
    if ((await isFree(port)) && (await isFree(port - 1))) return port;
  }
  throw new Error(`no free port from ${first} to ${first + OF_A_WORKER - 1}`);
}

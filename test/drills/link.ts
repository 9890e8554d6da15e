import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { pause } from '../eventually.ts';

/** The network between two processes, as a TCP proxy that can be told to be a bad one. */
export type Link = {
  /** On 127.0.0.1: who connects here reaches the other side. */
  readonly port: number;
  /** Connections are reset, and so is each new one. */
  cut(): void;
  /** As if every packet were dropped: new connections are accepted, nothing is said on any, and nobody hears that one has ended. */
  hang(): void;
  /** Each chunk comes so much later; then so many bytes in a second. */
  slow(pace: { readonly delayMs: number; readonly bytesPerSecond: number }): void;
  /** What hung goes on where it was. */
  heal(): void;
  /** Bytes that were let through, both ways. */
  carried(): number;
  close(): Promise<void>;
};

type State = { readonly kind: 'open' } | { readonly kind: 'cut' } | { readonly kind: 'hanging' } | { readonly kind: 'slow'; readonly delayMs: number; readonly bytesPerSecond: number };

/** @param targetPort on 127.0.0.1; it need not be there yet. */
export async function openLink(targetPort: () => number): Promise<Link> {
  let state: State = { kind: 'open' };
  let carried = 0;
  const sockets = new Set<Socket>();
  let waiting: (() => void)[] = [];
  const change = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  const turn = (next: State): void => {
    state = next;
    if (next.kind === 'cut') for (const socket of sockets) socket.resetAndDestroy();
    const waited = waiting;
    waiting = [];
    for (const resolve of waited) resolve();
  };

  const passes = async (bytes: number): Promise<void> => {
    while (state.kind === 'hanging') await change();
    if (state.kind === 'slow') await Promise.race([pause(state.delayMs + (bytes / state.bytesPerSecond) * 1000), change()]);
  };
  const pump = async (from: Socket, to: Socket): Promise<void> => {
    try {
      for await (const chunk of from) {
        const bytes = chunk as Buffer; // A socket without an encoding gives nothing else.
        await passes(bytes.byteLength);
        carried += bytes.byteLength;
        if (!to.write(bytes)) await once(to, 'drain');
      }
      // Also the end is only heard of when it gets through.
      await passes(0);
      to.end();
    } catch {
      // One side is gone.
      await passes(0);
      to.destroy();
    }
  };
  const watch = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  };

  const server = createServer({ allowHalfOpen: true }, (near) => {
    watch(near);
    if (state.kind === 'cut') return void near.resetAndDestroy();
    const far = connect({ port: targetPort(), host: '127.0.0.1', allowHalfOpen: true });
    watch(far);
    void pump(near, far);
    void pump(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // It listens on TCP.
    cut: () => turn({ kind: 'cut' }),
    hang: () => turn({ kind: 'hanging' }),
    slow: (pace) => turn({ kind: 'slow', ...pace }),
    heal: () => turn({ kind: 'open' }),
    carried: () => carried,
    async close() {
      turn({ kind: 'cut' });
      server.close();
      await once(server, 'close');
    },
  };
}

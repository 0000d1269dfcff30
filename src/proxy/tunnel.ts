// Two sockets and the bytes between them: back-pressure, half-close, and the end of both when one breaks. It decides nothing.
// The client's first bytes pass through `openTunnel` before any other, which is where a TLS ClientHello can be looked at.

import type { Socket } from 'node:net';

export type Tunnel = {
  /** ends both sides at once */
  destroy(): void;
  /** ends the tunnel when nothing has moved for its time */
  sweep(clock: number): void;
  readonly bytesUp: number;
  readonly bytesDown: number;
};

/**
 * Joins the two sockets, which must have no listeners of their own left. `first` are bytes that each side sent
 * before the tunnel was open. `onClose` is called once, when both sides are gone.
 */
export function openTunnel(options: {
  client: Socket;
  origin: Socket;
  first: { up: Buffer | null; down: Buffer | null };
  /** the client had said all it will before the tunnel was open */
  clientEnded: boolean;
  idleMs: number;
  halfClosedMs: number;
  clock: number;
  onClose: (why: 'ended' | 'broken' | 'idle') => void;
}): Tunnel {
  const { client, origin, first, onClose } = options;
  let up = 0;
  let down = 0;
  let ended = 0;
  let open = 2;
  let why: 'ended' | 'broken' | 'idle' = 'ended';
  let moved = -1;
  let movedAt = options.clock;

  const join = (from: Socket, to: Socket, alreadyEnded: boolean, count: (bytes: number) => void) => {
    let ending = alreadyEnded;
    from.on('data', (chunk: Buffer) => {
      count(chunk.length);
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => {
      ending = true;
      ended++;
      to.end();
    });
    from.on('error', () => {
      why = 'broken';
    });
    from.on('close', () => {
      // a side that broke off must not look to the other as if it had finished; one that finished and then went away
      // has no use for more, but what it said still arrives
      if (!ending && !to.destroyed) to.resetAndDestroy();
      else if (!from.writableFinished) to.destroySoon();
      if (--open === 0) onClose(why);
    });
  };
  join(client, origin, options.clientEnded, (bytes) => (up += bytes));
  join(origin, client, false, (bytes) => (down += bytes));
  const pass = (bytes: Buffer | null, from: Socket, to: Socket) => {
    const full = bytes !== null && bytes.length > 0 && !to.write(bytes);
    if (full) from.pause();
    else from.resume();
  };
  up += first.up?.length ?? 0;
  down += first.down?.length ?? 0;
  pass(first.up, client, origin);
  pass(first.down, origin, client);
  if (options.clientEnded) {
    ended++;
    origin.end();
  }
  // a side that was gone before it was listened to will not say so again
  for (const socket of [client, origin]) if (socket.destroyed) queueMicrotask(() => socket.emit('close'));

  const destroy = () => {
    client.destroy();
    origin.destroy();
  };
  return {
    destroy,
    sweep(clock) {
      // what waits in a write buffer has not moved
      const now = up + down - client.writableLength - origin.writableLength;
      if (now !== moved) {
        moved = now;
        movedAt = clock;
      } else if (clock - movedAt >= (ended > 0 ? options.halfClosedMs : options.idleMs)) {
        why = 'idle';
        destroy();
      }
    },
    get bytesUp() {
      return up;
    },
    get bytesDown() {
      return down;
    },
  };
}

// Hearing of datagrams by one of Node's own sockets, put on a descriptor: when something comes, Node reads one packet, and
// whoever watches reads all others by batched calls.
//
// The optional part offers a watcher of its own, without that one packet. It is not used: when a thread is ended from outside, or
// for want of memory, while packets come, it cannot call back any more and takes the whole process down.

import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';

export type Watch = {
  /** nothing is heard any more, and the descriptor is closed */
  close(): void;
};

export type WatchDeps = {
  /** given away: it is closed with the watch, or with the thread */
  readonly fd: number;
  readonly family: 4 | 6;
  /** does not keep the process up */
  readonly background: boolean;
  /** a packet, and perhaps more that wait; called up to 32 times before timers and other sockets have their turn */
  readonly onPacket: (packet: Uint8Array, from: RemoteInfo) => void;
  /** the system's error on the socket, or one thrown while reading */
  readonly onError: (error: Error) => void;
};

/** @throws the system's error; the descriptor is then still the caller's */
export function watch(deps: WatchDeps): Watch {
  const { onPacket, onError } = deps;
  const socket = createSocket(deps.family === 6 ? 'udp6' : 'udp4');
  let open = true;
  socket.on('message', (packet, from) => {
    if (!open) return;
    try {
      onPacket(packet, from);
    } catch (error) {
      onError(error as Error);
    }
  });
  socket.on('error', (error) => {
    if (open) onError(error);
  });
  socket.bind({ fd: deps.fd, exclusive: true });
  if (deps.background) socket.unref();
  return {
    close() {
      if (!open) return;
      open = false;
      socket.close();
    },
  };
}

// Connections to origins: one user at a time, kept for a while between requests. They are known by checked address and port,
// never by name, so that a name that now resolves elsewhere is checked and connected to anew.

import type { Socket } from 'node:net';

export type OriginUser = {
  onData(chunk: Buffer): void;
  onDrain(): void;
  /** the origin has said all it will */
  onEnd(): void;
  /** the connection is gone; `onEnd` may not have come before */
  onClose(): void;
};

export type Origin = {
  readonly socket: Socket;
  readonly key: string;
  user: OriginUser | null;
  /** has served a request before, so it may be closing just now */
  reused: boolean;
  spareSince: number;
};

export type OriginPool = {
  take(addresses: readonly string[], port: number): Origin | null;
  /** makes a fresh socket an origin of this pool */
  adopt(socket: Socket, address: string, port: number): Origin;
  release(origin: Origin, clock: number): void;
  /** lets go of those spare for longer than their time */
  sweep(clock: number): void;
  readonly spare: number;
  close(): void;
};

const MAX_SPARE_PER_ORIGIN = 64;
const MAX_SPARE = 512;

export function createOriginPool(deps: { spareMs: number }): OriginPool {
  const spares = new Map<string, Origin[]>();
  let spare = 0;

  const forget = (origin: Origin) => {
    const list = spares.get(origin.key);
    const at = list?.indexOf(origin) ?? -1;
    if (list === undefined || at < 0) return;
    list.splice(at, 1);
    spare--;
    if (list.length === 0) spares.delete(origin.key);
  };

  return {
    take(addresses, port) {
      for (const address of addresses) {
        const list = spares.get(`${address} ${port}`);
        const origin = list?.pop();
        if (list === undefined || origin === undefined) continue;
        spare--;
        if (list.length === 0) spares.delete(origin.key);
        origin.reused = true;
        return origin;
      }
      return null;
    },

    adopt(socket, address, port) {
      const origin: Origin = { socket, key: `${address} ${port}`, user: null, reused: false, spareSince: 0 };
      socket.on('data', (chunk: Buffer) => {
        if (origin.user !== null) origin.user.onData(chunk);
        else socket.destroy(); // an answer that nobody asked for
      });
      socket.on('drain', () => origin.user?.onDrain());
      socket.on('end', () => {
        if (origin.user !== null) origin.user.onEnd();
        else socket.destroy();
      });
      socket.on('error', () => {}); // 'close' follows and says all there is to say
      socket.on('close', () => {
        forget(origin);
        origin.user?.onClose();
      });
      return origin;
    },

    release(origin, clock) {
      origin.user = null;
      const list = spares.get(origin.key) ?? [];
      if (spare >= MAX_SPARE || list.length >= MAX_SPARE_PER_ORIGIN || origin.socket.destroyed) {
        origin.socket.destroy();
        return;
      }
      origin.spareSince = clock;
      origin.socket.resume();
      list.push(origin);
      spares.set(origin.key, list);
      spare++;
    },

    sweep(clock) {
      for (const list of [...spares.values()])
        for (const origin of [...list])
          if (clock - origin.spareSince >= deps.spareMs) {
            forget(origin);
            origin.socket.destroy();
          }
    },

    get spare() {
      return spare;
    },

    close() {
      for (const list of [...spares.values()]) for (const origin of [...list]) origin.socket.destroy();
      spares.clear();
      spare = 0;
    },
  };
}

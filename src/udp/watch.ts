// Hearing of datagrams: calls back when a descriptor can be read, and goes on doing so whatever happens in the call.
//
// What the event loop's own watcher does and this one makes up for: it forgets its callback when the handle is collected, falls
// silent for good after an exception, and stops by itself when an error waits on the socket (an ICMP message to a connected
// one), telling so once by a status below 0. Promises settled in the callback go on at the end of the same turn of the loop.

import type { Libc, PollHandle } from './libc.ts';

export type Watch = {
  /** nothing is heard any more; the descriptor stays open */
  close(): void;
  /** does not keep the process up */
  unref(): void;
};

export type WatchDeps = {
  readonly libc: Libc;
  readonly fd: number;
  /** reads what is there; true when there was anything, an error included */
  readonly onReadable: () => boolean;
  readonly onError: (error: unknown) => void;
};

/** Readings in a row that brought nothing although the system said there was something. */
const PATIENCE = 100;
const REST_MS = 50;

export function watch(deps: WatchDeps): Watch {
  const { libc, fd, onReadable, onError } = deps;
  let idle = 0;
  let rest: NodeJS.Timeout | null = null;
  let handle: PollHandle | null = libc.poll(fd, ready);

  function ready(status: number): void {
    let found = false;
    try {
      found = onReadable();
    } catch (error) {
      try {
        onError(error);
      } catch {
        // Nobody is left to be told, and nothing may leave this callback.
      }
    }
    idle = found ? 0 : idle + 1;
    if (status >= 0 || handle === null) return;
    // An error that no reading clears would bring us here again at once, for ever.
    if (idle < PATIENCE) start();
    else rest ??= setTimeout(start, REST_MS).unref();
  }

  function start(): void {
    rest = null;
    try {
      handle?.start({ readable: true }, ready);
    } catch (error) {
      onError(error);
    }
  }

  return {
    close() {
      const old = handle;
      handle = null;
      if (rest !== null) clearTimeout(rest);
      old?.close();
    },
    unref: () => handle?.unref(),
  };
}

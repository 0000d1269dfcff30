// The descriptors a thread has open by itself, in memory that main sees too: when the thread dies, nobody else knows of them, and
// main closes them in its stead. A descriptor is struck off before it is closed, for its number may be given out again at once.

/** More than a thread has open at once, by far. */
const PLACES = 2048;

export const createDescriptorTable = (): SharedArrayBuffer => new SharedArrayBuffer(PLACES * 4);

/** The thread's side. */
export function keepDescriptors(table: SharedArrayBuffer): {
  opened(fd: number): void;
  closed(fd: number): void;
} {
  const entries = new Int32Array(table);
  const placeOf = new Map<number, number>();
  let next = 0;
  return {
    opened(fd) {
      for (let tries = 0; tries < PLACES; tries++) {
        const place = (next = (next + 1) % PLACES);
        // 0 is an empty place.
        if (Atomics.compareExchange(entries, place, 0, fd + 1) !== 0) continue;
        placeOf.set(fd, place);
        return;
      }
    },
    closed(fd) {
      const place = placeOf.get(fd);
      if (place === undefined) return;
      placeOf.delete(fd);
      Atomics.store(entries, place, 0);
    },
  };
}

/** Main's side, once the thread is gone: what it left open, struck off. */
export function takeLeftDescriptors(table: SharedArrayBuffer): number[] {
  const entries = new Int32Array(table);
  const left: number[] = [];
  for (let place = 0; place < PLACES; place++) {
    const entry = Atomics.exchange(entries, place, 0);
    if (entry !== 0) left.push(entry - 1);
  }
  return left;
}

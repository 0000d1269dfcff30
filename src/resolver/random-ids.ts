// Unpredictable 16-bit numbers for query ids and the choice of sockets, drawn from the system in large helpings.

import { getRandomValues } from 'node:crypto';

/** A function that gives a fresh random number from 0 to 65535 at each call. */
export function createRandomIds(): () => number {
  const pool = new Uint16Array(2048);
  let next = pool.length;
  return () => {
    if (next === pool.length) {
      getRandomValues(pool);
      next = 0;
    }
    return pool[next++] as number;
  };
}

// Lets a thread of the background stand back for those that answer: where cores are scarce, the log and the lists must not make
// a query wait. Linux knows a priority for each thread; elsewhere nothing happens.

import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

const BELOW = 5;
const LOWEST = 19;

/** To be called on the thread itself, at its start. Does nothing where the system has no such thing. */
export function lowerPriority(): void {
  try {
    // Read by the calling thread, so that it names this one: `1234/task/1240`.
    const thread = Number(/\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1]);
    if (thread > 0) setPriority(thread, Math.min(LOWEST, getPriority(thread) + BELOW));
  } catch {
    // It runs beside the others then, as on other systems.
  }
}

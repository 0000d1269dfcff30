// Gives memory back after something large was dropped: an old index, a parsed configuration. Shared memory is freed only
// when every thread's collector has run, and an idle thread's would not run for hours. Not for any hot path.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Long enough for what still uses the old one to be done with it. */
const SETTLE_MS = 2_000;
/** The only kind that also hands empty pages back to the system. */
const HOW = { type: 'major', execution: 'sync', flavor: 'last-resort' };

export type Collector = {
  /** collects once things have settled; calls in between count as one */
  soon(): void;
};

export function createCollector(): Collector {
  // The flag is the process's, so it stays set: another thread may be between setting it and using it.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (how: object) => void;
  let timer: NodeJS.Timeout | undefined;
  return {
    soon() {
      // Not put off by a further call: changes without a pause would put it off for ever.
      timer ??= setTimeout(() => {
        timer = undefined;
        collect(HOW);
      }, SETTLE_MS).unref();
    },
  };
}

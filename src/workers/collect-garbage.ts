// Gives memory back after something large was dropped: an old index, a parsed configuration. Shared memory is freed only
// when every thread's collector has run, and an idle thread's would not run for hours. Not for any hot path.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Long enough for what still uses the old one to be done with it. */
const SETTLE_MS = 2_000;

export type Collector = {
  /** collects once things have settled; calls in between count as one */
  soon(): void;
};

export function createCollector(): Collector {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  let timer: NodeJS.Timeout | undefined;
  return {
    soon() {
      clearTimeout(timer);
      timer = setTimeout(collect, SETTLE_MS);
      timer.unref();
    },
  };
}

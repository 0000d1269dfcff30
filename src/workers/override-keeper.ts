// Keeps the data threads' overrides the same as state.db's: after a grant or a revocation, and when one begins or ends by
// itself. The data threads watch the clock themselves; this is what writes the end down and frees their tables.

import type { Logger } from 'pino';
import type { Override } from '../policy/types.ts';

/** Also the longest that a jump of the clock goes unnoticed. */
const LONGEST_WAIT_MS = 15_000;
/** After a failure, a full disk above all. */
const RETRY_MS = 5_000;

export type OverrideKeeper = {
  /** Hands what is granted now to every thread; resolves when it is in force in all of them. */
  sync(): Promise<void>;
  stop(): void;
};

export function createOverrideKeeper(deps: {
  readonly log: Logger;
  readonly now: () => number;
  readonly overrides: {
    current(): Override[];
    expire(): readonly { readonly id: string }[];
    nextTurn(): number | null;
  };
  /** puts a set of overrides in force in every thread */
  readonly apply: (list: readonly Override[]) => Promise<void>;
  /** rows were written for audit.db */
  readonly onEnded: () => void;
}): OverrideKeeper {
  const { log, now, overrides } = deps;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (): void => {
    clearTimeout(timer);
    const turn = overrides.nextTurn();
    const wait = turn === null ? LONGEST_WAIT_MS : Math.min(Math.max(turn - now(), 0) + 1, LONGEST_WAIT_MS);
    timer = setTimeout(onTurn, wait);
    timer.unref();
  };

  const onTurn = (): void => {
    try {
      const ended = overrides.expire();
      if (ended.length > 0) {
        log.info({ overrides: ended.map(({ id }) => id) }, 'overrides ended on time');
        deps.onEnded();
        deps.apply(overrides.current()).catch((error: unknown) => log.error({ err: error }, 'overrides'));
      }
    } catch (error) {
      // The threads end it by their own clocks; only the record of it is late.
      log.error({ err: error }, 'the end of an override could not be written down yet');
      timer = setTimeout(onTurn, RETRY_MS);
      timer.unref();
      return;
    }
    schedule();
  };

  schedule();
  return {
    sync() {
      schedule();
      return deps.apply(overrides.current());
    },
    stop: () => clearTimeout(timer),
  };
}

// When datagrams that were queued on the way go out: at the end of the batch that caused them, or of the turn of the event loop.

export type Turn = {
  /** `task` runs once, at the next end; it must not throw */
  soon(task: () => void): void;
  /** runs what waits; called by whoever has worked through a batch */
  end(): void;
};

/** One for each thread: all its sockets share it. */
export function createTurn(): Turn {
  let waiting: (() => void)[] = [];
  let running: (() => void)[] = [];
  let set = false;

  function end(): void {
    // A task may cause another one.
    for (let round = 0; waiting.length > 0 && round < 8; round++) {
      [waiting, running] = [running, waiting];
      for (const task of running) task();
      running.length = 0;
    }
    if (waiting.length > 0) arm();
  }

  function arm(): void {
    if (set) return;
    set = true;
    setImmediate(() => {
      set = false;
      end();
    });
  }

  return {
    soon(task) {
      waiting.push(task);
      // In case no batch is under way: after this turn's events at the latest.
      arm();
    },
    end,
  };
}

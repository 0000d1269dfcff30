// The data threads as one: starts them, hands every change to all of them, and says when the last one has it in force.
// A thread that dies is replaced by its supervisor; its successor starts with what is in force by then.

import type { Logger } from 'pino';
import type { FromThread, InForce, ThreadReport, ToDataThread, Update } from './messages.ts';
import { superviseThread, type Thread, type ThreadSpec } from './supervise.ts';

export type Pool = {
  /** all threads answer on their sockets */
  readonly ready: Promise<void>;
  /** what a thread started now would begin with */
  inForce(): InForce;
  /** Puts a change in force in every thread; rejects after `ACK_MS`, naming the threads that did not answer (they get it all the same). */
  apply(update: Update): Promise<void>;
  /** the last report of each thread that lives */
  reports(): { thread: string; report: ThreadReport }[];
  health(): { thread: string; alive: boolean; restarts: number }[];
  stop(graceMs: number): Promise<void>;
};

/** Longer than the second within which a change must be in force, so that a slow machine is told from a dead thread. */
const ACK_MS = 2_000;

function withUpdate(inForce: InForce, update: Update): InForce {
  switch (update.kind) {
    case 'index':
      return { ...inForce, index: update.index };
    case 'policy':
      return { ...inForce, policy: update.policy };
    case 'overrides':
      return { ...inForce, overrides: update.overrides };
    case 'settings':
      return { ...inForce, settings: update.settings };
    case 'records':
      return { ...inForce, records: update.records };
    case 'purge':
      return inForce;
  }
}

export function createPool(deps: {
  readonly log: Logger;
  readonly inForce: InForce;
  readonly threads: (inForce: () => InForce) => readonly ThreadSpec[];
  readonly onReport?: (thread: string, report: ThreadReport) => void;
  readonly onDeath?: (thread: string) => void;
}): Pool {
  let inForce = deps.inForce;
  let nextId = 1;
  const lastReports = new Map<string, ThreadReport>();
  /** per thread: the changes it has not acknowledged */
  const waiting = new Map<string, Map<number, () => void>>();

  /** per thread: the first change that its present worker did not start with */
  const startedBefore = new Map<string, number>();

  const acknowledge = (name: string, upTo: number): void => {
    const pending = waiting.get(name)!;
    for (const [id, done] of pending) {
      if (id >= upTo) continue;
      pending.delete(id);
      done();
    }
  };

  const threads: Thread[] = deps
    .threads(() => inForce)
    .map((spec) => {
      waiting.set(spec.name, new Map());
      const start = (): unknown => {
        startedBefore.set(spec.name, nextId);
        return spec.start();
      };
      return superviseThread(
        { ...spec, start },
        {
          log: deps.log,
          onMessage: (message: FromThread) => {
            if (message.kind === 'stats') {
              lastReports.set(spec.name, message);
              deps.onReport?.(spec.name, message);
            }
            if (message.kind === 'applied') {
              acknowledge(spec.name, message.id + 1);
            }
          },
          // A successor began with all that came before its start, so what its predecessor owed of that is done.
          onReady: () => acknowledge(spec.name, startedBefore.get(spec.name)!),
          onDeath: () => {
            lastReports.delete(spec.name);
            deps.onDeath?.(spec.name);
          },
        },
      );
    });

  const ready = Promise.all(threads.map((thread) => thread.firstReady)).then(() => undefined);
  // Whoever waits for it may not have begun to when a thread fails.
  ready.catch(() => {});

  return {
    ready,
    inForce: () => inForce,
    async apply(update) {
      inForce = withUpdate(inForce, update);
      const id = nextId++;
      const late = new Set(threads.map((thread) => thread.name));
      const all = Promise.withResolvers<void>();
      for (const thread of threads) {
        waiting.get(thread.name)!.set(id, () => {
          late.delete(thread.name);
          if (late.size === 0) all.resolve();
        });
        // To a dead thread this goes nowhere; its successor starts with it.
        thread.post({ kind: 'update', id, update } satisfies ToDataThread);
      }
      const timer = setTimeout(() => {
        all.reject(
          new Error(
            `not yet in force in ${[...late].join(', ')} after ${ACK_MS} ms; it will be as soon as they answer`,
          ),
        );
      }, ACK_MS);
      try {
        await all.promise;
      } finally {
        clearTimeout(timer);
      }
    },
    reports: () => [...lastReports].map(([thread, report]) => ({ thread, report })),
    health: () =>
      threads.map((thread) => ({ thread: thread.name, alive: thread.alive(), restarts: thread.restarts() })),
    async stop(graceMs) {
      await Promise.all(
        threads.map((thread) =>
          thread.stop({ kind: 'drain', graceMs } satisfies ToDataThread, graceMs + 500),
        ),
      );
    },
  };
}

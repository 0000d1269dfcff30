// Keeps one thread alive: starts it, replaces it within a second when it dies, stops it in an orderly way.
// What the thread does and what its messages mean is its owner's business.

import { Worker, type ResourceLimits } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { FromThread } from './messages.ts';

export type ThreadSpec = {
  readonly name: string;
  readonly entry: URL;
  /** made afresh at each start, so that a successor begins with what is in force by then */
  readonly start: () => unknown;
  readonly limits: ResourceLimits;
};

export type ThreadDeps<M> = {
  readonly log: Logger;
  readonly onMessage: (message: M | FromThread) => void;
  /** the thread is up, for the first time or again */
  readonly onReady: () => void;
  /** the thread died and a successor is on its way */
  readonly onDeath: () => void;
};

export type Thread = {
  readonly name: string;
  /** resolves at the first `ready`; rejects when the thread dies before it was ever ready */
  readonly firstReady: Promise<void>;
  alive(): boolean;
  restarts(): number;
  post(message: unknown): void;
  /** Posts `message`, waits for the thread to end by itself, and ends it after `graceMs` at the latest. */
  stop(message: unknown, graceMs: number): Promise<void>;
};

const FIRST_DELAY_MS = 20;
const LONGEST_DELAY_MS = 800;
/** A thread that lived this long starts again at once when it dies. */
const STEADY_MS = 5_000;

/** `M` is what the thread says beyond what all threads say. */
export function superviseThread<M extends { readonly kind: string } = FromThread>(
  spec: ThreadSpec,
  deps: ThreadDeps<M>,
): Thread {
  let worker: Worker;
  let stopping = false;
  let everReady = false;
  let up = false;
  let restarts = 0;
  let delay = FIRST_DELAY_MS;
  let timer: NodeJS.Timeout | undefined;
  const first = Promise.withResolvers<void>();
  // Whoever starts the thread may not be waiting yet when it fails.
  first.promise.catch(() => {});

  const start = (): void => {
    const startedAt = performance.now();
    let cause: Error | undefined;
    const current = new Worker(spec.entry, {
      name: spec.name,
      workerData: spec.start(),
      resourceLimits: spec.limits,
      stdin: false,
    });
    worker = current;
    current.on('message', (message: FromThread) => {
      if (message.kind === 'ready') {
        up = true;
        everReady = true;
        first.resolve();
        deps.onReady();
      } else if (message.kind === 'log') {
        deps.log[message.level]({ thread: spec.name, ...message.fields }, message.msg);
      } else deps.onMessage(message);
    });
    current.on('error', (error: Error) => {
      cause = error;
    });
    current.on('exit', (code) => {
      up = false;
      if (stopping) return;
      const problem = cause ?? new Error(`thread ${spec.name} ended with code ${code}`);
      if (!everReady) {
        stopping = true;
        first.reject(problem);
        return;
      }
      if (performance.now() - startedAt > STEADY_MS) delay = FIRST_DELAY_MS;
      deps.log.error(
        { thread: spec.name, err: problem, restartInMs: delay },
        'thread died, starting another',
      );
      deps.onDeath();
      restarts += 1;
      timer = setTimeout(start, delay);
      delay = Math.min(delay * 2, LONGEST_DELAY_MS);
    });
  };
  start();

  return {
    name: spec.name,
    firstReady: first.promise,
    alive: () => up,
    restarts: () => restarts,
    post: (message) => worker.postMessage(message),
    async stop(message, graceMs) {
      stopping = true;
      clearTimeout(timer);
      if (worker.threadId === -1) return;
      const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
      worker.postMessage(message);
      const kill = setTimeout(() => void worker.terminate(), graceMs);
      await ended;
      clearTimeout(kill);
    },
  };
}

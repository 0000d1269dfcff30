// Searches of the audit log, answered by a thread that is started at the first one and ends when nobody asks for a while.

import { Worker } from 'node:worker_threads';
import type { EventPage } from '../audit/reader.ts';
import type { EventFilter } from '../audit/search.ts';
import type { VerifyResult } from '../audit/verify.ts';
import type { ReaderAnswer } from './messages.ts';

export type Reader = {
  events(filter: EventFilter): Promise<EventPage>;
  /** reads the whole chain of blocks */
  verify(): Promise<VerifyResult>;
  close(): Promise<void>;
};

const IDLE_MS = 60_000;
/** A search is bounded by the reader itself; this is for a thread that hangs. */
const ANSWER_MS = 20_000;
/** Every row is read. */
const VERIFY_MS = 600_000;

type Question = { readonly kind: 'events'; readonly filter: EventFilter } | { readonly kind: 'verify' };

export function createReader(deps: { readonly file: string }): Reader {
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | undefined;
  let nextId = 1;
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();

  const end = async (): Promise<void> => {
    const ending = worker;
    worker = null;
    clearTimeout(idle);
    if (ending === null) return;
    const ended = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
    ending.postMessage({ kind: 'stop' });
    const kill = setTimeout(() => void ending.terminate(), 1_000);
    await ended;
    clearTimeout(kill);
  };

  const start = (): Worker => {
    const started = new Worker(new URL('./reader-thread.ts', import.meta.url), {
      name: 'reader',
      workerData: { file: deps.file },
      resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 },
    });
    let cause = 'the reader thread ended';
    started.on('message', (answer: ReaderAnswer) => {
      const pending = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (answer.ok) pending?.resolve(answer.value);
      else pending?.reject(Object.assign(new Error(answer.problem), { code: answer.code }));
    });
    started.on('error', (error: Error) => (cause = error.message));
    started.on('exit', () => {
      if (worker === started) worker = null;
      for (const pending of waiting.values()) pending.reject(new Error(cause));
      waiting.clear();
    });
    return started;
  };

  const ask = async (question: Question, withinMs: number): Promise<unknown> => {
    worker ??= start();
    clearTimeout(idle);
    const id = nextId++;
    const pending = Promise.withResolvers<unknown>();
    waiting.set(id, pending);
    worker.postMessage({ ...question, id });
    const hung = setTimeout(() => {
      waiting.delete(id);
      pending.reject(Object.assign(new Error('the search took too long'), { code: 'search-timeout' }));
      void worker?.terminate();
    }, withinMs);
    try {
      return await pending.promise;
    } finally {
      clearTimeout(hung);
      clearTimeout(idle);
      idle = setTimeout(() => void end(), IDLE_MS);
      idle.unref();
    }
  };

  return {
    events: (filter) => ask({ kind: 'events', filter }, ANSWER_MS) as Promise<EventPage>,
    verify: () => ask({ kind: 'verify' }, VERIFY_MS) as Promise<VerifyResult>,
    close: end,
  };
}

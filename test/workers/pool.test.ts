import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { PolicyModel } from '../../src/policy/types.ts';
import type { DataSettings, InForce } from '../../src/workers/messages.ts';
import { createPool, type Pool } from '../../src/workers/pool.ts';
import { superviseThread } from '../../src/workers/supervise.ts';

const log = pino({ level: 'silent' });

/** A thread that says what it was started with, acknowledges changes, and dies or falls silent when a policy says so. */
const ENTRY = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort, workerData } from 'node:worker_threads';
    const { fails, name } = workerData;
    if (fails) throw new Error('cannot listen');
    parentPort.postMessage({ kind: 'stats', stats: { startedWith: workerData.inForce.policy.generation } });
    parentPort.on('message', (message) => {
      if (message.kind === 'drain') return parentPort.close();
      const zone = message.update.policy?.model.timezone;
      if (zone === 'die ' + name) process.exit(7);
      if (zone === 'silent') return;
      parentPort.postMessage({ kind: 'applied', id: message.id });
    });
    parentPort.postMessage({ kind: 'ready' });`)}`,
);

const model = (timezone: string): PolicyModel => ({
  timezone,
  timetables: {},
  groups: {},
  clients: [],
  unknown: 'x',
  allow: [],
  deny: [],
});

const IN_FORCE: InForce = {
  seed: { lo: 1, hi: 2 },
  index: null,
  policy: { model: model('one'), generation: 1 },
  overrides: { list: [], generation: 1 },
  settings: {} as DataSettings,
  records: { records: [], authoritative: [] },
};

let pool: Pool | undefined;
afterEach(async () => {
  await pool?.stop(200);
  pool = undefined;
});

const open = (names: string[], fails = false): Pool =>
  (pool = createPool({
    log,
    inForce: IN_FORCE,
    threads: (inForce) =>
      names.map((name) => ({
        name,
        entry: ENTRY,
        limits: {},
        start: () => ({ name, fails, inForce: inForce() }),
      })),
  }));

const until = async (check: () => boolean): Promise<void> => {
  const end = performance.now() + 5_000;
  while (!check()) {
    if (performance.now() > end) throw new Error('it did not come about');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

const policy = (timezone: string, generation: number) =>
  ({ kind: 'policy', policy: { model: model(timezone), generation } }) as const;

describe('pool of data threads', () => {
  it('says that a change is in force when the last thread has it', async () => {
    const threads = open(['dns-0', 'proxy-0']);
    await threads.ready;
    await threads.apply(policy('two', 2));
    expect(threads.inForce().policy.generation).toBe(2);
  });

  it('a thread that dies is replaced within a second, the others go on, and its successor starts with what is in force', async () => {
    const threads = open(['dns-0', 'proxy-0']);
    await threads.ready;
    const died = performance.now();
    // The change that kills it is in force in its successor: the promise resolves all the same.
    await threads.apply(policy('die dns-0', 2));
    expect(performance.now() - died).toBeLessThan(1_500);
    expect(threads.health()).toEqual([
      { thread: 'dns-0', alive: true, restarts: 1 },
      { thread: 'proxy-0', alive: true, restarts: 0 },
    ]);
    await until(() =>
      threads.reports().some(({ thread, report }) => thread === 'dns-0' && report.stats['startedWith'] === 2),
    );
    await threads.apply(policy('three', 3));
  });

  it('names the threads that do not answer, and they have the change when they do', async () => {
    const threads = open(['dns-0']);
    await threads.ready;
    await expect(threads.apply(policy('silent', 2))).rejects.toThrow(/not yet in force in dns-0/);
    expect(threads.inForce().policy.generation).toBe(2);
    await threads.apply(policy('three', 3));
  });

  it('a thread that cannot start fails the start, instead of being tried for ever', async () => {
    const threads = open(['dns-0'], true);
    await expect(threads.ready).rejects.toThrow('cannot listen');
  });
});

describe('a supervised thread', () => {
  it('that ignores the request to end is ended after the grace', async () => {
    const deaf = new URL(
      `data:text/javascript,${encodeURIComponent(`
        import { parentPort } from 'node:worker_threads';
        parentPort.on('message', () => {});
        parentPort.postMessage({ kind: 'ready' });`)}`,
    );
    const thread = superviseThread(
      { name: 'deaf', entry: deaf, start: () => null, limits: {} },
      { log, onMessage: () => {}, onReady: () => {}, onDeath: () => {} },
    );
    await thread.firstReady;
    const began = performance.now();
    await thread.stop({ kind: 'stop' }, 100);
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(thread.alive()).toBe(false);
  });
});

import { once } from 'node:events';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';

it('lowers its own thread and no other', async () => {
  const before = getPriority();
  const entry = new URL('../../src/workers/lower-priority.ts', import.meta.url);
  const worker = new Worker(
    `const { readlinkSync } = require('node:fs');
     const { getPriority } = require('node:os');
     const { parentPort } = require('node:worker_threads');
     import(${JSON.stringify(entry.href)}).then(({ lowerPriority }) => {
       lowerPriority();
       parentPort.postMessage(getPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1))));
     });`,
    { eval: true },
  );
  const [lowered] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  if (process.platform === 'linux') expect(lowered).toBe(Math.min(19, before + 5));
  expect(getPriority()).toBe(before);
});

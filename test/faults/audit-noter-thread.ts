// A data thread to be killed: notes blocks (from one client, 500 names) and visits into a ring, and counts in shared memory
// what it noted. No tests here.

import { parentPort, workerData } from 'node:worker_threads';
import { createRecorder } from '../../src/workers/recorder.ts';
import { block, visit } from './audit-events.ts';
import { decisionOf } from '../audit/decision-of.ts';

const { ring, spillDir, noted, blocks, visits, finish } = workerData as {
  ring: SharedArrayBuffer;
  spillDir: string;
  noted: Int32Array;
  blocks: number;
  visits: number;
  finish: boolean;
};
const recorder = createRecorder({
  start: { name: 'dns-0', ring, spillDir },
  generations: { policy: 3, index: 7, overrides: 0 },
  now: Date.now,
  log: (_level, msg) => process.stderr.write(`${msg}\n`),
});
const blocked = decisionOf(block());
const allowed = decisionOf(visit());
const hash = (n: number): number => Math.imul(n + 1, 0x9e3779b1);
const note = ({ client, verdict }: typeof blocked, n: number): void =>
  recorder.note(hash(n), ~n, client, verdict, 1, Date.now(), 40, 80, 0.1, () => `n${n}.example`);

parentPort!.postMessage({ kind: 'ready' });
for (let n = 0; n < blocks; n++) {
  note(blocked, n % 500);
  Atomics.add(noted, 0, 1);
}
for (let n = 0; n < visits; n++) {
  note(allowed, n % 700);
  Atomics.add(noted, 1, 1);
}
if (finish) await recorder.finish(5_000);

// Not a measurement of speed first of all: broken packets and broken answers by the million, each run in a process of its own
// with a watchdog. Anything wrong, thrown or hanging ends it with exit code 1 and the bytes in hex. `node bench/hostile.ts
// [--seed N] [--scale PART] [--only RUN]`; a scale of 1 is ten million packets, a million datagrams, a hundred thousand frames.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { runAnswers, runPackets } from '../test/support/hostile-runs.ts';
import type { RunOptions, RunResult } from '../test/support/hostile-runs.ts';
import { runDatagrams, runFrames, runRequests, runUpstream } from '../test/support/hostile-wire-runs.ts';
import { tableOf } from './rows.ts';
import type { BenchRow } from './rows.ts';

type Run = {
  readonly what: string;
  readonly amount: number;
  /** broken messages that one of the amount stands for */
  readonly each?: number;
  readonly start: (options: RunOptions) => Promise<RunResult>;
};

const RUNS: Readonly<Record<string, Run>> = {
  packets: { what: 'packets in process', amount: 10_000_000, start: runPackets },
  answers: { what: 'answers of upstreams in process', amount: 10_000_000, start: runAnswers },
  batched: { what: 'datagrams, batched', amount: 1_000_000, start: (o) => runDatagrams('batched', o) },
  dgram: { what: 'datagrams, dgram', amount: 1_000_000, start: (o) => runDatagrams('dgram', o) },
  tcp: { what: 'frames over TCP', amount: 100_000, start: (o) => runFrames('tcp', o) },
  dot: { what: 'frames over DoT', amount: 100_000, start: (o) => runFrames('dot', o) },
  doh: { what: 'requests over DoH', amount: 100_000, start: runRequests },
  // Each query is answered by three lies, on the average.
  'upstream-batched': {
    what: 'queries to a lying upstream, batched',
    amount: 170_000,
    start: (o) => runUpstream('batched', o),
  },
  'upstream-dgram': {
    what: 'queries to a lying upstream, dgram',
    amount: 170_000,
    start: (o) => runUpstream('dgram', o),
  },
};

const SELF = fileURLToPath(import.meta.url);
const PACKET_ROOM = 70_000;
const HANG_MS = 60_000;
/** A run may add so much; caches and tables are full before it is measured. */
const MOST_HEAP_MB = 40;
const MOST_RSS_MB = 160;

// ---- the watchdog: a thread that looks whether anything moves, and tells what was being read when nothing did

type Shared = { readonly words: Int32Array; readonly bytes: Uint8Array };
const sharedOf = (memory: SharedArrayBuffer): Shared => ({
  words: new Int32Array(memory, 0, 2),
  bytes: new Uint8Array(memory, 8),
});

function watchdog(memory: SharedArrayBuffer): void {
  const { words, bytes } = sharedOf(memory);
  let last = -1;
  setInterval(() => {
    const count = Atomics.load(words, 0);
    if (count === last) {
      const packet = Buffer.from(bytes.subarray(0, Atomics.load(words, 1))).toString('hex');
      writeSync(2, `nothing moved for ${HANG_MS / 1000} s\n  packet: ${packet}\n`);
      process.kill(process.pid, 'SIGKILL');
    }
    last = count;
  }, HANG_MS);
}

async function runOne(name: string, amount: number, seed: number): Promise<void> {
  const memory = new SharedArrayBuffer(8 + PACKET_ROOM);
  const { words, bytes } = sharedOf(memory);
  const dog = new Worker(new URL(import.meta.url), { workerData: memory });
  dog.unref();
  const result = await (RUNS[name] as Run).start({
    amount,
    seed,
    watch(packet, length) {
      for (let i = 0; i < length; i++) bytes[i] = packet[i] as number;
      words[1] = length;
      words[0] = (words[0] as number) + 1;
    },
  });
  process.send?.(result);
  process.exit();
}

// ---- all of them

/** A row for the rate of each run and one for its memory; throws when a run found something. */
export async function measureHostile(): Promise<BenchRow[]> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, scale: { type: 'string' }, run: { type: 'string' } },
    strict: false,
  });
  const seed = Number(values['seed'] ?? 1);
  const scale = Number(values['scale'] ?? 1);
  const rows: BenchRow[] = [];
  for (const [name, { what, amount }] of Object.entries(RUNS)) {
    if (values['run'] !== undefined && values['run'] !== name) continue;
    const many = Math.max(1000, Math.round((amount * scale) / 1000) * 1000);
    const child = fork(SELF, [name, String(many), String(seed)], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    let result = null as RunResult | null;
    child.on('message', (message) => (result = message as RunResult));
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0 || result === null)
      throw new Error(`hostile: ${what} with seed ${seed} ended with ${code}`);
    const { perSecond, answered, heapMb, rssMb, counts } = result;
    if (heapMb > MOST_HEAP_MB || rssMb > MOST_RSS_MB)
      throw new Error(`hostile: ${what} added ${heapMb} MB of heap and ${rssMb} MB in all`);
    const told = Object.entries(counts).filter(([, count]) => count !== 0);
    process.stderr.write(
      `${name}: ${many} with seed ${seed}, ${answered} answers, ${told.map(([key, count]) => `${key} ${count}`).join(', ')}\n`,
    );
    rows.push(
      { name: `hostile: ${what}`, figure: many, unit: 'done' },
      { name: `hostile: ${what}, rate`, figure: perSecond, unit: 'a second' },
      { name: `hostile: ${what}, growth of the heap`, figure: heapMb, unit: 'MB', memoryMb: rssMb },
    );
  }
  return rows;
}

const [, , first, amount, seed] = process.argv;
if (!isMainThread) watchdog(workerData as SharedArrayBuffer);
else if (process.send !== undefined && first !== undefined && first in RUNS)
  await runOne(first, Number(amount), Number(seed));
else if (import.meta.main) process.stdout.write(`${tableOf(await measureHostile())}\n`);

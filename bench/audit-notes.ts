// What it costs to note DNS decisions at full rate: nanoseconds a call in the data thread, and CPU of the whole process, the
// real audit writer in a thread of its own beside it. Clients send 150,000 queries a second here.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Client, Verdict } from '../src/policy/types.ts';
import type { AuditThreadStart } from '../src/workers/messages.ts';
import { createRecorder, type Recorder } from '../src/workers/recorder.ts';
import { createRingMemory, openRingConsumer } from '../src/workers/ring.ts';
import type { BenchRow } from './rows.ts';

const RATE = 150_000;
const SECONDS = 5;
const TICK_MS = 5;
const RING_BYTES = 1 << 20;
const NAMES = 5_000;

const clientAt = (n: number): Client => ({
  address: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`,
  device: 'year-2-ipads',
  group: 'ks1',
  class: 'hedgehogs',
  user: null,
  inCharge: 'm.hart',
});
const verdictOf = (action: 'allow' | 'block'): Verdict => ({
  action,
  reason: action === 'block' ? 'unacceptable' : 'acceptable',
  category: 'advertising',
  rating: action === 'block' ? 'unacceptable' : 'acceptable',
  rule: 'advertising is rated for ks1',
  list: 'starter-advertising',
  group: 'ks1',
  overrideId: null,
  target: null,
  until: null,
});
const ALLOW = verdictOf('allow');
const BLOCK = verdictOf('block');
const ONE = clientAt(0x20007);

/** Indexes of names as people ask for them: the n-th name 1/n as often as the first. */
const zipf = ((): Uint16Array => {
  const weights = Array.from({ length: NAMES }, (_, n) => 1 / (n + 1));
  const total = weights.reduce((sum, weight) => sum + weight);
  let seed = 1;
  const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
  const sums: number[] = [];
  weights.reduce((sum, weight) => (sums.push(sum + weight / total), sum + weight / total), 0);
  return Uint16Array.from({ length: 1 << 16 }, () => {
    const at = random();
    let [low, high] = [0, NAMES - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < at) low = middle + 1;
      else high = middle;
    }
    return low;
  });
})();

type Load = {
  readonly name: string;
  readonly rate: number;
  note(recorder: Recorder, n: number, at: number): void;
};

const hash = (n: number): number => Math.imul(n + 1, 0x9e3779b1) >>> 0;
let current = 0;
const host = (): string => `n${current}.tracker.example`;
const send = (recorder: Recorder, name: number, client: Client, verdict: Verdict, at: number): void => {
  current = name;
  recorder.note(hash(name), hash(~name), client, verdict, 1, at, 42, 96, 0.2, host);
};
const many = Array.from({ length: 1_000 }, (_, n) => clientAt(n));

const LOADS: readonly Load[] = [
  { name: 'nothing noted', rate: RATE, note: () => {} },
  { name: 'one name', rate: RATE, note: (recorder, _n, at) => send(recorder, 1, ONE, ALLOW, at) },
  {
    name: '5,000 names, 20 % blocked',
    rate: RATE,
    note(recorder, n, at) {
      const name = zipf[n & 0xffff]!;
      send(recorder, name, ONE, name % 5 === 4 ? BLOCK : ALLOW, at);
    },
  },
  {
    name: '5,000 names, 20 % blocked, 1,000 clients',
    rate: RATE,
    note(recorder, n, at) {
      const name = zipf[n & 0xffff]!;
      send(recorder, name, many[(n * 7) % 1_000]!, name % 5 === 4 ? BLOCK : ALLOW, at);
    },
  },
  {
    name: 'every name another, allowed',
    rate: RATE,
    note: (recorder, n, at) => send(recorder, n, ONE, ALLOW, at),
  },
  {
    name: 'every name another, blocked',
    rate: RATE,
    note: (recorder, n, at) => send(recorder, n, ONE, BLOCK, at),
  },
  {
    name: 'every block a row of its own and a name never seen',
    rate: 10_000,
    note: (recorder, n, at) => send(recorder, n, many[n % 1_000]!, BLOCK, at),
  },
];

const open = (dir: string, ring: SharedArrayBuffer): Recorder =>
  createRecorder({
    start: { name: 'dns-0', ring, spillDir: join(dir, 'spill') },
    generations: { policy: 3, index: 7, overrides: 1 },
    now: Date.now,
    log: (_level, msg) => process.stderr.write(`${msg}\n`),
  });

/** The call alone: events are taken from the ring and thrown away, time goes by at the rate of the load. */
function measureCall(dir: string, load: Load): BenchRow {
  const ring = createRingMemory(RING_BYTES);
  const consumer = openRingConsumer(ring);
  const recorder = open(dir, ring);
  const start = Date.now();
  const run = (from: number, to: number): void => {
    for (let n = from; n < to; n++) {
      load.note(recorder, n, start + (n * 1000) / load.rate);
      if (n % 1_500 === 0) {
        consumer.drain(Infinity, () => {});
        consumer.release();
      }
      if (n % load.rate === 0) recorder.turn();
    }
  };
  run(0, 300_000);
  // CPU, not time: whatever else the machine does is no part of it.
  const before = process.cpuUsage();
  run(300_000, 1_800_000);
  const { user, system } = process.cpuUsage(before);
  const nanos = ((user + system) * 1e3) / 1_500_000;
  return { name: `audit: note, ${load.name}`, figure: nanos, unit: 'ns' };
}

/** CPU seconds of the whole process, and what the writer and the recorder say, with the load for a few seconds. */
async function runWhole(
  load: Load,
): Promise<{ cpu: number; sent: number; written: number; dropped: number }> {
  const dir = mkdtempSync(join(tmpdir(), 'audit-notes-'));
  const ring = createRingMemory(RING_BYTES);
  const spillDir = join(dir, 'spill');
  const recorder = open(dir, ring);
  const start: AuditThreadStart = {
    store: { file: join(dir, 'audit.db'), site: 'main', sync: 'full' },
    rings: [ring],
    spillDir,
  };
  const writer = new Worker(new URL('../src/workers/audit-thread.ts', import.meta.url), {
    workerData: start,
  });
  let written = 0;
  writer.on('message', (message: { kind: string; stats?: Record<string, number> }) => {
    written = message.stats?.['written'] ?? written;
  });
  await new Promise<void>((resolve) =>
    writer.on('message', (message: { kind: string }) => message.kind === 'ready' && resolve()),
  );
  const total = load.rate * SECONDS;
  const began = Date.now();
  const cpu = process.cpuUsage();
  let sent = 0;
  let turns = 0;
  while (sent < total) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    const at = Date.now();
    const due = Math.min(total, Math.floor(((at - began) * load.rate) / 1000));
    for (; sent < due; sent++) load.note(recorder, sent, at);
    if (at - began >= (turns + 1) * 1000) {
      turns += 1;
      recorder.turn();
    }
  }
  await recorder.finish(2_000);
  const exited = new Promise((resolve) => writer.on('exit', resolve));
  writer.postMessage({ kind: 'stop' });
  await exited;
  const { user, system } = process.cpuUsage(cpu);
  rmSync(dir, { recursive: true, force: true });
  return { cpu: user + system, sent, written, dropped: recorder.stats()['audit_dropped']! };
}

/** About fifty seconds. */
export async function measureNotes(dir: string): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const load of LOADS.slice(1)) rows.push(measureCall(dir, load));
  const idle = new Map<number, number>();
  for (const load of LOADS) {
    const { cpu, sent, written, dropped } = await runWhole(load);
    if (load.name === LOADS[0]!.name) {
      idle.set(load.rate, cpu / sent);
      continue;
    }
    if (written + dropped !== sent) throw new Error(`${load.name}: ${sent} sent, ${written} in the log`);
    rows.push({
      name: `audit: whole process at ${load.rate.toLocaleString('en-GB')}/s, ${load.name}`,
      figure: (dropped * 100) / sent,
      unit: '% dropped',
      cpuMicros: cpu / sent - (idle.get(load.rate) ?? 0),
    });
  }
  return rows;
}

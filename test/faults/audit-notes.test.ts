// Deaths of the threads on either side of the ring: what a data thread noted outlives it, and what the writer had not
// written is there for its successor. Real threads, the real writer, one database.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeDecision } from '../../src/audit/event.ts';
import { openReader, type EventRow } from '../../src/audit/reader.ts';
import type { AuditThreadStart } from '../../src/workers/messages.ts';
import { createRecorder } from '../../src/workers/recorder.ts';
import { createRingMemory, openRingProducer } from '../../src/workers/ring.ts';
import { decisionOf } from '../audit/decision-of.ts';
import { block, visit } from './audit-events.ts';

const dirs: string[] = [];
const workers: Worker[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.terminate();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function bench() {
  const dir = mkdtempSync(join(tmpdir(), 'audit-notes-'));
  dirs.push(dir);
  const ring = createRingMemory(1 << 20);
  // Blocks and visits noted so far, as the thread itself counts them after each call.
  const noted = new Int32Array(new SharedArrayBuffer(8));
  const spillDir = join(dir, 'spill');
  const file = join(dir, 'audit.db');
  const start: AuditThreadStart = {
    store: { file, site: 'main', sync: 'normal', ballastBytes: 0 },
    rings: [ring],
    spillDir,
  };
  const begin = async (entry: URL, workerData: unknown): Promise<Worker> => {
    const worker = new Worker(entry, { workerData });
    workers.push(worker);
    for (;;) {
      const [message] = (await once(worker, 'message')) as [{ kind: string }];
      if (message.kind === 'ready') return worker;
    }
  };
  return {
    noted,
    ring,
    spillDir,
    file,
    writer: () => begin(new URL('../../src/workers/audit-thread.ts', import.meta.url), start),
    noter: (how: { blocks: number; visits: number; finish: boolean }) =>
      begin(new URL('./audit-noter-thread.ts', import.meta.url), { ring, spillDir, noted, ...how }),
    async settle(writer: Worker): Promise<{ rows: EventRow[]; whole: boolean }> {
      const ended = once(writer, 'exit');
      writer.postMessage({ kind: 'stop' });
      await ended;
      const reader = openReader({ file });
      const rows: EventRow[] = [];
      for (let cursor: string | undefined; ;) {
        const page = reader.events({ limit: 1000, cursor });
        rows.push(...page.items);
        if (page.next === null) break;
        cursor = page.next;
      }
      const whole = reader.verify().ok;
      const sums = reader.sums({ from: 0, to: Date.now() + 86_400_000 });
      reader.close();
      const of = (list: readonly { action: string; count: number }[], action: string) =>
        list.filter((one) => one.action === action).reduce((sum, one) => sum + one.count, 0);
      for (const action of ['block', 'allow']) expect(of(sums, action)).toBe(of(rows, action));
      return { rows, whole };
    },
  };
}
const from = (file: string): EventRow[] => {
  const reader = openReader({ file });
  try {
    return reader.events({ limit: 1000 }).items;
  } finally {
    reader.close();
  }
};
const count = (rows: readonly EventRow[], action: string): number =>
  rows.filter((row) => row.action === action).reduce((sum, row) => sum + row.count, 0);

describe('M01 deaths of the threads that audit', () => {
  it('M01: a data thread killed in a flood of blocks loses none that it had noted', async () => {
    for (const blocks of [2_000, 60_000]) {
      const b = bench();
      const writer = await b.writer();
      const noter = await b.noter({ blocks: Infinity, visits: 0, finish: false });
      while (Atomics.load(b.noted, 0) < blocks) await new Promise((resolve) => setImmediate(resolve));
      await noter.terminate();
      const noted = Atomics.load(b.noted, 0);
      const { rows, whole } = await b.settle(writer);
      // One may have been noted and not yet counted by the thread itself when it was killed.
      expect(count(rows, 'block') - noted).toBeGreaterThanOrEqual(0);
      expect(count(rows, 'block') - noted).toBeLessThanOrEqual(1);
      expect(whole).toBe(true);
      if (blocks > 10_000) expect(rows.some((row) => row.host === '*' && row.count > 1000)).toBe(true);
    }
  });

  it('M01: a writer told to end takes what a data thread held when it was killed, and what comes after it', async () => {
    const b = bench();
    const ring = openRingProducer(b.ring, encodeDecision);
    const at = Date.UTC(2026, 10, 23, 9);
    const one = { ...decisionOf(block()), at };
    const place = ring.writeOpen(one);
    for (let n = 0; n < 5_000; n++) ring.add(place, 1, 1, 1);
    ring.write(one);
    // As if the thread had been stopped in the middle of counting: the second word of the first record is its gate.
    Atomics.store(new Int32Array(b.ring, 64 + 4, 1), 0, 1);
    const { rows, whole } = await b.settle(await b.writer());
    expect([count(rows, 'block'), whole]).toEqual([5_002, true]);
  });

  it('M01: an orderly end tells every visit, and the writer everything that it was told', async () => {
    const b = bench();
    const writer = await b.writer();
    const noter = await b.noter({ blocks: 30_000, visits: 100_000, finish: true });
    if (noter.threadId !== -1) await once(noter, 'exit');
    const { rows, whole } = await b.settle(writer);
    expect([count(rows, 'block'), count(rows, 'allow'), whole]).toEqual([30_000, 100_000, true]);
  });

  it('M01: blocks noted while no writer runs are there for the next one', async () => {
    const b = bench();
    const first = await b.writer();
    await first.terminate();
    const noter = await b.noter({ blocks: 50_000, visits: 1_000, finish: true });
    if (noter.threadId !== -1) await once(noter, 'exit');
    const { rows, whole } = await b.settle(await b.writer());
    expect([count(rows, 'block'), whole]).toEqual([50_000, true]);
  });

  it('M01: a writer killed while blocks flood in is followed by one that misses none and counts none twice', async () => {
    const b = bench();
    const noter = await b.noter({ blocks: 400_000, visits: 0, finish: true });
    for (let deaths = 0; deaths < 4; deaths++) {
      const writer = await b.writer();
      const until = Math.min(400_000, Atomics.load(b.noted, 0) + 60_000);
      while (Atomics.load(b.noted, 0) < until) await new Promise((resolve) => setImmediate(resolve));
      await writer.terminate();
    }
    if (noter.threadId !== -1) await once(noter, 'exit');
    const { rows, whole } = await b.settle(await b.writer());
    expect([count(rows, 'block'), whole]).toEqual([400_000, true]);
  });
});

describe('M01 what is noted is seen while it goes on', () => {
  it('M01: blocks with their counts and first visits by the next batch, further visits by the turns of the thread', async () => {
    const b = bench();
    await b.writer();
    const recorder = createRecorder({
      start: { name: 'dns-0', ring: b.ring, spillDir: b.spillDir },
      generations: { policy: 3, index: 7, overrides: 0 },
      now: Date.now,
      log: () => {},
    });
    const until = async (action: string, wanted: number): Promise<EventRow[]> => {
      for (;;) {
        const rows = from(b.file).filter((row) => row.action === action);
        if (count(rows, action) === wanted) return rows;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const at = Date.UTC(2026, 10, 23, 9);
    const [blocked, allowed] = [decisionOf(block()), decisionOf(visit())];
    for (let n = 0; n < 1_000; n++) {
      for (const { client, verdict, host } of [blocked, allowed])
        recorder.note(1, 2, client, verdict, 28, at + n / 2, 40, 80, 0.1, () => host);
    }
    const blocks = await until('block', 1_000);
    // Twenty alone, one for the name, one for all names; a batch in between begins another of these two.
    expect(blocks.length).toBeGreaterThanOrEqual(22);
    expect(blocks.length).toBeLessThan(30);
    expect(new Set(blocks.map((row) => row.host))).toEqual(new Set(['bets.example', '*']));
    expect(await until('allow', 1)).toMatchObject([{ host: 'maps.example', qtype_or_method: 'AAAA', at }]);
    for (let turn = 0; turn < 4; turn++) recorder.turn();
    expect((await until('allow', 1_000)).length).toBe(1);
    expect(recorder.stats()).toMatchObject({ audit_dropped: 0, audit_spilled: 0, audit_lost: 0 });
  });
});

// Spill files: what a producer could not hand over is taken in exactly once, and damage costs only what is damaged.

import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createSpill, listSpills, readSpill } from '../../src/audit/spill.ts';
import { allEvents, block, createBench, decisionOf, T0 } from './fixture.ts';

const decisions = (n: number) =>
  Array.from({ length: n }, (_, i) => decisionOf(block({ at: T0 + i * 100, path: `/${i}` })));

describe('spill', () => {
  it('is taken in once it is finished, and the file is gone', () => {
    const bench = createBench();
    const dir = join(bench.dir, 'spill');
    const store = bench.open();
    expect(store.takeSpills(dir)).toBe(0);
    const spill = createSpill({ dir, name: 'dns-0', now: () => T0 });
    for (const decision of decisions(50)) expect(spill.append(decision)).toBe(true);
    expect(store.takeSpills(dir)).toBe(0);
    spill.roll();
    spill.append(decisions(1)[0]!);
    expect(store.takeSpills(dir)).toBe(50);
    expect(readdirSync(dir)).toEqual(['dns-0-' + T0 + '-1.open']);
    expect(store.stats()).toMatchObject({ spilled: 50, written: 50 });
    expect(allEvents(bench.reader()).length).toBe(50);
    expect(bench.reader().verify()).toMatchObject({ ok: true, rows: 50 });
  });

  it('a file that is still there after it was taken in is not taken twice', () => {
    const bench = createBench();
    const dir = join(bench.dir, 'spill');
    const spill = createSpill({ dir, name: 'dns-0', now: () => T0 });
    for (const decision of decisions(5)) spill.append(decision);
    spill.roll();
    const { path } = listSpills(dir)[0]!;
    const bytes = readFileSync(path);
    let store = bench.open();
    expect(store.takeSpills(dir)).toBe(5);
    store.close();
    writeFileSync(path, bytes);
    store = bench.open();
    expect(store.takeSpills(dir)).toBe(0);
    expect(listSpills(dir)).toEqual([]);
    expect(allEvents(bench.reader()).length).toBe(5);
  });

  it('what a dead producer left open is finished by its successor, and by no one else', () => {
    const bench = createBench();
    const dir = join(bench.dir, 'spill');
    createSpill({ dir, name: 'dns-1', now: () => T0 }).append(decisions(1)[0]!);
    createSpill({ dir, name: 'dns-10', now: () => T0 }).append(decisions(1)[0]!);
    expect(listSpills(dir)).toEqual([]);
    createSpill({ dir, name: 'dns-1', now: () => T0 + 1 });
    expect(listSpills(dir).map(({ name }) => name)).toEqual([`dns-1-${T0}-0.ready`]);
  });

  it('a torn last record costs only itself, at any length', () => {
    const bench = createBench();
    const dir = join(bench.dir, 'spill');
    const spill = createSpill({ dir, name: 'p', now: () => T0 });
    for (const decision of decisions(3)) spill.append(decision);
    const size = spill.pending();
    spill.roll();
    const { path } = listSpills(dir)[0]!;
    expect(readSpill(path)).toMatchObject({ events: { length: 3 }, damaged: 0 });
    const record = (size - 8) / 3;
    for (let cut = 1; cut < record; cut += 7) {
      truncateSync(path, size - cut);
      expect(readSpill(path).events.length).toBe(2);
      expect(readSpill(path).damaged).toBeGreaterThan(0);
    }
    appendFileSync(path, Buffer.alloc(100, 0xff));
    expect(readSpill(path).events.length).toBe(2);
    writeFileSync(path, 'not a spill file');
    expect(readSpill(path)).toEqual({ events: [], damaged: 16 });
    writeFileSync(path, '');
    expect(readSpill(path)).toEqual({ events: [], damaged: 0 });
    const store = bench.open();
    writeFileSync(path, Buffer.concat([Buffer.from('SGSPILL1'), Buffer.alloc(50, 7)]));
    expect(store.takeSpills(dir)).toBe(0);
    expect(bench.notes).toMatchObject([{ event: 'spill-damaged', count: 50 }, { event: 'spill-taken' }]);
  });

  it('is bounded, in one file and in all', () => {
    const bench = createBench();
    const dir = join(bench.dir, 'spill');
    const spill = createSpill({ dir, name: 'p', now: () => T0, maxBytes: 20_000, fileBytes: 5000 });
    const stored = decisions(500).map((decision) => spill.append(decision));
    expect(stored.indexOf(false)).toBeGreaterThan(50);
    expect(stored.slice(stored.indexOf(false)).every((ok) => !ok)).toBe(true);
    spill.roll();
    const sizes = listSpills(dir).map(({ path }) => statSync(path).size);
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(20_000);
    expect(Math.max(...sizes)).toBeLessThan(5500);
    const store = bench.open();
    expect(store.takeSpills(dir)).toBe(stored.filter(Boolean).length);
    expect(spill.append(decisions(1)[0]!)).toBe(true);
  });
});

// A full disk and a damaged file: writing goes on, the ballast is given up before any row, and a loss is counted.

import {
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { allEvents, block, countOf, createBench, T0, visit, type Bench } from '../audit/fixture.ts';

const many = (n: number, from: number, make = block) =>
  Array.from({ length: n }, (_, i) =>
    make({ at: T0 + from + i, host: `host-${from + i}.example`, client: `10.0.0.${i % 250}` }),
  );

/** A store whose disk can be filled and emptied: SQLite refuses more pages than it is told. */
const onSmallDisk = (bench: Bench, more: Parameters<Bench['open']>[0] = {}) => {
  const connections: Database[] = [];
  const store = bench.open({
    ...more,
    connect: (file) => {
      const db = new Sqlite(file);
      connections.push(db);
      return db;
    },
  });
  const pages = () => Number(connections.at(-1)!.pragma('page_count', { simple: true }));
  return {
    store,
    fill: () => connections.at(-1)!.pragma(`max_page_count = ${pages()}`),
    empty: () => connections.at(-1)!.pragma('max_page_count = 1000000'),
  };
};

describe('a full disk', () => {
  it('M01: rows wait in memory, and are written exactly once when there is room again', () => {
    const bench = createBench();
    const { store, fill, empty } = onSmallDisk(bench);
    store.write(many(100, 0));
    fill();
    let from = 100;
    while (store.write(many(100, from))) from += 100;
    const full = from;
    for (from += 100; from < full + 500; from += 100) expect(store.write(many(100, from))).toBe(false);
    expect(store.stats()).toMatchObject({ held: 500, lostKept: 0, lostVisits: 0, written: full });
    expect(bench.notes).toMatchObject([{ level: 'error', event: 'disk-full' }]);
    const reader = bench.reader();
    expect(countOf(allEvents(reader))).toBe(full);
    expect(reader.verify()).toMatchObject({ ok: true, rows: full });
    empty();
    expect(store.write([])).toBe(true);
    expect(store.stats()).toMatchObject({ held: 0, lostKept: 0, written: from });
    expect(countOf(allEvents(reader))).toBe(from);
    expect(reader.verify()).toMatchObject({ ok: true, rows: from });
    expect(countOf(reader.sums({ from: T0, to: T0 + 3_600_000 }))).toBe(from);
    expect(bench.notes.at(-1)).toMatchObject({ event: 'writing-again' });
  });

  it('M01: the ballast is freed first, and nothing waits if that makes room', () => {
    const bench = createBench();
    const disk = onSmallDisk(bench, {
      ballastBytes: 100_000,
      log: (level, message, { event }) => {
        bench.notes.push({ level, message, event: String(event), file: '' });
        if (event === 'ballast-freed') disk.empty();
      },
    });
    const ballast = join(bench.dir, 'ballast');
    expect(statSync(ballast).size).toBe(100_000);
    disk.fill();
    let from = 0;
    for (; existsSync(ballast); from += 200) expect(disk.store.write(many(200, from))).toBe(true);
    expect(bench.notes.map((note) => note.event)).toEqual(['ballast-freed']);
    expect(disk.store.stats()).toMatchObject({ held: 0, lostKept: 0, written: from });
    expect(allEvents(bench.reader()).length).toBe(from);
    // It is made again when there is room.
    disk.store.maintain(T0);
    expect(statSync(ballast).size).toBe(100_000);
  });

  it('M01: what memory will not hold is lost visits first, and counted exactly', () => {
    const bench = createBench();
    const { store, fill, empty } = onSmallDisk(bench, { maxHeld: 300 });
    store.write(many(50, 0));
    fill();
    let from = 50;
    while (store.write(many(50, from))) from += 50;
    from += 50;
    store.write(many(200, from, visit));
    expect(store.stats()).toMatchObject({ held: 250, lostVisits: 0, lostKept: 0 });
    store.write(many(200, from + 200, block));
    expect(store.stats()).toMatchObject({ held: 300, lostVisits: 150, lostKept: 0 });
    store.write([...many(100, from + 400, block), ...many(10, from, visit)]);
    expect(store.stats()).toMatchObject({ held: 300, lostVisits: 210, lostKept: 50 });
    expect(bench.notes.filter((note) => note.event === 'lost').map((note) => note.count)).toEqual([150, 110]);
    empty();
    expect(store.write(many(5, from, visit))).toBe(true);
    const rows = allEvents(bench.reader());
    expect(countOf(rows)).toBe(from + 200 + 200 + 110 + 5 - 260);
    expect(store.stats().written).toBe(countOf(rows));
    expect(bench.reader().verify()).toMatchObject({ ok: true });
  });
});

const damage = (file: string, from: number, bytes: number) => {
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.alloc(bytes, 0xa5), 0, bytes, from);
  closeSync(fd);
};

const setAside = (bench: Bench) =>
  readdirSync(bench.dir).filter((name) => /corrupt-\d{8}T\d{6}Z(-\d+)?$/.test(name));

describe('a damaged file', () => {
  it.each([
    ['its head', 0, 100],
    ['its first page', 0, 4096],
    ['every page', 4096, 200_000],
  ])('with %s overwritten is set aside at the start, and a new one begun', (_name, from, bytes) => {
    const bench = createBench();
    const first = bench.open();
    first.write(many(500, 0));
    first.close();
    damage(bench.file, from, bytes);
    const store = bench.open();
    expect(store.write(many(10, 0))).toBe(true);
    expect(store.stats().replaced).toBe(1);
    expect(setAside(bench)).toEqual(['audit.db.corrupt-20261122T150000Z']);
    expect(bench.notes).toMatchObject([
      { level: 'error', event: 'set-aside', file: join(bench.dir, 'audit.db.corrupt-20261122T150000Z') },
    ]);
    expect(allEvents(bench.reader()).length).toBe(10);
    expect(bench.reader().verify()).toMatchObject({ ok: true, rows: 10 });
  });

  it('is no database at all, or one of something else: set aside likewise', () => {
    const bench = createBench();
    writeFileSync(bench.file, 'these are not the pages you are looking for '.repeat(100));
    bench.open().close();
    const db = new Sqlite(bench.file);
    db.pragma('application_id = 7');
    db.close();
    bench.open().close();
    expect(setAside(bench)).toEqual([
      'audit.db.corrupt-20261122T150000Z',
      'audit.db.corrupt-20261122T150000Z-2',
    ]);
    expect(readFileSync(join(bench.dir, setAside(bench)[0]!), 'utf8')).toMatch(/^these are not/);
  });

  it('M01: found while writing, costs what was in it and not one row that came since', () => {
    const bench = createBench();
    const store = bench.open();
    const same = (n: number) => Array.from({ length: n }, () => visit());
    store.write([...many(2000, 0), ...same(5)]);
    const checkpoint = new Sqlite(bench.file);
    checkpoint.pragma('wal_checkpoint(TRUNCATE)');
    checkpoint.close();
    damage(bench.file, 4096, statSync(bench.file).size - 4096);
    let written = 0;
    // SQLite may go on with pages that it remembers; the damage shows when it reads a new one.
    for (; store.stats().replaced === 0 && written < 50_000; written += 503) {
      expect(store.write([...many(500, 10_000 + written), ...same(3)])).toBe(true);
    }
    expect(store.stats()).toMatchObject({ replaced: 1, held: 0, lostKept: 0, lostVisits: 0 });
    expect(setAside(bench).length).toBe(1);
    const rows = allEvents(bench.reader());
    expect(rows.filter((row) => row.host === `host-${10_000 + written - 503}.example`).length).toBe(1);
    expect(countOf(rows.filter((row) => row.action === 'allow'))).toBe(3);
    expect(countOf(rows)).toBe(503);
    expect(bench.reader().verify()).toMatchObject({ ok: true, rows: 500 });
    expect(store.write(many(10, 0))).toBe(true);
  });

  it('of a newer version is refused and left as it is', () => {
    const bench = createBench();
    bench.open().close();
    const db = new Sqlite(bench.file);
    db.pragma('user_version = 99');
    db.close();
    expect(() => bench.open()).toThrow(/newer version.*schema 99/);
    expect(setAside(bench)).toEqual([]);
  });

  it('cannot be made: the error names it', () => {
    const bench = createBench();
    expect(() => bench.open({ file: join(bench.dir, 'no', 'such', 'audit.db') })).toThrow(/directory/);
  });
});

// The audit database removed, moved or emptied by hand: the store sees it, says so, and goes on in a new file.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { allEvents, block, createBench, T0, type Bench } from '../audit/fixture.ts';

const many = (n: number, from: number) =>
  Array.from({ length: n }, (_, i) => block({ at: T0 + from + i, host: `host-${from + i}.example` }));

const asideIn = (bench: Bench) =>
  readdirSync(bench.dir).filter((name) => /corrupt-\d{8}T\d{6}Z(-\d+)?$/.test(name));

const removeAll = (bench: Bench) => {
  for (const part of ['', '-wal', '-shm']) rmSync(bench.file + part, { force: true });
};

describe('an audit database that vanishes while the store is open', () => {
  it.each([
    ['removed', (bench: Bench) => rmSync(bench.file)],
    ['removed with its log', removeAll],
    ['renamed', (bench: Bench) => renameSync(bench.file, join(bench.dir, 'old.db'))],
  ])(
    'M01: %s: found by maintain, one error line, and every later row is in the new file',
    (_name, remove) => {
      const bench = createBench();
      const store = bench.open();
      store.write(many(50, 0));
      const reader = bench.reader();
      expect(allEvents(reader).length).toBe(50);
      remove(bench);
      store.maintain(T0);
      expect(store.stats()).toMatchObject({ replaced: 1, held: 0, lostKept: 0 });
      expect(existsSync(bench.file)).toBe(true);
      expect(bench.notes).toMatchObject([{ level: 'error', event: 'vanished', file: bench.file }]);
      expect(bench.notes[0]!.message).toContain(`${bench.file} was removed`);
      expect(store.write(many(10, 50))).toBe(true);
      store.maintain(T0);
      expect(store.stats().replaced).toBe(1);
      expect(allEvents(reader).length).toBe(10);
      expect(reader.verify()).toMatchObject({ ok: true });
    },
  );

  it('M01: a batch that comes before maintain is not written into the removed file', () => {
    const bench = createBench();
    const store = bench.open();
    store.write(many(50, 0));
    removeAll(bench);
    expect(store.write(many(10, 50))).toBe(true);
    expect(store.stats()).toMatchObject({ replaced: 1, held: 0 });
    expect(allEvents(bench.reader()).length).toBe(10);
  });

  it('another file in its place is set aside, whatever it is, and its log with it', () => {
    const bench = createBench();
    const store = bench.open();
    store.write(many(50, 0));
    copyFileSync(bench.file, join(bench.dir, 'copy.db'));
    renameSync(join(bench.dir, 'copy.db'), bench.file);
    store.maintain(T0);
    const aside = asideIn(bench);
    expect(aside.length).toBe(1);
    expect(bench.notes).toMatchObject([{ level: 'error', event: 'vanished' }]);
    expect(bench.notes[0]!.message).toContain(aside[0]!);
    store.write(many(10, 50));
    expect(allEvents(bench.reader()).length).toBe(10);
    expect(bench.reader().verify()).toMatchObject({ ok: true });
  });

  it('M01: with its directory gone, rows wait until it is there again', () => {
    const bench = createBench();
    const dir = join(bench.dir, 'data');
    const away = join(bench.dir, 'away');
    const file = join(dir, 'audit.db');
    mkdirSync(dir);
    const store = bench.open({ file });
    store.write(many(5, 0));
    renameSync(dir, away);
    expect(store.write(many(5, 5))).toBe(false);
    expect(store.stats()).toMatchObject({ held: 5, lostKept: 0 });
    mkdirSync(dir);
    expect(store.write([])).toBe(true);
    expect(store.stats()).toMatchObject({ held: 0, lostKept: 0 });
    const db = new Sqlite(file, { readonly: true });
    expect(db.prepare('SELECT count(*) FROM events').pluck().get()).toBe(5);
    db.close();
  });
});

describe('an audit database that is empty at the start', () => {
  it('is set aside and said, not taken for a new one', () => {
    const bench = createBench();
    writeFileSync(bench.file, '');
    const store = bench.open();
    expect(store.stats().replaced).toBe(1);
    expect(asideIn(bench)).toEqual(['audit.db.corrupt-20261122T150000Z']);
    expect(bench.notes).toMatchObject([{ level: 'error', event: 'set-aside' }]);
    expect(store.write(many(10, 0))).toBe(true);
    expect(allEvents(bench.reader()).length).toBe(10);
  });

  it('is removed when it is what a full disk left of our own new file', () => {
    const bench = createBench();
    const full = (file: string) => {
      const db = new Sqlite(file);
      writeFileSync(file, '');
      db.pragma = () => {
        throw new Sqlite.SqliteError('database or disk is full', 'SQLITE_FULL');
      };
      return db;
    };
    expect(() => bench.open({ connect: full })).toThrow(/disk is full/);
    expect(existsSync(bench.file)).toBe(false);
    bench.open().close();
    expect(bench.notes).toEqual([]);
    expect(asideIn(bench)).toEqual([]);
    expect(statSync(bench.file).size).toBeGreaterThan(0);
  });
});

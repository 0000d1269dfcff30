// The hash chain: whatever is done to a block's row by other means than the store is found and named, and what
// retention and erasure remove by right is not.

import Sqlite, { type Database } from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { allEvents, block, byOverride, createBench, DAY, T0, visit, type Bench } from './fixture.ts';

const fill = (bench: Bench) => {
  const store = bench.open();
  for (let batch = 0; batch < 4; batch++) {
    store.write([
      visit({ at: T0 + batch }),
      block({ at: T0 + batch * 10, user: 'p.lee', host: `b${batch}.example` }),
      byOverride({ at: T0 + batch * 10 + 1 }),
      block({ at: T0 + batch * 10 + 2, path: '/x', channel: 'http' }),
    ]);
  }
  store.close();
};

/** Ids of the blocks and overrides, oldest first. */
const kept = (db: Database) =>
  db.prepare<[], number>('SELECT id FROM entries WHERE kind > 0 ORDER BY id').pluck().all();

describe('D06 the log is evidence', () => {
  it('D06: an untouched log verifies, with its last batch named', () => {
    const bench = createBench();
    fill(bench);
    const result = bench.reader().verify();
    expect(result).toMatchObject({ ok: true, rows: 12, batches: 4 });
    expect(result.ok && result.head).toMatch(/^4:[0-9a-f]{64}$/);
  });

  const tampering: [string, (db: Database, id: number) => void, object][] = [
    [
      'another time',
      (db, id) => db.prepare('UPDATE entries SET at = at - 1 WHERE id = ?').run(id),
      { problem: 'changed' },
    ],
    [
      'another host',
      (db, id) => db.prepare('UPDATE entries SET host_id = 1 WHERE id = ?').run(id),
      { problem: 'changed' },
    ],
    [
      'another count',
      (db, id) => db.prepare('UPDATE entries SET count = 9 WHERE id = ?').run(id),
      { problem: 'changed' },
    ],
    [
      'made a visit',
      (db, id) => db.prepare('UPDATE entries SET kind = 0 WHERE id = ?').run(id),
      { problem: 'changed' },
    ],
    [
      'no user',
      (db, id) => db.prepare('UPDATE entries SET user_id = NULL WHERE id = ?').run(id),
      { problem: 'changed' },
    ],
    ['deleted', (db, id) => db.prepare('DELETE FROM entries WHERE id = ?').run(id), { problem: 'missing' }],
    [
      'another batch',
      (db, id) => db.prepare('UPDATE entries SET link = 1 WHERE id = ?').run(id),
      { problem: 'order' },
    ],
  ];
  it.each(tampering)('D06: a row with %s is named', (_name, tamper, problem) => {
    const bench = createBench();
    fill(bench);
    const db = new Sqlite(bench.file);
    const id = kept(db)[6]!;
    tamper(db, id);
    db.close();
    expect(bench.reader().verify()).toMatchObject({ ok: false, row: id, batch: 3, ...problem });
  });

  it('D06: the first of several is named', () => {
    const bench = createBench();
    fill(bench);
    const db = new Sqlite(bench.file);
    const [, second, , , fifth] = kept(db);
    db.prepare('UPDATE entries SET at = 0 WHERE id IN (?, ?)').run(second, fifth);
    db.close();
    expect(bench.reader().verify()).toMatchObject({ ok: false, problem: 'changed', row: second, batch: 1 });
  });

  it('D06: a row put in afterwards is named', () => {
    const bench = createBench();
    fill(bench);
    const db = new Sqlite(bench.file);
    const columns = db
      .prepare('SELECT * FROM entries LIMIT 0')
      .columns()
      .map((column) => column.name);
    const copied = columns.map((name) => (name === 'id' ? '99' : name)).join(', ');
    db.exec(`INSERT INTO entries SELECT ${copied} FROM entries WHERE id = ${kept(db)[0]}`);
    db.close();
    expect(bench.reader().verify()).toMatchObject({ ok: false, problem: 'added', row: 99, batch: 1 });
  });

  it.each([
    [
      'a host',
      "UPDATE hosts SET name = 'nice.example' WHERE name = 'b2.example'",
      /host of row \d+ was changed/,
    ],
    ['a user', "UPDATE words SET text = 's.moss' WHERE text = 'p.lee'", /user of row \d+ was changed/],
    ['a missing user', "DELETE FROM words WHERE text = 'p.lee'", /its user is missing/],
  ])('D06: rows are not changed by changing the name of %s', (_name, sql, detail) => {
    const bench = createBench();
    fill(bench);
    const db = new Sqlite(bench.file);
    expect(db.prepare(sql).run().changes).toBe(1);
    db.close();
    const result = bench.reader().verify();
    expect(result).toMatchObject({ ok: false, problem: 'changed', row: expect.any(Number) });
    expect(!result.ok && result.detail).toMatch(detail);
  });

  it.each([
    ['a batch in the middle gone', 'DELETE FROM links WHERE no = 2', { problem: 'missing', batch: 2 }],
    ['the last batch gone', 'DELETE FROM links WHERE no = 4', { problem: 'missing', batch: 5 - 1 }],
    ['the first batch gone', 'DELETE FROM links WHERE no = 1', { problem: 'missing', batch: 1 }],
    [
      'a batch altered',
      "UPDATE links SET data = x'0000000000000000' WHERE no = 3",
      { problem: 'changed', batch: 3 },
    ],
    ['a batch dated back', 'UPDATE links SET at = at - 5 WHERE no = 3', { problem: 'changed', batch: 3 }],
  ])('D06: %s is named', (_name, sql, problem) => {
    const bench = createBench();
    fill(bench);
    const db = new Sqlite(bench.file);
    db.exec(sql);
    db.close();
    expect(bench.reader().verify()).toMatchObject({ ok: false, ...problem });
  });

  it('a batch goes on where the last run left it, also when rows were still open', () => {
    const bench = createBench();
    const store = bench.open({ burst: 1 });
    store.write([block(), block(), block()]);
    // No close(): as after a kill. The shared row is in the file but not yet in the chain.
    const next = bench.open({ burst: 1 });
    next.write([block({ at: T0 + 5000 })]);
    expect(next.write([])).toBe(true);
    expect(bench.reader().verify()).toMatchObject({ ok: true, rows: 3 });
  });
});

describe('D01 kept no longer than is necessary', () => {
  it('D01: blocks and visits go at their own time, in small steps, with the counts on record, and the chain still verifies', () => {
    const bench = createBench();
    const store = bench.open({
      retention: { blockedDays: 365, allowedDays: 30, rollupDays: 1096, rowsPerStep: 7 },
    });
    for (let day = 0; day < 20; day++) {
      const at = T0 + day * DAY;
      store.write([
        visit({ at }),
        block({ at, host: `b${day}.example` }),
        byOverride({ at }),
        visit({ at, host: `v${day}.example` }),
      ]);
    }
    const settle = () => {
      let removed = 0;
      for (let n = 0; n < 100; n++) {
        const step = store.maintain(bench.time.now);
        expect(step.removed).toBeLessThanOrEqual(7);
        removed += step.removed;
        if (!step.more) return removed;
      }
      throw new Error('retention never ends');
    };
    bench.time.now = T0 + 40 * DAY;
    expect(settle()).toBe(20);
    const reader = bench.reader();
    expect(reader.totals()).toMatchObject({ visits: 20, blocks: 20, overrides: 20 });
    bench.time.now = T0 + 375 * DAY;
    expect(settle()).toBe(20 + 20);
    expect(reader.totals()).toMatchObject({ visits: 0, blocks: 10, overrides: 10 });
    expect(reader.verify()).toMatchObject({ ok: true, rows: 20 });
    expect(Math.min(...allEvents(reader).map((row) => row.at))).toBe(T0 + 10 * DAY);
    // Names that no row needs go too, a few at a time.
    for (let n = 0; n < 20; n++) store.maintain(bench.time.now);
    const db = new Sqlite(bench.file, { readonly: true });
    expect(db.prepare('SELECT kind, sum(rows) AS n FROM removed GROUP BY kind ORDER BY kind').all()).toEqual([
      { kind: 'blocks', n: 10 },
      { kind: 'overrides', n: 10 },
      { kind: 'visits', n: 40 },
    ]);
    expect(
      db.prepare("SELECT count(*) FROM hosts WHERE name LIKE 'v%' OR name = 'b3.example'").pluck().get(),
    ).toBe(0);
    expect(bench.notes.filter((note) => note.event === 'retention').length).toBeGreaterThan(5);
    // What was removed by right is no excuse for one more.
    db.close();
    const thief = new Sqlite(bench.file);
    const id = kept(thief)[3]!;
    thief.prepare('DELETE FROM entries WHERE id = ?').run(id);
    thief.close();
    expect(reader.verify()).toMatchObject({ ok: false, problem: 'missing', row: id });
  });

  it('D01: old batches of the chain are pruned, and names first used in them stay vouched for', () => {
    const bench = createBench();
    const store = bench.open({ retention: { blockedDays: 1 } });
    for (let n = 0; n < 600; n++) store.write([block({ at: T0 + n, host: `h${n}.example` })]);
    bench.time.now = T0 + 3 * DAY;
    store.write([block({ at: bench.time.now })]);
    for (let n = 0; n < 20; n++) store.maintain(bench.time.now);
    const db = new Sqlite(bench.file);
    expect(db.prepare('SELECT count(*) FROM links').pluck().get()).toBeLessThan(220);
    expect(db.prepare('SELECT min(no) FROM links').pluck().get()).toBeGreaterThan(400);
    const reader = bench.reader();
    expect(reader.verify()).toMatchObject({ ok: true, rows: 1 });
    db.exec("UPDATE words SET text = 'ks2' WHERE text = 'ks1' AND salt IS NOT NULL");
    expect(reader.verify()).toMatchObject({ ok: false, problem: 'changed' });
    db.close();
  });

  it('D01: over the size the oldest go, visits before blocks, until it fits', () => {
    const bench = createBench();
    const store = bench.open({ retention: { maxBytes: 1_000_000 } });
    for (let n = 0; n < 5; n++) {
      const many = (make: typeof block) =>
        Array.from({ length: 1000 }, (_, i) =>
          make({ at: T0 + n * 1000, host: `host-${n}-${i}.example`, client: `10.0.${n}.${i % 250}` }),
        );
      store.write([...many(visit), ...many(block)]);
    }
    bench.time.now = T0 + 2 * DAY;
    const reader = bench.reader();
    expect(reader.totals().bytes).toBeGreaterThan(2_000_000);
    for (let n = 0; n < 200 && store.maintain(bench.time.now).more; n++);
    const totals = reader.totals();
    expect(totals.bytes).toBeLessThan(1_000_000);
    expect(totals.visits).toBe(0);
    expect(totals.blocks).toBeGreaterThan(100);
    expect(Math.min(...allEvents(reader).map((row) => row.at))).toBeGreaterThan(T0);
    expect(reader.verify()).toMatchObject({ ok: true, rows: totals.blocks });
  });

  it('erasure of a person leaves the chain verifiable and the name nowhere in the file', async () => {
    const bench = createBench();
    const store = bench.open();
    const batch = Array.from({ length: 30 }, (_, i) =>
      (i % 2 ? block : visit)({ at: T0 + i * 100, user: 'quentin.zebra', host: `h${i}.example` }),
    );
    store.write([...batch, block(), visit()]);
    bench.time.now = T0 + 10_000;
    store.write([]);
    expect(store.erase({ user: 'quentin.zebra' }, 20)).toBe(20);
    expect(store.erase({ user: 'quentin.zebra' }, 20)).toBe(10);
    expect(store.erase({ user: 'quentin.zebra' }, 20)).toBe(0);
    const reader = bench.reader();
    expect(allEvents(reader).length).toBe(2);
    expect(reader.verify()).toMatchObject({ ok: true, rows: 1 });
    // A visit of the same minute that comes later is a row of its own, under a new number for the name.
    store.write([visit({ at: T0 + 50, user: 'quentin.zebra', host: 'h0.example' })]);
    expect(allEvents(reader, { user: 'quentin.zebra' })).toMatchObject([{ count: 1 }]);
    store.erase({ user: 'quentin.zebra' }, 20);
    store.close();
    reader.close();
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(bench.file).includes('quentin.zebra')).toBe(false);
  });
});

// Searches against a plain filter of a plain array: every page order, every filter, while rows are being written.

import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecodedDecision } from '../../src/audit/event.ts';
import type { EventFilter } from '../../src/audit/reader.ts';
import { allEvents, block, byOverride, createBench, T0, visit } from './fixture.ts';

const HOSTS = [
  'example.org',
  'www.example.org',
  'a.b.example.org',
  'notexample.org',
  'example.org.uk',
  '10.0.0.1',
  '::1',
];

const anyEvent = fc
  .record({
    make: fc.constantFrom(block, byOverride),
    at: fc.nat({ max: 50 }),
    host: fc.constantFrom(...HOSTS),
    user: fc.constantFrom(null, 'p.lee', 's.moss'),
    group: fc.constantFrom('ks1', 'staff'),
    class: fc.constantFrom(null, 'hedgehogs'),
    client: fc.constantFrom('10.2.0.7', '10.2.0.8'),
    category: fc.constantFrom(null, 'gambling', 'games'),
    channel: fc.constantFrom('dns', 'http'),
  })
  .map(({ make, at, ...more }) => make({ at: T0 + at, ...more }) as DecodedDecision);

const optional = <T>(...values: T[]) => fc.constantFrom(undefined, ...values);

const anyFilter = fc.record({
  from: optional(T0 + 10, T0 + 40),
  to: optional(T0 + 20, T0 + 45),
  host: optional(
    'example.org',
    '=example.org',
    'org',
    'WWW.Example.Org.',
    '10.0.0.1',
    'b.example.org',
    'never.example',
  ),
  user: optional('p.lee', 'nobody'),
  group: optional('ks1'),
  class: optional('hedgehogs'),
  client: optional('10.2.0.8'),
  category: optional('gambling'),
  verdict: optional('block', 'allow'),
  channel: optional('dns'),
});

const matches = (e: DecodedDecision, f: Omit<EventFilter, 'limit'>): boolean => {
  const host = f.host?.replace(/^=/, '').replace(/\.$/, '').toLowerCase();
  const below =
    !f.host?.startsWith('=') && host !== undefined && !/^[\d.]+$/.test(host) && e.host.endsWith(`.${host}`);
  return (
    (f.from === undefined || e.at >= f.from) &&
    (f.to === undefined || e.at < f.to) &&
    (host === undefined || e.host === host || below) &&
    (f.user === undefined || e.user === f.user) &&
    (f.group === undefined || e.group === f.group) &&
    (f.class === undefined || e.class === f.class) &&
    (f.client === undefined || e.client === f.client) &&
    (f.category === undefined || e.category === f.category) &&
    (f.verdict === undefined || e.action === f.verdict) &&
    (f.channel === undefined || e.channel === f.channel)
  );
};

const key = (e: {
  at: number;
  host: string;
  user: string | null;
  client: string;
  category: string | null;
  channel: string;
}) => `${e.at} ${e.host} ${e.user} ${e.client} ${e.category} ${e.channel}`;

describe('searching the log', () => {
  it('any filter, in pages of any size, gives each matching row once, newest first', () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { minLength: 1, maxLength: 60 }),
        fc.array(anyFilter, { minLength: 5, maxLength: 5 }),
        fc.integer({ min: 1, max: 30 }),
        (events, filters, limit) => {
          const bench = createBench();
          bench.open({ burst: 1000 }).write(events);
          const reader = bench.reader();
          for (const filter of filters) {
            const rows = allEvents(reader, filter, limit);
            expect(rows.map(key).sort()).toEqual(
              events
                .filter((e) => matches(e, filter))
                .map(key)
                .sort(),
            );
            for (let i = 1; i < rows.length; i++) {
              const [a, b] = [rows[i - 1]!, rows[i]!];
              expect(a.at > b.at || (a.at === b.at && a.id > b.id)).toBe(true);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('pages stay whole while rows are inserted, with two readers', () => {
    const bench = createBench();
    const store = bench.open({ burst: 1e9 });
    const first = Array.from({ length: 500 }, (_, i) => block({ at: T0 + (i % 50), path: `/${i}` }));
    store.write(first);
    const readers = [bench.reader(), bench.reader()];
    const seen = [new Map<string, number>(), new Map<string, number>()];
    const cursors: (string | undefined | null)[] = [undefined, undefined];
    for (let n = 0; cursors.some((cursor) => cursor !== null); n++) {
      store.write([block({ at: T0 + 1000 + n, path: `/new-${n}` }), visit({ at: T0 + 1000 + n })]);
      readers.forEach((reader, i) => {
        if (cursors[i] === null) return;
        const page = reader.events({ limit: 13 + i * 20, verdict: 'block', cursor: cursors[i] ?? undefined });
        for (const row of page.items) seen[i]!.set(row.path!, (seen[i]!.get(row.path!) ?? 0) + 1);
        cursors[i] = page.next;
      });
    }
    for (const paths of seen) {
      expect(first.every((event) => paths.get(event.path!) === 1)).toBe(true);
      expect([...paths.values()].every((times) => times === 1)).toBe(true);
    }
  });

  it('a search that finds nothing in many rows comes back within its time, with a cursor that gets to the end', () => {
    const bench = createBench();
    const store = bench.open();
    store.write([
      block({ category: 'games' }),
      visit({ host: 'rare.example' }),
      visit({ host: 'x.rare.example', at: T0 + 1 }),
    ]);
    const db = new Sqlite(bench.file);
    const columns = db
      .prepare('SELECT * FROM entries LIMIT 0')
      .columns()
      .map((column) => column.name);
    const made = columns.map((name) =>
      name === 'id' ? '10 + value' : name === 'at' ? 'at + 10 + value' : name,
    );
    db.exec(
      `INSERT INTO entries SELECT ${made.join(', ')} FROM entries, (WITH RECURSIVE n (value) AS
         (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 60000) SELECT value FROM n) WHERE id = 2`,
    );
    db.close();
    const reader = bench.reader(0);
    const first = reader.events({ limit: 10, category: 'games' });
    expect(first.items).toEqual([]);
    expect(first.next).not.toBeNull();
    expect(allEvents(reader, { category: 'games' })).toMatchObject([{ category: 'games' }]);
    expect(allEvents(reader, { host: 'rare.example' }).length).toBe(60_002);
    expect(allEvents(reader, { host: 'rare.example', to: T0 + 2 }, 1).map((row) => row.host)).toEqual([
      'x.rare.example',
      'rare.example',
    ]);
    expect(reader.events({ limit: 10, category: 'never' })).toEqual({ items: [], next: null });
  });

  it('bounds the limit and refuses a cursor of its own making', () => {
    const bench = createBench();
    bench.open({ burst: 1e9 }).write(Array.from({ length: 1100 }, (_, i) => block({ at: T0 + i })));
    const reader = bench.reader();
    expect(reader.events({ limit: 1e9 }).items.length).toBe(1000);
    expect(reader.events({ limit: -3 }).items.length).toBe(1);
    expect(reader.events({ limit: NaN }).items.length).toBe(1);
    for (const cursor of [
      '',
      'x',
      '1.2.3',
      "1.1' OR 1=1",
      'zzzzzzzzzzz.zzzzzzzzzzzz',
      '1.' + '9'.repeat(400),
    ]) {
      expect(() => reader.events({ limit: 1, cursor })).toThrow(RangeError);
      if (!/^\w+\./.test(cursor)) expect(() => reader.changes({ limit: 1, cursor })).toThrow(RangeError);
    }
    for (const text of ["' OR 1=1 --", '%', '_', '*', '\u0000', '😀', 'a'.repeat(5000)]) {
      expect(reader.events({ limit: 5, host: text, user: text, category: text })).toEqual({
        items: [],
        next: null,
      });
    }
  });

  it('follows when the writer begins a new file, and cannot write itself', () => {
    const bench = createBench();
    const reader = bench.reader();
    expect(() => reader.events({ limit: 1 })).toThrow();
    let store = bench.open();
    store.write([block()]);
    expect(reader.events({ limit: 5 }).items.length).toBe(1);
    store.close();
    const db = new Sqlite(bench.file);
    db.pragma('application_id = 1');
    db.close();
    store = bench.open();
    expect(bench.notes.map((note) => note.event)).toEqual(['set-aside']);
    expect(reader.events({ limit: 5 }).items).toEqual([]);
    store.write([block(), block()]);
    expect(reader.events({ limit: 5 }).items.length).toBe(2);
  });
});

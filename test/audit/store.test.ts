// The store against a plain array: every event is in a row, counts are exact, and the views are as the contract says.

import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventKind, type DecodedDecision } from '../../src/audit/event.ts';
import { allEvents, block, byOverride, countOf, createBench, T0, visit } from './fixture.ts';

describe('M01 what the log keeps', () => {
  it('the end of a tunnel adds its bytes and counts nothing: to its visit, or as a row of its own when that is chained', () => {
    const bench = createBench();
    const store = bench.open();
    const rows = (sql: string): unknown[] => {
      const db = new Sqlite(bench.file, { readonly: true });
      const found = db.prepare(sql).all();
      db.close();
      return found;
    };
    store.write([visit({ channel: 'connect', bytesIn: 0, bytesOut: 0 })]);
    store.write([visit({ channel: 'connect', bytesIn: 10, bytesOut: 20, durationMs: 900, more: true })]);
    const over = { channel: 'connect', action: 'allow', reason: 'override', overrideId: 'o-1' } as const;
    store.write([
      block({ ...over, bytesIn: 0, bytesOut: 0 }),
      block({ ...over, bytesIn: 7, bytesOut: 8, more: true }),
    ]);
    expect(rows('SELECT count, bytes_in, bytes_out FROM events ORDER BY id')).toEqual([
      { count: 1, bytes_in: 10, bytes_out: 20 },
      { count: 1, bytes_in: 0, bytes_out: 0 },
      { count: 0, bytes_in: 7, bytes_out: 8 },
    ]);
  });

  it('M01: a block is one row with who, what, when and why, in the columns of the contract', () => {
    const bench = createBench();
    const store = bench.open();
    expect(store.write([block({ user: 'p.lee', path: '/win', channel: 'http', method: 'GET' })])).toBe(true);
    const db = new Sqlite(bench.file, { readonly: true });
    const columns = (view: string) =>
      db
        .prepare(`SELECT * FROM ${view}`)
        .columns()
        .map((column) => column.name);
    expect(columns('events').join(', ')).toBe(
      'id, at, site, channel, client, device, user, grp, class, in_charge, host, path, qtype_or_method, category, list, rating, ' +
        'action, reason, rule, override_id, policy_generation, index_generation, bytes_in, bytes_out, duration_ms, count',
    );
    expect(columns('overrides').join(', ')).toBe(
      'id, names, scope, requested_by, decided_by, reason, from_at, until_at, ended_at, ended_why, uses',
    );
    expect(columns('changes').join(', ')).toBe(
      'id, at, who, role, what, before, after, reason, approved_by, prev_hash, hash',
    );
    expect(db.prepare('SELECT * FROM events').all()).toEqual([
      {
        id: 1,
        at: T0,
        site: 'main',
        channel: 'http',
        client: '10.2.0.7',
        device: 'year-2-ipads',
        user: 'p.lee',
        grp: 'ks1',
        class: 'hedgehogs',
        in_charge: 'm.hart',
        host: 'bets.example',
        path: '/win',
        qtype_or_method: 'GET',
        category: 'gambling',
        list: 'starter-gambling',
        rating: 'unacceptable',
        action: 'block',
        reason: 'unacceptable',
        rule: 'gambling is unacceptable for ks1',
        override_id: null,
        policy_generation: 3,
        index_generation: 7,
        bytes_in: 40,
        bytes_out: 80,
        duration_ms: 0.25,
        count: 1,
      },
    ]);
    db.close();
  });

  it('M01: allowed visits share a row per client, host, minute, channel and cause, counted up across batches', () => {
    const bench = createBench();
    const store = bench.open();
    const minute = Math.floor(T0 / 60_000) * 60_000;
    store.write([
      visit({ at: minute }),
      visit({ at: minute + 10 }),
      visit({ at: minute + 20, host: 'other.example' }),
    ]);
    store.write([visit({ at: minute + 59_999 }), visit({ at: minute + 60_000 })]);
    store.write([
      visit({ at: minute + 500, channel: 'http' }),
      visit({ at: minute + 500, client: '10.2.0.8' }),
      visit({ at: minute + 500, user: 'p.lee' }),
      visit({ at: minute + 500, reason: 'default-allow', rule: 'unknown names are allowed' }),
    ]);
    const rows = allEvents(bench.reader());
    expect(rows.map((row) => row.count).sort()).toEqual([1, 1, 1, 1, 1, 1, 3]);
    expect(rows.find((row) => row.count === 3)).toMatchObject({ at: minute, bytes_in: 120, bytes_out: 240 });
    expect(store.stats()).toMatchObject({ written: 9, coalesced: 2, lostVisits: 0, lostKept: 0, held: 0 });
  });

  it('a path is dropped when visits to several share a row', () => {
    const bench = createBench();
    const store = bench.open();
    store.write([visit({ path: '/a' }), visit({ path: '/b' }), visit({ host: 'one.example', path: '/a' })]);
    const rows = allEvents(bench.reader());
    expect(rows.map((row) => [row.host, row.path])).toEqual([
      ['one.example', '/a'],
      ['maps.example', null],
    ]);
  });

  it('M01: above 20 blocks a second from one client, blocks by the same entry share a row with an exact count', () => {
    const bench = createBench();
    const store = bench.open();
    const storm = Array.from({ length: 500 }, (_, i) =>
      block({ at: T0 + Math.floor(i / 2), host: i % 5 ? 'a.example' : 'b.example' }),
    );
    store.write(storm.slice(0, 200));
    bench.time.now = T0 + 300;
    store.write(storm.slice(200));
    store.write(Array.from({ length: 20 }, () => block({ client: '10.9.9.9' })));
    bench.time.now = T0 + 1400;
    store.maintain(bench.time.now);
    const rows = allEvents(bench.reader(), { client: '10.2.0.7' });
    expect(rows.length).toBe(22);
    expect(countOf(rows)).toBe(500);
    expect(countOf(rows.filter((row) => row.host === 'b.example'))).toBe(100);
    expect(allEvents(bench.reader(), { client: '10.9.9.9' }).length).toBe(20);
    store.write([block({ at: T0 + 1500 })]);
    expect(bench.reader().verify()).toMatchObject({ ok: true, rows: 43 });
  });

  it('M01: allows by override are rows of their own and count as uses of the override', () => {
    const bench = createBench();
    const store = bench.open();
    store.write([byOverride(), byOverride({ at: T0 + 1 }), byOverride({ overrideId: 'o-2' })]);
    const copy = {
      id: 'o-1',
      names: ['maps.example'],
      scope: { groups: ['ks1'], classes: [], users: [] },
      requestedBy: 'm.hart',
      decidedBy: 'c.dean',
      reason: 'geography lesson',
      from: T0 - 10,
      until: T0 + 10,
      endedAt: null,
      endedWhy: null,
    };
    store.overrides([copy, { ...copy, id: 'o-3', from: T0 }]);
    store.overrides([{ ...copy, endedAt: T0 + 5, endedWhy: 'revoked' }]);
    store.write([byOverride({ at: T0 + 2 })]);
    const { items, next } = bench.reader().overrides({ limit: 10 });
    expect(next).toBeNull();
    expect(items.map((row) => [row.id, row.uses, row.ended_why])).toEqual([
      ['o-3', 0, null],
      ['o-1', 3, 'revoked'],
    ]);
    expect(items[1]).toMatchObject({ names: ['maps.example'], scope: copy.scope, decided_by: 'c.dean' });
    expect(bench.reader().totals()).toMatchObject({ visits: 0, blocks: 0, overrides: 4 });
  });

  it('copies of the outbox are taken all or none, and twice does no harm', () => {
    const bench = createBench();
    const store = bench.open();
    const change = (id: string, at: number) => ({
      kind: 'change' as const,
      id: 1,
      payload: JSON.stringify({
        id,
        at,
        who: 'c.dean',
        role: 'coordinator',
        what: 'override granted',
        before: null,
        after: '{}',
        reason: 'lesson',
        approvedBy: null,
        prevHash: '00',
        hash: '11',
      }),
    });
    store.copy([change('c-1', T0), change('c-2', T0)]);
    store.copy([change('c-2', T0), change('c-3', T0 + 1)]);
    expect(() => store.copy([change('c-4', T0), { kind: 'change', id: 2, payload: '{' }])).toThrow();
    const reader = bench.reader();
    const first = reader.changes({ limit: 2 });
    expect(first.items.map((row) => row.id)).toEqual(['c-3', 'c-2']);
    const second = reader.changes({ limit: 2, cursor: first.next! });
    expect(second).toMatchObject({ items: [{ id: 'c-1', who: 'c.dean', prev_hash: '00' }], next: null });
  });

  it('hourly sums hold every event', () => {
    const bench = createBench();
    const store = bench.open();
    store.write([visit(), visit(), block(), visit({ at: T0 + 3_600_000 })]);
    store.write([visit({ host: 'another.example' }), block({ class: null, category: null })]);
    const sums = bench.reader().sums({ from: T0, to: T0 + 2 * 3_600_000 });
    expect(sums.map((row) => [row.hour - T0, row.action, row.class, row.category, row.count])).toEqual(
      expect.arrayContaining([
        [0, 'allow', 'hedgehogs', null, 3],
        [0, 'block', 'hedgehogs', 'gambling', 1],
        [0, 'block', null, null, 1],
        [3_600_000, 'allow', 'hedgehogs', null, 1],
      ]),
    );
    expect(countOf(sums)).toBe(6);
  });
});

const anyEvent = fc
  .record({
    kind: fc.constantFrom(block, visit, byOverride),
    at: fc.nat({ max: 150_000 }),
    client: fc.constantFrom('10.2.0.7', '10.2.0.8'),
    host: fc.constantFrom('a.example', 'b.example', 'c.example'),
    user: fc.constantFrom(null, 'p.lee'),
    bytesIn: fc.nat({ max: 100 }),
    times: fc.integer({ min: 1, max: 40 }),
  })
  .map(({ kind, times, at, ...more }) => Array.from({ length: times }, () => kind({ at: T0 + at, ...more })));

describe('store against a plain array', () => {
  it('counts and bytes are exact after any batches, restarts and late events', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anyEvent, { maxLength: 6 }), { maxLength: 8 }),
        fc.nat({ max: 8 }),
        (batches, restart) => {
          const bench = createBench();
          let store = bench.open({ maxRemembered: 4 });
          const oracle: DecodedDecision[] = [];
          batches.forEach((groups, i) => {
            if (i === restart) {
              store.close();
              store = bench.open({ maxRemembered: 4 });
            }
            const batch = groups.flat();
            oracle.push(...batch);
            expect(store.write(batch)).toBe(true);
            bench.time.now += 700;
          });
          store.close();
          const rows = allEvents(bench.reader(), {}, 7);
          const tally = (list: readonly { key: string; n: number; bytes: number }[]) => {
            const sums = new Map<string, [number, number]>();
            for (const { key, n, bytes } of list) {
              const [a, b] = sums.get(key) ?? [0, 0];
              sums.set(key, [a + n, b + bytes]);
            }
            return [...sums].sort();
          };
          // A shared block belongs to the second it began in, so its own time is no part of the comparison.
          expect(
            tally(
              rows.map((r) => ({
                key: `${eventKind(r.action, r.override_id)} ${r.client} ${r.user} ${r.host}`,
                n: r.count,
                bytes: r.bytes_in,
              })),
            ),
          ).toEqual(
            tally(
              oracle.map((e) => ({
                key: `${eventKind(e.action, e.overrideId)} ${e.client} ${e.user} ${e.host}`,
                n: 1,
                bytes: e.bytesIn,
              })),
            ),
          );
          expect(countOf(bench.reader().sums({ from: 0, to: T0 * 2 }))).toBe(oracle.length);
          expect(bench.reader().verify().ok).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });
});

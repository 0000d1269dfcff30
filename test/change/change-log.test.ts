import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createIds } from '../../src/change/ids.ts';
import { openChange, START, TESS } from './fixture.ts';
import type { ChangeRoom } from './fixture.ts';

let room: ChangeRoom;
beforeEach(() => {
  room = openChange();
});
afterEach(() => {
  room.close();
});

const add = (count: number): void => {
  for (let i = 1; i <= count; i += 1) {
    room.clock.at = START + i;
    room.changeLog.append({
      author: TESS,
      what: 'test.step',
      before: { n: i - 1 },
      after: { n: i },
      reason: `step ${i}`,
    });
  }
};
/** Alters the file as someone would who has it in hand: the triggers go first. */
const tamper = (sql: string): void => {
  room.state.close();
  const db = new Database(room.file);
  db.exec('DROP TRIGGER changes_no_update; DROP TRIGGER changes_no_delete; DROP TRIGGER changes_no_replace;');
  db.exec(sql);
  db.close();
  room.restart();
};

describe('the change log', () => {
  it('is empty and whole at first, and chains its rows over restarts', () => {
    expect(room.changeLog.verify()).toEqual({ ok: true, rows: 0, head: '0'.repeat(64) });
    add(2);
    room.restart();
    const third = room.changeLog.append({ author: TESS, what: 'x', before: null, after: null, reason: '' });
    const rows = room.changeLog.list(10, null).toReversed();
    expect(rows.map((row) => row.seq)).toEqual([1, 2, 3]);
    expect(rows.map((row) => row.prevHash)).toEqual(['0'.repeat(64), rows[0]?.hash, rows[1]?.hash]);
    expect(room.changeLog.verify()).toEqual({ ok: true, rows: 3, head: third.hash });
    expect(room.changeLog.list(1, 3)).toEqual([rows[1]]);
  });

  it.each([
    "UPDATE changes SET reason = 'nothing' WHERE seq = 1",
    'DELETE FROM changes WHERE seq = 2',
    'DELETE FROM changes',
    "INSERT OR REPLACE INTO changes SELECT seq, id, at, site, 'eve', role, what, before, after, reason, approved_by, review, prev_hash, hash FROM changes WHERE seq = 1",
    "INSERT INTO changes SELECT 2, 'new', at, site, who, role, what, before, after, reason, approved_by, review, prev_hash, hash FROM changes WHERE seq = 1",
  ])('refuses: %s', (sql) => {
    add(3);
    expect(() => room.state.db.exec(sql)).toThrow(/change log/);
    expect(room.changeLog.verify()).toMatchObject({ ok: true, rows: 3 });
  });

  it('goes away with the transaction it belongs to, and leaves no gap', () => {
    add(1);
    expect(() =>
      room.state.transaction(() => {
        add(2);
        throw new Error('no');
      }),
    ).toThrow('no');
    add(1);
    expect(room.changeLog.verify()).toMatchObject({ ok: true, rows: 2 });
    expect(room.outbox.waiting()).toBe(2);
  });

  it.each([
    ['a changed reason', "UPDATE changes SET reason = 'other' WHERE seq = 3", 3, /altered/],
    ['a changed author', "UPDATE changes SET who = 'eve' WHERE seq = 5", 5, /altered/],
    ['a changed time', 'UPDATE changes SET at = at + 1 WHERE seq = 1', 1, /altered/],
    ['a lifted review mark', 'UPDATE changes SET review = 1 WHERE seq = 2', 2, /altered/],
    ['NULL for a text', 'UPDATE changes SET before = NULL WHERE seq = 4', 4, /altered/],
    ['a forged hash', "UPDATE changes SET hash = 'f' WHERE seq = 2", 2, /altered/],
    ['a row taken out', 'DELETE FROM changes WHERE seq = 3', 3, /missing/],
    ['the first row taken out', 'DELETE FROM changes WHERE seq = 1', 1, /missing/],
    ['the last row cut off', 'DELETE FROM changes WHERE seq = 5', 5, /missing/],
    ['all rows cut off', 'DELETE FROM changes', 1, /missing/],
    [
      'a row taken out and the rest moved up',
      'DELETE FROM changes WHERE seq = 2; UPDATE changes SET seq = seq - 1 WHERE seq > 2',
      2,
      /follow/,
    ],
    [
      'two rows exchanged',
      'UPDATE changes SET seq = -seq WHERE seq IN (2, 3); UPDATE changes SET seq = 5 + seq WHERE seq < 0',
      2,
      /follow/,
    ],
  ])('verify() names the first wrong row: %s', (_what, sql, seq, problem) => {
    add(5);
    tamper(sql);
    const check = room.changeLog.verify();
    expect(check).toMatchObject({ ok: false, seq });
    expect(check.ok ? '' : check.problem).toMatch(problem);
  });

  it('still shows a cut end after more rows were written over it', () => {
    add(3);
    tamper('DELETE FROM changes WHERE seq = 3');
    add(2);
    expect(room.changeLog.verify()).toMatchObject({ ok: false, seq: 3 });
  });

  it('any change of any field of any row is found at that row or the next', () => {
    add(4);
    const rows = room.changeLog.list(10, null).toReversed();
    const fields = ['id', 'site', 'who', 'role', 'what', 'before', 'after', 'reason', 'prev_hash', 'hash'];
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        fc.constantFrom(...fields),
        fc.string({ minLength: 1 }),
        (at, field, text) => {
          const own = openChange();
          try {
            room.state.db.prepare('VACUUM INTO ?').run(`${own.file}.copy`);
            own.state.close();
            const db = new Database(own.file);
            db.exec('DROP TRIGGER changes_no_update; DROP TRIGGER changes_no_replace;');
            db.prepare('ATTACH ? AS whole').run(`${own.file}.copy`);
            db.exec('INSERT INTO changes SELECT * FROM whole.changes');
            const before = db
              .prepare(`SELECT ${field} FROM changes WHERE seq = ?`)
              .pluck()
              .get(at + 1);
            fc.pre(before !== text && !rows.some((row) => row.id === text));
            db.prepare(`UPDATE changes SET ${field} = ? WHERE seq = ?`).run(text, at + 1);
            db.close();
            own.restart();
            expect(own.changeLog.verify()).toMatchObject({ ok: false, seq: at + 1 });
          } finally {
            own.close();
          }
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('ids', () => {
  it('are unique and grow, in one millisecond too', () => {
    const next = createIds({ site: 'north-2', now: () => START, after: null });
    const ids = Array.from({ length: 5000 }, next);
    expect(new Set(ids).size).toBe(5000);
    expect([...ids].sort()).toEqual(ids);
  });

  it('grow over a restart that starts in the past', () => {
    const before = createIds({ site: 'main', now: () => START, after: null })();
    const after = createIds({ site: 'main', now: () => START - 86_400_000, after: before })();
    expect(after > before).toBe(true);
    expect(createIds({ site: 'main', now: () => START, after: 'no id of ours' })() > before.slice(0, 8)).toBe(
      true,
    );
  });

  it.each(['', 'Main', 'a b', '-a', 'x'.repeat(33), 'ü'])('refuse the site %j', (site) => {
    expect(() => createIds({ site, now: () => START, after: null })).toThrow(/site/);
  });
});

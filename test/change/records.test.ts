// Local records in state.db: added, removed, kept over a restart, merged with those of the files, each in the change log.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RecordType } from '../../src/resolver/local-record.ts';
import { openChange, START, TESS } from './fixture.ts';
import type { ChangeRoom } from './fixture.ts';

let room: ChangeRoom;
beforeEach(() => {
  room = openChange();
});
afterEach(() => {
  room.close();
});

const add = (name: string, type: RecordType, value: string, more: object = {}) =>
  room.records.add({ name, type, value, reason: 'a new printer', ...more }, TESS);
const remove = (id: string | null) => room.records.remove(id!, 'it was sold', TESS);
const current = (): string[] =>
  room.records.current().map(({ name, type, value, ttl }) => `${name} ${ttl} ${type} ${value}`);
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    const { code, field, message } = error as { code: string; field: string; message: string };
    return `${code} ${field}: ${message}`;
  }
  return 'done';
};
const file = (name: string, type: RecordType, value: string) => ({
  name,
  type,
  value,
  ttl: 60,
  origin: 'file' as const,
});

describe('local records', () => {
  it('O06: are added and removed, each step in the change log with who and why', () => {
    const added = add(' Printer.Inside.example ', 'A', '10.0.0.9', { ttl: 300 });
    expect(added).toMatchObject({
      name: 'printer.inside.example',
      origin: 'api',
      inForce: true,
      addedBy: 'tess',
      addedAt: START,
      reason: 'a new printer',
    });
    expect(current()).toEqual(['printer.inside.example 300 A 10.0.0.9']);
    expect(remove(added.id)).toMatchObject({ id: added.id, inForce: false });
    expect(current()).toEqual([]);
    const log = room.changeLog.list(10, null);
    expect(log.map(({ what, who, reason, review }) => [what, who, reason, review])).toEqual([
      ['record.removed', 'tess', 'it was sold', 0],
      ['record.added', 'tess', 'a new printer', 0],
    ]);
    expect(JSON.parse(log[1]!.after!)).toMatchObject({ name: 'printer.inside.example', value: '10.0.0.9' });
    expect(room.changeLog.verify()).toMatchObject({ ok: true, rows: 2 });
    expect(room.outbox.drain(10).map(({ kind }) => kind)).toEqual(['change', 'change']);
  });

  it('O06: one that leads out of the school is marked for review', () => {
    add('games.example', 'A', '8.8.4.4');
    expect(room.changeLog.list(1, null)[0]!.review).toBe(1);
  });

  it('stay over a restart, with ids that go on growing', () => {
    const first = add('a.inside.example', 'A', '10.0.0.1');
    room.restart();
    room.clock.at = START - 1000;
    const second = add('b.inside.example', 'A', '10.0.0.2');
    expect(second.id! > first.id!).toBe(true);
    expect(current()).toHaveLength(2);
  });

  it('are wired to the files: what a file says of a name and type comes first', () => {
    add('printer.inside.example', 'A', '10.0.0.9');
    add('printer.inside.example', 'AAAA', 'fd00::9');
    add('nas.inside.example', 'A', '10.0.0.2');
    room.records.takeFiles([
      file('printer.inside.example', 'A', '10.0.0.1'),
      file('nas.inside.example', 'CNAME', 'printer.inside.example'),
    ]);
    expect(current()).toEqual([
      'printer.inside.example 60 A 10.0.0.1',
      'nas.inside.example 60 CNAME printer.inside.example',
      'printer.inside.example 60 AAAA fd00::9',
    ]);
    const { items } = room.records.list({ limit: 10, cursor: null });
    expect(items.map(({ name, type, origin, inForce }) => [name, type, origin, inForce])).toEqual([
      ['nas.inside.example', 'A', 'api', false],
      ['nas.inside.example', 'CNAME', 'file', true],
      ['printer.inside.example', 'A', 'file', true],
      ['printer.inside.example', 'A', 'api', false],
      ['printer.inside.example', 'AAAA', 'api', true],
    ]);
    room.records.takeFiles([]);
    expect(current()).toHaveLength(3);
  });

  it('are given page by page, whatever comes and goes meanwhile', () => {
    const ids = Array.from({ length: 25 }, (_, n) => add(`pool.inside.example`, 'A', `10.0.0.${n}`).id);
    add('a.inside.example', 'TXT', 'x');
    const seen: string[] = [];
    let cursor: string | null = null;
    for (;;) {
      const page = room.records.list({ limit: 7, cursor });
      seen.push(...page.items.map(({ value }) => value));
      cursor = page.next;
      if (cursor === null) break;
    }
    expect(seen).toHaveLength(26);
    expect(new Set(seen).size).toBe(26);
    remove(ids[0]!);
    expect(room.records.list({ limit: 100, cursor: 'zzz' })).toEqual({ items: [], next: null });
    expect(room.records.list({ limit: 100, cursor: 'b' }).items).toHaveLength(24);
  });

  it.each([
    [{ name: 'a b' }, 'invalid name'],
    [{ name: 'localhost' }, 'invalid name'],
    [{ name: '' }, 'invalid name'],
    [{ value: '10.0.0.900' }, 'invalid value'],
    [{ value: '' }, 'invalid value'],
    [{ type: 'CNAME' as const, value: 'outside.example' }, 'taken value'],
    [{ ttl: -1 }, 'invalid ttl'],
    [{ ttl: 604_801 }, 'invalid ttl'],
    [{ ttl: 1.5 }, 'invalid ttl'],
    [{ reason: ' ' }, 'invalid reason'],
    [{ name: 'held.inside.example' }, 'taken name'],
    [{ name: 'held.inside.example', type: 'CNAME' as const, value: 'other.inside.example' }, 'taken name'],
    [{ name: 'other.inside.example' }, 'taken value'],
    [{ name: 'other.inside.example', type: 'CNAME' as const, value: 'held.inside.example' }, 'taken value'],
  ])('refuses %j', (wish, message) => {
    room.records.takeFiles([file('held.inside.example', 'A', '10.0.0.1')]);
    add('other.inside.example', 'A', '10.0.0.9');
    const before = room.changeLog.list(10, null).length;
    expect(
      refusal(() =>
        room.records.add(
          { name: 'new.inside.example', type: 'A', value: '10.0.0.9', reason: 'why not', ...wish },
          TESS,
        ),
      ),
    ).toMatch(new RegExp(`^${message}`));
    expect(current()).toHaveLength(2);
    expect(room.changeLog.list(10, null)).toHaveLength(before);
  });

  it('refuses CNAMEs that go round, other records beside one, and to take away what one leads to', () => {
    const target = add('a.inside.example', 'A', '10.0.0.1');
    const alias = add('b.inside.example', 'CNAME', 'a.inside.example');
    add('c.inside.example', 'CNAME', 'b.inside.example');
    expect(refusal(() => add('b.inside.example', 'TXT', 'x'))).toContain(
      'has other records beside this CNAME',
    );
    expect(refusal(() => remove(target.id))).toMatch(
      /^in-use id: [bc]\.inside\.example leads to a\.inside\.example/,
    );
    expect(refusal(() => remove(alias.id))).toContain('c.inside.example leads to b.inside.example');
    expect(refusal(() => remove('nothing'))).toContain('unknown id');
    expect(refusal(() => room.records.remove(alias.id!, '', TESS))).toContain('invalid reason');
    expect(current()).toHaveLength(3);
  });

  it('hold ten thousand and no more', () => {
    room.state.transaction(() => {
      const insert = room.state.db.prepare(
        `INSERT INTO local_records (id, site, name, type, value, ttl, reason, added_by, added_at) VALUES (?, 'main', ?, 'A', '10.0.0.1', 60, 'x', 'y', 0)`,
      );
      for (let n = 0; n < 9_999; n++) insert.run(`0000000000-${n}`, `host-${n}.inside.example`);
    });
    expect(add('last.inside.example', 'A', '10.0.0.2')).toMatchObject({ inForce: true });
    expect(refusal(() => add('over.inside.example', 'A', '10.0.0.2'))).toContain('too-many');
    expect(room.records.current()).toHaveLength(10_000);
  });
});

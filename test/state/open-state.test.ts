import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openState, StateError } from '../../src/state/open-state.ts';
import type { Migration, State } from '../../src/state/open-state.ts';
import { createOutbox, outboxMigrations } from '../../src/state/outbox.ts';

const now = (): number => 1_700_000_000_000;
const things: Migration = {
  room: 'things',
  version: 1,
  sql: 'CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)',
};
const parts: Migration = {
  room: 'parts',
  version: 1,
  sql: 'CREATE TABLE parts (thing INTEGER NOT NULL REFERENCES things (id))',
};

let dir: string;
let file: string;
const open: State[] = [];
const openAt = (migrations: readonly Migration[]): State => {
  const state = openState({ file, migrations, now });
  open.push(state);
  return state;
};
const failure = (work: () => unknown): StateError => {
  try {
    work();
  } catch (error) {
    if (error instanceof StateError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'state-'));
  file = join(dir, 'state.db');
});
afterEach(() => {
  for (const state of open.splice(0)) state.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('opening state.db', () => {
  it('makes a file of mode 0600 with WAL, FULL and foreign keys', () => {
    const { db } = openAt([things]);
    db.exec("INSERT INTO things (name) VALUES ('a')");
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
    expect(db.pragma('synchronous', { simple: true })).toBe(2);
    expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
    for (const tail of ['', '-wal', '-shm']) expect(statSync(file + tail).mode & 0o777).toBe(0o600);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  it('narrows a mode that a copy left too wide', () => {
    openAt([things]).close();
    chmodSync(file, 0o644);
    openAt([things]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('keeps what is there and adds only what is new', () => {
    const first = openAt([things]);
    first.db.exec("INSERT INTO things (name) VALUES ('kept')");
    first.close();
    const more = { room: 'things', version: 2, sql: 'ALTER TABLE things ADD COLUMN size INTEGER' };
    const second = openAt([things, more, parts]);
    expect(second.db.prepare('SELECT name, size FROM things').all()).toEqual([{ name: 'kept', size: null }]);
    second.close();
    expect(openAt([things, more, parts]).db.prepare('SELECT count(*) AS n FROM migrations').get()).toEqual({
      n: 3,
    });
  });

  it('undoes all of an update whose last step fails', () => {
    openAt([things]).close();
    const bad = { room: 'bad', version: 1, sql: 'CREATE TABLE nonsense (' };
    expect(() => openAt([things, parts, bad])).toThrow(/incomplete|syntax/);
    const { db } = openAt([things]);
    expect(db.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 'parts'").get()).toEqual({
      n: 0,
    });
  });

  it('leaves no file behind when the first start fails', () => {
    expect(() => openAt([{ room: 'bad', version: 1, sql: 'CREATE' }])).toThrow();
    expect(existsSync(file)).toBe(false);
    expect(openAt([things]).db.prepare('SELECT count(*) AS n FROM things').get()).toEqual({ n: 0 });
  });

  it('refuses migrations that do not count up', () => {
    expect(() => openAt([{ ...things, version: 2 }])).toThrow(/count up from 1/);
  });

  it('refuses a file of a newer version and leaves it as it is', () => {
    openAt([things, parts]).close();
    const before = readFileSync(file);
    const error = failure(() => openAt([things]));
    expect(error.code).toBe('newer');
    expect(error.message).toContain(file);
    expect(error.message).toContain('newer version (parts 1)');
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it('refuses an empty file, random bytes and a torn file, and never makes a new one in their place', () => {
    const whole = openAt([things]);
    const fill = whole.db.prepare('INSERT INTO things (name) VALUES (?)');
    whole.transaction(() => {
      for (let i = 0; i < 2000; i += 1) fill.run(`thing number ${i}`);
    });
    whole.close();
    const bytes = readFileSync(file);
    const torn = Buffer.from(bytes);
    torn.fill(0xa5, 4096, 4096 * 4);
    for (const [what, damage] of [
      ['empty', Buffer.alloc(0)],
      ['random', Buffer.from('this is no database at all, but long enough to be looked at'.repeat(20))],
      ['torn', torn],
    ] as const) {
      writeFileSync(file, damage);
      const error = failure(() => openAt([things]));
      expect([what, error.code]).toEqual([what, 'corrupt']);
      expect(error.message).toContain('backup');
      expect(readFileSync(file).equals(damage)).toBe(true);
    }
    writeFileSync(file, bytes);
    truncateSync(file, 4096 * 3);
    expect(failure(() => openAt([things])).code).toBe('corrupt');
  });

  it('refuses the database of another program', () => {
    const other = new Database(file);
    other.exec('CREATE TABLE x (y)');
    other.close();
    expect(failure(() => openAt([things])).code).toBe('foreign');
  });

  it('refuses a first start beside the write-ahead log of a file that is gone', () => {
    writeFileSync(`${file}-wal`, 'x');
    expect(failure(() => openAt([things])).code).toBe('leftover');
  });

  it('names the file when its directory is not there', () => {
    file = join(dir, 'missing', 'state.db');
    const error = failure(() => openAt([things]));
    expect(error.code).toBe('unreadable');
    expect(error.message).toContain(file);
  });
});

describe('a transaction', () => {
  it('keeps all or nothing, also when it joins another', () => {
    const state = openAt([things]);
    const add = state.db.prepare('INSERT INTO things (name) VALUES (?)');
    const names = (): unknown[] => state.db.prepare('SELECT name FROM things ORDER BY id').pluck().all();
    expect(() =>
      state.transaction(() => {
        add.run('a');
        state.transaction(() => add.run('b'));
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(names()).toEqual([]);
    state.transaction(() => {
      add.run('a');
      expect(() =>
        state.transaction(() => {
          add.run('lost');
          throw new Error('inner');
        }),
      ).toThrow('inner');
      add.run('b');
    });
    expect(names()).toEqual(['a', 'b']);
  });

  it('refuses an async function and keeps nothing of it', () => {
    const state = openAt([things]);
    const work = async (): Promise<void> => {
      state.db.exec("INSERT INTO things (name) VALUES ('a')");
    };
    expect(() => state.transaction(work)).toThrow(/synchronous/);
    expect(state.db.prepare('SELECT count(*) AS n FROM things').get()).toEqual({ n: 0 });
  });

  it('is on disk when it returns: a process killed at once loses nothing', () => {
    openAt([things]).close();
    const program = `
      import { openState } from ${JSON.stringify(join(import.meta.dirname, '../../src/state/open-state.ts'))};
      const state = openState({ file: ${JSON.stringify(file)}, migrations: ${JSON.stringify([things])}, now: () => 1 });
      for (let i = 0; i < 20; i += 1) state.transaction(() => state.db.prepare('INSERT INTO things (name) VALUES (?)').run('n' + i));
      process.kill(process.pid, 'SIGKILL');`;
    expect(() =>
      execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program], { stdio: 'pipe' }),
    ).toThrow();
    expect(openAt([things]).db.prepare('SELECT count(*) AS n FROM things').get()).toEqual({ n: 20 });
  });
});

describe('the outbox', () => {
  it('goes in with its transaction, comes out in order and stays until it is done', () => {
    const state = openAt([...outboxMigrations, things]);
    const outbox = createOutbox({ state });
    expect(() => outbox.put('change', { a: 1 })).toThrow(/inside a transaction/);
    expect(() =>
      state.transaction(() => {
        outbox.put('change', { lost: true });
        throw new Error('no');
      }),
    ).toThrow('no');
    state.transaction(() => {
      for (let i = 0; i < 5; i += 1) outbox.put(i % 2 ? 'override' : 'change', { i });
    });
    const first = outbox.drain(3);
    expect(first.map((row) => [row.kind, row.payload])).toEqual([
      ['change', '{"i":0}'],
      ['override', '{"i":1}'],
      ['change', '{"i":2}'],
    ]);
    expect(outbox.drain(3)).toEqual(first);
    outbox.done(first.map((row) => row.id));
    outbox.done([999]);
    outbox.done([]);
    expect(outbox.waiting()).toBe(2);
    state.close();
    const again = createOutbox({ state: openAt([...outboxMigrations, things]) });
    expect(again.drain(10).map((row) => row.payload)).toEqual(['{"i":3}', '{"i":4}']);
  });
});

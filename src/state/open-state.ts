// Opens state.db, the truth for people, overrides and the change log: mode 0600, WAL, every commit on disk before it
// counts. Knows nothing of any room's tables; each room hands in its own SQL. Never replaces a file it cannot read.

import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';

/** One step of a room's schema. A room's versions count up from 1 and a step that was shipped never changes. */
export type Migration = { readonly room: string; readonly version: number; readonly sql: string };

export type State = {
  readonly file: string;
  readonly db: Database.Database;
  /**
   * Runs `work` in one IMMEDIATE transaction: all of it is on disk when this returns, or none of it.
   * Inside another transaction it joins that one as a savepoint. `work` must be synchronous.
   */
  transaction<T>(work: () => T): T;
  close(): void;
};

export type StateErrorCode = 'corrupt' | 'newer' | 'foreign' | 'unreadable' | 'leftover';

/** An error of the file itself: `message` names the file and what to do. */
export class StateError extends Error {
  readonly code: StateErrorCode;
  readonly file: string;
  constructor(code: StateErrorCode, file: string, message: string, cause?: unknown) {
    super(`${file}: ${message}`, { cause });
    this.name = 'StateError';
    this.code = code;
    this.file = file;
  }
}

/** 'SGst' in ASCII: tells our file from any other SQLite file. */
const APPLICATION_ID = 0x53477374;

const OWN_SQL = `
CREATE TABLE migrations (
  room TEXT NOT NULL,
  version INTEGER NOT NULL,
  applied_at INTEGER NOT NULL,
  PRIMARY KEY (room, version)
) STRICT`;

/**
 * Opens the file, or makes it when there is none, and brings every room's schema up to date.
 * Throws StateError when the file is damaged, not ours, or made by a newer version; the file is then left as it is.
 */
export const openState = (deps: {
  file: string;
  migrations: readonly Migration[];
  now: () => number;
}): State => {
  checkOrder(deps.migrations);
  if (!existsSync(deps.file)) createFile(deps.file, deps.migrations, deps.now);
  const { file } = deps;
  const db = openFile(file);
  try {
    checkOwn(db, file);
    migrate(db, file, deps.migrations, deps.now);
  } catch (error) {
    db.close();
    throw asStateError(error, file);
  }
  return {
    file,
    db,
    transaction: (work) => runTransaction(db, work),
    close: () => {
      db.close();
    },
  };
};

/**
 * A new file is built under another name and renamed when it is whole. So an empty or half-made state.db is always
 * damage, never a first start.
 */
const createFile = (file: string, migrations: readonly Migration[], now: () => number): void => {
  for (const tail of ['-wal', '-journal']) {
    if (!existsSync(file + tail)) continue;
    throw new StateError(
      'leftover',
      file,
      `the file is missing but ${file}${tail} is there, so it was not a clean removal. ` +
        `Put the database back from a backup, or move ${file}${tail} away to start with an empty one.`,
    );
  }
  const made = `${file}.new`;
  for (const tail of ['', '-wal', '-shm']) rmSync(made + tail, { force: true });
  try {
    closeSync(openSync(made, 'wx', 0o600));
    const db = new Database(made);
    try {
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.exec(OWN_SQL);
      migrate(db, file, migrations, now);
    } finally {
      db.close();
    }
    syncPath(made);
    renameSync(made, file);
    syncPath(dirname(file));
  } catch (error) {
    throw asStateError(error, file);
  }
};

const syncPath = (path: string): void => {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};

const openFile = (file: string): Database.Database => {
  try {
    if (statSync(file).size === 0) throw damaged(file, 'the file is empty');
    // Secrets of people are inside: a wider mode left by a copy or a restore is narrowed.
    chmodSync(file, 0o600);
    const db = new Database(file, { fileMustExist: true, timeout: 5000 });
    try {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = FULL');
      db.pragma('foreign_keys = ON');
      db.pragma('trusted_schema = OFF');
      db.pragma('secure_delete = ON');
    } catch (error) {
      db.close();
      throw error;
    }
    return db;
  } catch (error) {
    throw asStateError(error, file);
  }
};

const checkOwn = (db: Database.Database, file: string): void => {
  const id = db.pragma('application_id', { simple: true });
  if (id !== APPLICATION_ID) {
    throw new StateError(
      'foreign',
      file,
      'this is a database of another program. Name another data directory.',
    );
  }
  const found: unknown = db.pragma('quick_check(1)', { simple: true });
  if (found !== 'ok') throw damaged(file, String(found).slice(0, 200));
};

const migrate = (
  db: Database.Database,
  file: string,
  migrations: readonly Migration[],
  now: () => number,
): void => {
  runTransaction(db, () => {
    const known = new Set(migrations.map(keyOf));
    const applied = new Set(
      (db.prepare('SELECT room, version FROM migrations').all() as Migration[]).map(keyOf),
    );
    const strange = [...applied].find((key) => !known.has(key));
    if (strange !== undefined) {
      throw new StateError(
        'newer',
        file,
        `this database was written by a newer version (${strange}). Start that version, ` +
          'or put the database back from a backup made before the update.',
      );
    }
    const note = db.prepare('INSERT INTO migrations (room, version, applied_at) VALUES (?, ?, ?)');
    for (const migration of migrations) {
      if (applied.has(keyOf(migration))) continue;
      db.exec(migration.sql);
      note.run(migration.room, migration.version, now());
    }
  });
};

const keyOf = (migration: { room: string; version: number }): string =>
  `${migration.room} ${migration.version}`;

const checkOrder = (migrations: readonly Migration[]): void => {
  const last = new Map<string, number>();
  for (const { room, version } of migrations) {
    if (version !== (last.get(room) ?? 0) + 1) {
      throw new Error(`migrations of ${room} must count up from 1 in order; ${version} is out of place`);
    }
    last.set(room, version);
  }
};

const runTransaction = <T>(db: Database.Database, work: () => T): T =>
  db
    .transaction(() => {
      const result = work();
      // An async function would go on after the commit; better-sqlite3 cannot hold a transaction open for it.
      if (result instanceof Promise) throw new TypeError('a transaction must be synchronous');
      return result;
    })
    .immediate();

const damaged = (file: string, what: string, cause?: unknown): StateError =>
  new StateError(
    'corrupt',
    file,
    `the database is damaged (${what}). It holds the accounts, overrides and the change log, so no new one is made ` +
      'in its place. Put it back from a backup, or move it away yourself to start with an empty one.',
    cause,
  );

const asStateError = (error: unknown, file: string): Error => {
  if (error instanceof StateError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT_')) {
    return damaged(file, (error as Error).message, error);
  }
  if (
    /^(EACCES|EPERM|EROFS|ENOENT|ENOTDIR|EISDIR|SQLITE_CANTOPEN|SQLITE_READONLY|SQLITE_BUSY|SQLITE_FULL|ENOSPC|SQLITE_IOERR)/.test(
      code,
    )
  ) {
    return new StateError(
      'unreadable',
      file,
      `the database cannot be opened (${(error as Error).message}). Check the owner, the mode and the free space of its directory.`,
      error,
    );
  }
  return error instanceof Error ? error : new Error(String(error));
};

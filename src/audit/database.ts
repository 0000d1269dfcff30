// Opens audit.db for writing and judges its failures: a damaged file is set aside under a name of its own and a new
// one begun, so that a bad disk block never stops the gateway from logging. Knows nothing of events.

import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import Sqlite, { type Database } from 'better-sqlite3';
import { APPLICATION_ID, configure, migrate } from './schema.ts';

/** How the gateway's log takes a line; `fields` are the rest of an AuditNotice. */
export type AuditLog = (
  level: AuditNotice['level'],
  message: string,
  fields: Record<string, unknown>,
) => void;

/** What the audit room tells the gateway's log. `problem` and `advice` are plain words; no personal data. */
export type AuditNotice = {
  readonly level: 'info' | 'warn' | 'error';
  readonly event:
    | 'set-aside'
    | 'vanished'
    | 'disk-full'
    | 'ballast-freed'
    | 'ballast-missing'
    | 'holding'
    | 'writing-again'
    | 'lost'
    | 'spill-taken'
    | 'spill-damaged'
    | 'retention';
  readonly file: string;
  readonly message: string;
  /** rows or events that the notice is about, where it is about any */
  readonly count?: number;
};

export type FailureKind = 'corrupt' | 'full' | 'other';

/** What a thrown error means for the file: `full` is worth freeing space for, `corrupt` is worth a new file. */
export function failureKind(error: unknown): FailureKind {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') return 'corrupt';
  // A full disk shows as FULL from the file, and as an I/O error from its shared memory or log.
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || /^SQLITE_IOERR_(WRITE|SHM|FSYNC|TRUNCATE)/.test(code))
    return 'full';
  return 'other';
}

/**
 * Opens or makes an audit database. A file that is damaged, empty or no audit database is set aside first, once.
 * Throws when the file cannot be opened or made, or is of a newer version.
 */
export function openDatabase(
  file: string,
  sync: 'full' | 'normal',
  now: () => number,
  log: (notice: AuditNotice) => void,
  connect: (file: string) => Database = (path) => new Sqlite(path),
): Database {
  const attempt = (): Database => {
    const fresh = !existsSync(file);
    const db = connect(file);
    try {
      refuseForeign(db);
      configure(db, sync);
      migrate(db);
      probe(db);
      return db;
    } catch (error) {
      db.close();
      // What a full disk left of our own new file is not to be taken for one that someone emptied.
      if (fresh && isEmpty(file)) rmSync(file, { force: true });
      throw error;
    }
  };
  // SQLite would take an empty file for a new one; but the head is written as soon as the file is made.
  if (isEmpty(file)) setAside(file, now(), log);
  try {
    return attempt();
  } catch (error) {
    if (failureKind(error) !== 'corrupt') throw error;
    setAside(file, now(), log);
    return attempt();
  }
}

/** Renames the file with its log and shared memory to `FILE.corrupt-TIME`, and says so. Returns the new name. */
export function setAside(file: string, now: number, log: (notice: AuditNotice) => void): string {
  const name = renameParts(file, now);
  log({
    level: 'error',
    event: 'set-aside',
    file: name,
    message: `the audit database is damaged; it was set aside as ${name} and a new one was begun`,
  });
  return name;
}

/** Makes way for a new database after `stillAt` said false: whatever is at the path now is set aside likewise. */
export function clearVanished(file: string, now: number, log: (notice: AuditNotice) => void): void {
  const other = existsSync(file);
  const name = renameParts(file, now);
  const what = other ? `replaced by another file (set aside as ${name})` : 'removed or renamed';
  log({
    level: 'error',
    event: 'vanished',
    file,
    message: `the audit database ${file} was ${what} while the gateway was running; a new one was begun`,
  });
}

function renameParts(file: string, now: number): string {
  const time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  const parts = ['', '-wal', '-shm'];
  let name = `${file}.corrupt-${time}`;
  for (let n = 2; parts.some((part) => existsSync(name + part)); n++) name = `${file}.corrupt-${time}-${n}`;
  for (const part of parts) {
    if (existsSync(file + part)) renameSync(file + part, name + part);
  }
  return name;
}

export type FileIdentity = { readonly dev: number; readonly ino: number };

/** Which file is at the path; ask right after opening it. Throws when there is none. */
export function identityOf(file: string): FileIdentity {
  const { dev, ino } = statSync(file);
  return { dev, ino };
}

/**
 * False when another file or none is at the path of an open one, whose inode is not given to another while it is open:
 * SQLite would go on writing into a file that nobody can find. A path that cannot be looked at counts as unchanged.
 */
export function stillAt(file: string, opened: FileIdentity): boolean {
  try {
    const { dev, ino } = identityOf(file);
    return dev === opened.dev && ino === opened.ino;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'ENOENT' && code !== 'ENOTDIR';
  }
}

function isEmpty(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.size === 0;
}

/** A database that belongs to something else counts as damaged: its tables are not ours to touch. */
function refuseForeign(db: Database): void {
  const tables = Number(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
  if (tables > 0 && db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new Sqlite.SqliteError('not an audit database of this gateway', 'SQLITE_NOTADB');
  }
}

/** Reads the places that writing starts from; the whole file would take too long at every start. */
function probe(db: Database): void {
  db.prepare('SELECT max(id) FROM entries').get();
  for (const order of ['at', 'kind', 'host_id', 'client_id']) {
    db.prepare(`SELECT id FROM entries ORDER BY ${order} DESC LIMIT 1`).get();
  }
  db.prepare('SELECT no, hash FROM links ORDER BY no DESC LIMIT 1').get();
  db.prepare('SELECT count(*) FROM (SELECT 1 FROM words LIMIT 1000)').get();
  db.prepare('SELECT max(id) FROM hosts').get();
}

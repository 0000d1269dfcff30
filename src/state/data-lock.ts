// One gateway per data directory: an exclusive lock that the system frees when its holder dies, however it dies.
// SQLite's own file lock serves, since Node has none; nothing is ever stored in the file.

import Database from 'better-sqlite3';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';

export type DataLock = { release(): void };

/** The lock, or null when another process holds it. Throws when the directory cannot be written. */
export function takeDataLock(dataDir: string): DataLock | null {
  const file = join(dataDir, 'lock');
  const db = new Database(file, { timeout: 0 });
  try {
    db.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    chmodSync(file, 0o600);
    return { release: () => db.close() };
  } catch (error) {
    db.close();
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return null;
    throw new Error(
      `${file}: ${(error as Error).message}; the data directory must be writable by the gateway`,
      {
        cause: error,
      },
    );
  }
}

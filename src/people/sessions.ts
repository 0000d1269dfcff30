// Sessions: who is signed in to the pages and the API. The token itself is only with the person who signed in; the
// file holds its SHA-256. A session ends on sign-out, idleness, age, disabling, and a new password.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { isDiskFull } from '../state/disk-full.ts';
import type { Migration, State } from '../state/open-state.ts';
import type { Account, Accounts } from './accounts.ts';

/** Times are UTC ms. */
export type Session = {
  readonly id: number;
  readonly account: Account;
  readonly startedAt: number;
  /** goes with every request that changes something, when the session came by cookie */
  readonly csrfToken: string;
};

export type SessionSettings = {
  /** ms without a request after which a session ends */
  readonly idleMs: number;
  /** ms after which it ends however busy it is */
  readonly absoluteMs: number;
};

const DEFAULT_SESSION: SessionSettings = { idleMs: 10 * 60_000, absoluteMs: 8 * 3_600_000 };

export type Sessions = {
  /** `token` is 256 random bits, shown once. */
  start(account: Account): { token: string; session: Session };
  /** The session of a token, and counts as activity; null when there is none, or it has ended. */
  find(token: string): Session | null;
  /** Ends the session of this token; nothing when there is none. */
  end(token: string): void;
  /** Ends all sessions of an account, except the one with id `keep`. */
  endAll(accountId: number, keep?: number): void;
  /** Removes what has ended by time; on a full disk, another time. */
  sweep(): void;
};

/** More at once than any person needs; the oldest ends. */
const MAX_PER_ACCOUNT = 20;
/** Activity is written at most this often, so that reading a page is not a disk write; memory has it exactly. */
const WRITE_EVERY_MS = 30_000;

export const sessionMigrations: readonly Migration[] = [
  {
    room: 'sessions',
    version: 1,
    sql: `
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  token_hash BLOB NOT NULL UNIQUE,
  account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_account ON sessions (account_id)`,
  },
];

type Row = { id: number; account_id: number; started_at: number; seen_at: number };

export const createSessions = (deps: {
  state: State;
  accounts: Pick<Accounts, 'byId'>;
  now: () => number;
  settings?: SessionSettings;
}): Sessions => {
  const { state, accounts, now } = deps;
  const settings = deps.settings ?? DEFAULT_SESSION;
  const { db } = state;
  const insert = db.prepare(
    'INSERT INTO sessions (token_hash, account_id, started_at, seen_at) VALUES (?, ?, ?, ?)',
  );
  const byHash = db.prepare('SELECT id, account_id, started_at, seen_at FROM sessions WHERE token_hash = ?');
  const ofAccount = db.prepare('SELECT id FROM sessions WHERE account_id = ? ORDER BY id DESC').pluck();
  const setSeen = db.prepare('UPDATE sessions SET seen_at = ? WHERE id = ?');
  const remove = db.prepare('DELETE FROM sessions WHERE id = ?');
  const aged = db.prepare(
    'SELECT id, account_id, started_at, seen_at FROM sessions WHERE seen_at <= ? OR started_at <= ?',
  );
  /** last activity by session id, as exact as it gets; the file may lag WRITE_EVERY_MS behind */
  const seen = new Map<number, number>();

  const drop = (id: number): void => {
    remove.run(id);
    seen.delete(id);
  };
  const hasEnded = (row: Row, at: number): boolean =>
    at - Math.max(row.seen_at, seen.get(row.id) ?? 0) >= settings.idleMs ||
    at - row.started_at >= settings.absoluteMs;

  return {
    start: (account) => {
      const token = randomBytes(32).toString('base64url');
      const at = now();
      const id = state.transaction(() => {
        const open = ofAccount.all(account.id) as number[];
        for (const old of open.slice(MAX_PER_ACCOUNT - 1)) drop(old);
        return Number(insert.run(hashOf(token), account.id, at, at).lastInsertRowid);
      });
      return { token, session: { id, account, startedAt: at, csrfToken: csrfOf(token) } };
    },
    find: (token) => {
      const row = byHash.get(hashOf(token)) as Row | undefined;
      if (!row) return null;
      const at = now();
      const account = accounts.byId(row.account_id);
      if (hasEnded(row, at) || !account || account.disabledAt !== null) {
        ifThereIsRoom(() => drop(row.id));
        return null;
      }
      seen.set(row.id, at);
      if (at - row.seen_at >= WRITE_EVERY_MS) ifThereIsRoom(() => setSeen.run(at, row.id));
      return { id: row.id, account, startedAt: row.started_at, csrfToken: csrfOf(token) };
    },
    end: (token) => {
      const row = byHash.get(hashOf(token)) as Row | undefined;
      if (row) drop(row.id);
    },
    endAll: (accountId, keep) => {
      state.transaction(() => {
        for (const id of ofAccount.all(accountId) as number[]) if (id !== keep) drop(id);
      });
    },
    sweep: () => {
      const at = now();
      const rows = aged.all(at - settings.idleMs, at - settings.absoluteMs) as Row[];
      ifThereIsRoom(() =>
        state.transaction(() => {
          for (const row of rows) if (hasEnded(row, at)) drop(row.id);
        }),
      );
    },
  };
};

/** Housekeeping that can wait: someone who is signed in must be able to look at the gateway while its disk is full. */
const ifThereIsRoom = (write: () => void): void => {
  try {
    write();
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  }
};

/** True when two secrets are the same, in a time that tells nothing of where they differ. */
export const sameSecret = (left: string, right: string): boolean =>
  timingSafeEqual(hashOf(left), hashOf(right));

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

/** Follows from the token, so nothing more is stored, and cannot be turned back into it. */
const csrfOf = (token: string): string => createHmac('sha256', token).update('csrf').digest('base64url');

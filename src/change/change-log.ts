// The change log: who altered what anyone may see, when and why. Rows are only ever added, in the same transaction as
// the change itself; each row's hash covers the hash before it, so that a changed, missing or slipped-in row shows.

import { createHash } from 'node:crypto';
import type { Migration, State } from '../state/open-state.ts';
import type { Outbox } from '../state/outbox.ts';
import { createIds } from './ids.ts';

/** Who does something: a username or `local:<os user>`, and the role they act in. */
export type Author = { readonly who: string; readonly role: string };

export type Change = {
  readonly author: Author;
  /** a code: `override.granted` */
  readonly what: string;
  readonly before: object | null;
  readonly after: object | null;
  readonly reason: string;
  readonly approvedBy?: string | null;
  /** to be looked at by the coordinator or the head */
  readonly review?: boolean;
};

/** A row as it is stored and hashed; `at` is UTC ms, `before` and `after` are JSON. */
export type ChangeRow = {
  readonly seq: number;
  readonly id: string;
  readonly at: number;
  readonly site: string;
  readonly who: string;
  readonly role: string;
  readonly what: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly reason: string;
  readonly approvedBy: string | null;
  readonly review: number;
  readonly prevHash: string;
  readonly hash: string;
};

export type ChainCheck =
  | { readonly ok: true; readonly rows: number; readonly head: string }
  | {
      readonly ok: false;
      readonly rows: number;
      readonly seq: number;
      readonly id: string | null;
      readonly problem: string;
    };

export type ChangeLog = {
  /** Joins the transaction it is called in, or makes its own. */
  append(change: Change): ChangeRow;
  /** Walks the whole chain; the first wrong row is named by its number and id. */
  verify(): ChainCheck;
  /** Sends a copy of every row to audit.db again, whose file was lost. */
  republish(): void;
  /** Newest first; `before` is the seq of the last row of the page before. */
  list(limit: number, before: number | null): ChangeRow[];
};

/** What the first row has as the hash before it. */
const START = '0'.repeat(64);

export const changeLogMigrations: readonly Migration[] = [
  {
    room: 'change-log',
    version: 1,
    sql: `
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  site TEXT NOT NULL,
  who TEXT NOT NULL,
  role TEXT NOT NULL,
  what TEXT NOT NULL,
  before TEXT,
  after TEXT,
  reason TEXT NOT NULL,
  approved_by TEXT,
  review INTEGER NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER changes_no_update BEFORE UPDATE ON changes
  BEGIN SELECT RAISE(ABORT, 'the change log is never altered'); END;
CREATE TRIGGER changes_no_delete BEFORE DELETE ON changes
  BEGIN SELECT RAISE(ABORT, 'nothing is removed from the change log'); END;
-- INSERT OR REPLACE removes a row without asking the trigger above.
CREATE TRIGGER changes_no_replace BEFORE INSERT ON changes
  WHEN EXISTS (SELECT 1 FROM changes WHERE seq >= NEW.seq OR id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the change log grows only at its end'); END`,
  },
];

const COLUMNS =
  'seq, id, at, site, who, role, what, before, after, reason, approved_by AS approvedBy, review, prev_hash AS prevHash, hash';

export const createChangeLog = (deps: {
  state: State;
  outbox: Outbox;
  site: string;
  now: () => number;
}): ChangeLog => {
  const { state, outbox, site, now } = deps;
  const { db } = state;
  const newest = db.prepare('SELECT max(id) FROM changes').pluck();
  const nextId = createIds({ site, now, after: newest.get() as string | null });
  const head = db.prepare('SELECT hash FROM changes ORDER BY seq DESC LIMIT 1').pluck();
  // SQLite's own counter never goes back: when the last rows are cut off, the gap stays for verify() to find.
  const counter = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").pluck();
  const insert = db.prepare(`
    INSERT INTO changes (seq, id, at, site, who, role, what, before, after, reason, approved_by, review, prev_hash, hash)
    VALUES (@seq, @id, @at, @site, @who, @role, @what, @before, @after, @reason, @approvedBy, @review, @prevHash, @hash)`);
  const all = db.prepare(`SELECT ${COLUMNS} FROM changes ORDER BY seq`);
  const page = db.prepare(`SELECT ${COLUMNS} FROM changes WHERE seq < ? ORDER BY seq DESC LIMIT ?`);

  const append: ChangeLog['append'] = (change) =>
    state.transaction(() => {
      const open = {
        seq: ((counter.get() as number | undefined) ?? 0) + 1,
        id: nextId(),
        at: now(),
        site,
        who: change.author.who,
        role: change.author.role,
        what: change.what,
        before: change.before === null ? null : JSON.stringify(change.before),
        after: change.after === null ? null : JSON.stringify(change.after),
        reason: change.reason,
        approvedBy: change.approvedBy ?? null,
        review: change.review === true ? 1 : 0,
        prevHash: (head.get() as string | undefined) ?? START,
      };
      const row: ChangeRow = { ...open, hash: hashChange(open) };
      insert.run(row);
      outbox.put('change', row);
      return row;
    });

  const republish = (): void => {
    state.transaction(() => {
      for (const row of all.all() as ChangeRow[]) outbox.put('change', row);
    });
  };

  const verify: ChangeLog['verify'] = () =>
    // One read transaction: rows added meanwhile are not half seen.
    db.transaction((): ChainCheck => {
      let rows = 0;
      let hash = START;
      const wrong = (seq: number, id: string | null, problem: string): ChainCheck => ({
        ok: false,
        rows,
        seq,
        id,
        problem,
      });
      for (const row of all.iterate() as IterableIterator<ChangeRow>) {
        if (row.seq !== rows + 1) return wrong(rows + 1, null, `row ${rows + 1} is missing`);
        if (row.prevHash !== hash) {
          return wrong(row.seq, row.id, `row ${row.seq} does not follow from the row before it`);
        }
        if (row.hash !== hashChange(row)) return wrong(row.seq, row.id, `row ${row.seq} was altered`);
        rows += 1;
        hash = row.hash;
      }
      const written = (counter.get() as number | undefined) ?? 0;
      if (written > rows) return wrong(rows + 1, null, `row ${rows + 1} is missing at the end`);
      return { ok: true, rows, head: hash };
    })();

  return {
    append,
    republish,
    verify,
    list: (limit, before) => page.all(before ?? Number.MAX_SAFE_INTEGER, limit) as ChangeRow[],
  };
};

/** SHA-256, in hex, over the fields as one JSON array: no two different rows read the same. */
const hashChange = (row: Omit<ChangeRow, 'hash'>): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        row.prevHash,
        row.seq,
        row.id,
        row.at,
        row.site,
        row.who,
        row.role,
        row.what,
        row.before,
        row.after,
        row.reason,
        row.approvedBy,
        row.review,
      ]),
    )
    .digest('hex');

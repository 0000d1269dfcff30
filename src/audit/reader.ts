// Reads audit.db: searches, copies of overrides and changes, sums, and the check of the chain. A read-only connection
// of its own; never writes, never waits for the writer.

import { statSync } from 'node:fs';
import Sqlite, { type Database } from 'better-sqlite3';
import { createSearch, MAX_PAGE, type EventFilter, type EventRow, type Page, type Search } from './search.ts';
import { verifyChain, type VerifyResult } from './verify.ts';

export type { EventFilter, EventRow } from './search.ts';

export type EventPage = Page<EventRow>;

/** A row of the `overrides` view, with its JSON texts read. */
type OverrideRow = {
  readonly id: string;
  readonly names: readonly string[];
  readonly scope: {
    readonly groups?: readonly string[];
    readonly classes?: readonly string[];
    readonly users?: readonly string[];
  };
  readonly requested_by: string | null;
  readonly decided_by: string | null;
  readonly reason: string | null;
  readonly from_at: number;
  readonly until_at: number;
  readonly ended_at: number | null;
  readonly ended_why: string | null;
  /** events that the override let through */
  readonly uses: number;
};

/** A row of the `changes` view. */
type ChangeRow = {
  readonly id: string;
  readonly at: number;
  readonly who: string;
  readonly role: string | null;
  readonly what: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly reason: string | null;
  readonly approved_by: string | null;
  readonly prev_hash: string | null;
  readonly hash: string | null;
};

/** An hour's sums; they stay when the rows are gone, and name nobody. `hour` is its start in UTC ms. */
type SumRow = {
  readonly hour: number;
  readonly grp: string;
  readonly class: string | null;
  readonly category: string | null;
  readonly action: string;
  readonly channel: string;
  readonly count: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
};

type PageFilter = {
  readonly from?: number;
  readonly to?: number;
  readonly limit: number;
  readonly cursor?: string;
};

export type Reader = {
  /** newest first; throws a RangeError for a wrong cursor, and what SQLite throws when the file is damaged */
  events(filter: EventFilter): EventPage;
  /** newest first by `from_at`; `from` and `to` bound it */
  overrides(filter: PageFilter): Page<OverrideRow>;
  /** newest first by `at` */
  changes(filter: PageFilter): Page<ChangeRow>;
  /** sums per hour between two times, at most 10,000 rows, oldest hour first */
  sums(range: { readonly from: number; readonly to: number }): SumRow[];
  /** rows of each kind held now, and bytes of the file that are in use */
  totals(): { visits: number; blocks: number; overrides: number; bytes: number };
  /** reads the whole chain: not for a request, but for a command or a nightly check */
  verify(): VerifyResult;
  close(): void;
};

export type ReaderDeps = {
  readonly file: string;
  /** ms, any origin; the process's own clock unless told */
  readonly clock?: () => number;
  /** how long a page of events may take; 250 unless told */
  readonly budgetMs?: number;
};

const HOUR = 3_600_000;
const MAX_SUMS = 10_000;

/** Opens lazily: the file may not exist yet. Every method throws while there is none. */
export function openReader(deps: ReaderDeps): Reader {
  const { file } = deps;
  const clock = deps.clock ?? (() => performance.now());
  let held: { db: Database; search: Search; inode: number } | null = null;

  /** The connection, a new one when the writer has set a damaged file aside and begun another. */
  const connection = () => {
    const inode = statSync(file).ino;
    if (held?.inode !== inode) {
      held?.db.close();
      held = null;
      const db = new Sqlite(file, { readonly: true, fileMustExist: true });
      db.pragma('query_only = ON');
      held = { db, search: createSearch(db, clock, deps.budgetMs ?? 250), inode };
    }
    return held;
  };

  /** A page of a view whose order is a time and a text id. */
  const page = <T extends { id: string }>(
    view: string,
    time: string & keyof T,
    filter: PageFilter,
  ): Page<T> => {
    const limit = Math.min(Math.max(1, Math.trunc(filter.limit) || 1), MAX_PAGE);
    const values: (number | string)[] = [filter.from ?? 0, filter.to ?? Number.MAX_SAFE_INTEGER];
    let after = '';
    if (filter.cursor !== undefined) {
      const { at, id } = parseTextCursor(filter.cursor);
      after = `AND ${time} <= ? AND (${time}, id) < (?, ?)`;
      values.push(at, at, id);
    }
    const rows = connection()
      .db.prepare<unknown[], T>(
        `SELECT * FROM ${view} WHERE ${time} >= ? AND ${time} < ? ${after} ORDER BY ${time} DESC, id DESC LIMIT ?`,
      )
      .all(...values, limit + 1);
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    const next =
      rows.length > limit && last !== undefined ? `${Number(last[time]).toString(36)}.${last.id}` : null;
    return { items, next };
  };

  return {
    events: (filter) => connection().search(filter),
    overrides(filter) {
      type Stored = Omit<OverrideRow, 'names' | 'scope'> & { names: string; scope: string };
      const { items, next } = page<Stored>('overrides', 'from_at', filter);
      return {
        items: items.map((row) => ({ ...row, names: JSON.parse(row.names), scope: JSON.parse(row.scope) })),
        next,
      };
    },
    changes: (filter) => page<ChangeRow>('changes', 'at', filter),
    sums: ({ from, to }) =>
      connection()
        .db.prepare<unknown[], SumRow>(
          `SELECT r.hour * ${HOUR} AS hour, g.text AS grp, c.text AS class, k.text AS category, a.text AS action,
             h.text AS channel, r.count, r.bytes_in, r.bytes_out
           FROM rollups r JOIN words g ON g.id = r.group_id JOIN words a ON a.id = r.action_id
             JOIN words h ON h.id = r.channel_id LEFT JOIN words c ON c.id = r.class_id
             LEFT JOIN words k ON k.id = r.category_id
           WHERE r.hour >= ? AND r.hour < ? ORDER BY r.hour LIMIT ${MAX_SUMS}`,
        )
        .all(Math.floor(from / HOUR), Math.ceil(to / HOUR)),
    totals() {
      const { db } = connection();
      const of = db.prepare<[number], number>('SELECT count(*) FROM entries WHERE kind = ?').pluck();
      const pragma = (name: string) => Number(db.pragma(name, { simple: true }));
      return {
        visits: of.get(0)!,
        blocks: of.get(1)!,
        overrides: of.get(2)!,
        bytes: (pragma('page_count') - pragma('freelist_count')) * pragma('page_size'),
      };
    },
    verify: () => verifyChain(connection().db),
    close() {
      held?.db.close();
      held = null;
    },
  };
}

function parseTextCursor(text: string): { at: number; id: string } {
  const parts = /^([0-9a-z]{1,11})\.(.{1,200})$/s.exec(text);
  if (parts === null) throw new RangeError('cursor: not one that an earlier page gave as `next`');
  return { at: parseInt(parts[1]!, 36), id: parts[2]! };
}

// Removes what is past its time or over the size, a few rows at a time so that writing never waits long, and erases a
// person on request. Removals of chained rows are themselves chained. Deleted means deleted: freed pages are
// overwritten (secure_delete) and given back.

import type { EntryWriter } from './entries.ts';
import { WORD } from './schema.ts';

/** Days are 24 hours back from now; what is absent is kept for good. */
export type RetentionRules = {
  /** blocks and allows by override */
  readonly blockedDays?: number;
  readonly allowedDays?: number;
  /** hourly sums, which name no person */
  readonly rollupDays?: number;
  /** bytes of the database file; over it the oldest go: visits of more than a day ago first, then whatever is oldest */
  readonly maxBytes?: number;
  /** rows per step; 500 unless told */
  readonly rowsPerStep?: number;
};

export type RetentionStep = { readonly removed: number; readonly more: boolean };

export type Retention = {
  /** one small step; throws what SQLite throws, with nothing half done */
  step(now: number): RetentionStep;
  /** up to `limit` rows of a person or an address; 0 when none are left, and the name itself is gone too */
  erase(who: { readonly user?: string; readonly client?: string }, limit: number, now: number): number;
};

const DAY = 86_400_000;
const HOUR = 3_600_000;
/** Pruning writes a batch of its own, so it waits for this many. */
const LEAST_PRUNED = 200;
const FREE_PAGES = 256;

type Doomed = { id: number; at: number; kind: number; link: number | null };

export function createRetention(writer: EntryWriter, rules: RetentionRules): Retention {
  const { db, chain, dictionary } = writer;
  const limit = rules.rowsPerStep ?? 500;
  // A row of a block that is not in the chain yet may still grow; it is in reach a second later.
  const final = '(kind = 0 OR link IS NOT NULL)';
  const oldest = db.prepare<[number, number, number], Doomed>(
    `SELECT id, at, kind, link FROM entries WHERE kind = ? AND at < ? AND ${final} ORDER BY at LIMIT ?`,
  );
  const oldestOfAll = db.prepare<[number], Doomed>(
    `SELECT id, at, kind, link FROM entries WHERE ${final} ORDER BY at LIMIT ?`,
  );
  const remove = db.prepare('DELETE FROM entries WHERE id = ?');
  const removeSums = db.prepare(
    `DELETE FROM rollups WHERE (hour, group_id, class_id, category_id, action_id, channel_id) IN
       (SELECT hour, group_id, class_id, category_id, action_id, channel_id FROM rollups WHERE hour < ? ORDER BY hour LIMIT ?)`,
  );
  const noteRemoved = db.prepare(
    `INSERT INTO removed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
     SET rows = rows + excluded.rows, last_at = max(last_at, excluded.last_at)`,
  );
  const forgetSpills = db.prepare('DELETE FROM spills_taken WHERE at < ?');
  const unusedHosts = db.prepare<[number, number], { id: number; name: string; used: number }>(
    `SELECT id, name, EXISTS (SELECT 1 FROM entries WHERE host_id = hosts.id) AS used
     FROM hosts WHERE id > ? ORDER BY id LIMIT ?`,
  );
  const removeHost = db.prepare('DELETE FROM hosts WHERE id = ?');
  const people = db.prepare<[number, number], { id: number; kind: number; text: string; used: number }>(
    `SELECT id, kind, text, CASE kind
       WHEN ${WORD.user} THEN EXISTS (SELECT 1 FROM entries WHERE user_id = words.id)
       WHEN ${WORD.client} THEN EXISTS (SELECT 1 FROM entries WHERE client_id = words.id) ELSE 1 END AS used
     FROM words WHERE id > ? ORDER BY id LIMIT ?`,
  );
  const removeWord = db.prepare('DELETE FROM words WHERE id = ?');
  const findWord = db
    .prepare<[number, string], number>('SELECT id FROM words WHERE kind = ? AND text = ?')
    .pluck();
  let [hostAt, wordAt] = [0, 0];

  const day = (now: number) => new Date(now).toISOString().slice(0, 10);

  const removeRows = (rows: readonly Doomed[], why: 'age' | 'size' | 'erasure', now: number) => {
    if (rows.length === 0) return;
    const chained = rows.filter((row) => row.link !== null);
    if (chained.length > 0) {
      chain.addRemoval(
        now,
        chained.map((row) => row.id),
        chained.map((row) => row.link!),
      );
    }
    for (const row of rows) remove.run(row.id);
    const kinds = ['visits', 'blocks', 'overrides'];
    kinds.forEach((name, kind) => {
      const of = rows.filter((row) => row.kind === kind);
      if (of.length > 0)
        noteRemoved.run(day(now), name, why, of.length, Math.max(...of.map((row) => row.at)));
    });
  };

  const usedBytes = () => {
    const pragma = (name: string) => Number(db.pragma(name, { simple: true }));
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  };

  const overSize = (now: number): Doomed[] => {
    if (rules.maxBytes === undefined || usedBytes() <= rules.maxBytes) return [];
    const visits = oldest.all(0, now - DAY, limit);
    return visits.length > 0 ? visits : oldestOfAll.all(limit);
  };

  const pastTime = (now: number): Doomed[] => {
    const rows: Doomed[] = [];
    const days = [rules.allowedDays, rules.blockedDays, rules.blockedDays];
    days.forEach((kept, kind) => {
      if (kept !== undefined && rows.length < limit) {
        rows.push(...oldest.all(kind, now - kept * DAY, limit - rows.length));
      }
    });
    return rows;
  };

  /** Names of hosts and people that no row needs any more, a stretch of the dictionary at a time. */
  const sweep = () => {
    const hosts = unusedHosts.all(hostAt, limit);
    for (const host of hosts) {
      if (host.used) continue;
      removeHost.run(host.id);
      dictionary.forgetHost(host.name);
    }
    hostAt = hosts.at(-1)?.id ?? 0;
    const words = people.all(wordAt, limit);
    for (const word of words) {
      if (word.used) continue;
      removeWord.run(word.id);
      dictionary.forgetWord(word.kind as typeof WORD.user, word.text);
    }
    wordAt = words.at(-1)?.id ?? 0;
  };

  const takeStep = db.transaction((now: number): RetentionStep => {
    const old = pastTime(now);
    removeRows(old, 'age', now);
    const large = old.length === 0 ? overSize(now) : [];
    removeRows(large, 'size', now);
    let sums = 0;
    if (rules.rollupDays !== undefined) {
      sums = removeSums.run(Math.floor((now - rules.rollupDays * DAY) / HOUR), limit).changes;
      if (sums > 0) noteRemoved.run(day(now), 'rollups', 'age', sums, now - rules.rollupDays * DAY);
    }
    const pruned = chain.prune(now, limit, LEAST_PRUNED);
    sweep();
    forgetSpills.run(now - 7 * DAY);
    const rows = old.length + large.length;
    return { removed: rows, more: rows > 0 || sums >= limit || pruned >= limit };
  });

  const inTransaction = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      dictionary.clear();
      chain.reload();
      throw error;
    }
  };

  return {
    step(now) {
      const step = inTransaction(() => takeStep.immediate(now));
      if (Number(db.pragma('freelist_count', { simple: true })) > FREE_PAGES) {
        db.pragma(`incremental_vacuum(${FREE_PAGES})`);
      }
      return step;
    },
    erase(who, most, now) {
      const gone = inTransaction(() =>
        db
          .transaction(() => {
            let left = most;
            const named = [
              { kind: WORD.user, text: who.user, column: 'user_id' },
              { kind: WORD.client, text: who.client, column: 'client_id' },
            ];
            for (const { kind, text, column } of named) {
              const id = text === undefined ? undefined : findWord.get(kind, text);
              if (text === undefined || id === undefined || left === 0) continue;
              const rows = db
                .prepare<[number, number], Doomed>(
                  `SELECT id, at, kind, link FROM entries WHERE ${column} = ? AND ${final} LIMIT ?`,
                )
                .all(id, left);
              removeRows(rows, 'erasure', now);
              left -= rows.length;
              if (db.prepare(`SELECT 1 FROM entries WHERE ${column} = ? LIMIT 1`).get(id) === undefined) {
                removeWord.run(id);
                dictionary.forgetWord(kind, text);
              }
            }
            return most - left;
          })
          .immediate(),
      );
      // The log beside the file still holds the old pages until it is folded in.
      if (gone < most) db.pragma('wal_checkpoint(TRUNCATE)');
      return gone;
    },
  };
}

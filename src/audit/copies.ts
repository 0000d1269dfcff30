// Copies of overrides and change-log rows in audit.db. The truth is state.db; these feed the views and may be sent
// again at any time.

import type { Database } from 'better-sqlite3';
import type { OutboxRow } from '../state/outbox.ts';

/** A row of the `overrides` view, without `uses`, which is counted here. Times are UTC ms. */
export type OverrideCopy = {
  readonly id: string;
  readonly names: readonly string[];
  readonly scope: {
    readonly groups: readonly string[];
    readonly classes: readonly string[];
    readonly users: readonly string[];
  };
  readonly requestedBy: string | null;
  readonly decidedBy: string | null;
  readonly reason: string | null;
  readonly from: number;
  readonly until: number;
  readonly endedAt: number | null;
  readonly endedWhy: string | null;
};

/** A row of the `changes` view; `before` and `after` are texts as the change log holds them. */
export type ChangeCopy = {
  readonly id: string;
  readonly at: number;
  readonly who: string;
  readonly role: string | null;
  readonly what: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly reason: string | null;
  readonly approvedBy: string | null;
  readonly prevHash: string | null;
  readonly hash: string | null;
};

export type Copies = {
  /** upserts by id, all or none; throws what SQLite throws */
  overrides(rows: readonly OverrideCopy[]): void;
  changes(rows: readonly ChangeCopy[]): void;
  /** rows of state.db's outbox, whose payloads are the JSON of the two types above */
  fromOutbox(rows: readonly OutboxRow[]): void;
};

export function createCopies(db: Database): Copies {
  const putOverride = db.prepare(
    'INSERT OR REPLACE INTO override_copies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const putChange = db.prepare(
    'INSERT OR REPLACE INTO change_copies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const overrides = (rows: readonly OverrideCopy[]) => {
    for (const r of rows) {
      putOverride.run(
        r.id,
        JSON.stringify(r.names),
        JSON.stringify(r.scope),
        r.requestedBy,
        r.decidedBy,
        r.reason,
        r.from,
        r.until,
        r.endedAt,
        r.endedWhy,
      );
    }
  };
  const changes = (rows: readonly ChangeCopy[]) => {
    for (const r of rows) {
      putChange.run(
        r.id,
        r.at,
        r.who,
        r.role,
        r.what,
        r.before,
        r.after,
        r.reason,
        r.approvedBy,
        r.prevHash,
        r.hash,
      );
    }
  };
  const fromOutbox = (rows: readonly OutboxRow[]) => {
    for (const { kind, payload } of rows) {
      if (kind === 'override') overrides([JSON.parse(payload)]);
      else changes([JSON.parse(payload)]);
    }
  };
  return {
    overrides: (rows) => db.transaction(overrides).immediate(rows),
    changes: (rows) => db.transaction(changes).immediate(rows),
    fromOutbox: (rows) => db.transaction(fromOutbox).immediate(rows),
  };
}

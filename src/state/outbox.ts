// The outbox of state.db: copies of overrides and changes on their way to audit.db. A row is written in the same
// transaction as what it tells of, and stays until the taker says that the copy is safe. Not a queue for anything else.

import type { Migration, State } from './open-state.ts';

export type OutboxKind = 'override' | 'change';

/** `payload` is JSON; rows come in the order they were written. */
export type OutboxRow = { readonly id: number; readonly kind: OutboxKind; readonly payload: string };

export type Outbox = {
  /** Must be called inside `state.transaction`, with what the row tells of; throws otherwise. */
  put(kind: OutboxKind, payload: object): void;
  /** The oldest rows, at most `limit`; they stay until `done`. */
  drain(limit: number): OutboxRow[];
  /** Forgets rows whose copies are safe. Unknown ids are nothing. */
  done(ids: readonly number[]): void;
  /** How many rows wait. */
  waiting(): number;
};

export const outboxMigrations: readonly Migration[] = [
  {
    room: 'outbox',
    version: 1,
    sql: `
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('override', 'change')),
  payload TEXT NOT NULL
) STRICT`,
  },
];

export const createOutbox = (deps: { state: State }): Outbox => {
  const { state } = deps;
  const insert = state.db.prepare('INSERT INTO outbox (kind, payload) VALUES (?, ?)');
  const oldest = state.db.prepare('SELECT id, kind, payload FROM outbox ORDER BY id LIMIT ?');
  const forget = state.db.prepare('DELETE FROM outbox WHERE id = ?');
  const count = state.db.prepare('SELECT count(*) FROM outbox').pluck();
  return {
    put: (kind, payload) => {
      if (!state.db.inTransaction) throw new Error('the outbox is written only inside a transaction');
      insert.run(kind, JSON.stringify(payload));
    },
    drain: (limit) => oldest.all(limit) as OutboxRow[],
    done: (ids) => {
      if (ids.length === 0) return;
      state.transaction(() => {
        for (const id of ids) forget.run(id);
      });
    },
    waiting: () => count.get() as number,
  };
};

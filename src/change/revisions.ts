// Revisions of the policy: each one that was ever in force, with a number that audit rows refer to. The first comes from
// policy.yaml, and so does each later edit of that file. It keeps what was in force; it does not decide who may change it.

import type { PolicyModel } from '../policy/types.ts';
import type { Migration, State } from '../state/open-state.ts';
import type { Author, ChangeLog } from './change-log.ts';

export type Revision = {
  readonly generation: number;
  readonly at: number;
  readonly digest: string;
  readonly origin: 'file';
};

export type Revisions = {
  /** The revision of this file: the last one when nothing was edited, else a new one with its row in the change log. */
  takeFile(policy: { model: PolicyModel; digest: string; file: string }, author: Author): Revision;
  last(): Revision | null;
};

export const revisionMigrations: readonly Migration[] = [
  {
    room: 'revisions',
    version: 1,
    sql: `
CREATE TABLE revisions (
  generation INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  digest TEXT NOT NULL,
  origin TEXT NOT NULL CHECK (origin IN ('file')),
  model TEXT NOT NULL
) STRICT`,
  },
];

export function createRevisions(deps: { state: State; changeLog: ChangeLog; now: () => number }): Revisions {
  const { state, changeLog, now } = deps;
  const newest = state.db.prepare(
    'SELECT generation, at, digest, origin FROM revisions ORDER BY generation DESC LIMIT 1',
  );
  const insert = state.db.prepare('INSERT INTO revisions (at, digest, origin, model) VALUES (?, ?, ?, ?)');
  const last = (): Revision | null => (newest.get() as Revision | undefined) ?? null;

  return {
    last,
    takeFile: ({ model, digest, file }, author) =>
      state.transaction(() => {
        const before = last();
        if (before?.digest === digest) return before;
        const { lastInsertRowid } = insert.run(now(), digest, 'file', JSON.stringify(model));
        const generation = Number(lastInsertRowid);
        changeLog.append({
          author,
          what: 'policy.revised',
          before: before && { generation: before.generation, digest: before.digest },
          after: { generation, digest, file },
          reason: before ? 'policy.yaml was edited' : 'the first policy',
          review: before !== null,
        });
        return { generation, at: now(), digest, origin: 'file' };
      }),
  };
}

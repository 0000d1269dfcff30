// Overrides: time-limited unblocks of names for groups, classes or users. Grants, ends and reads them; each step is one
// transaction with its row in the change log and its copy for audit.db. What an override opens is decided in policy/.

import type { Override } from '../policy/types.ts';
import type { Migration, State } from '../state/open-state.ts';
import type { Outbox } from '../state/outbox.ts';
import type { Author, ChangeLog } from './change-log.ts';
import { checkGrant, checkReason, OverrideError } from './grant-check.ts';
import type { GrantChecks, GrantRequest, Scope } from './grant-check.ts';
import { createIds } from './ids.ts';

export type EndedWhy = 'time' | 'revoked';

export type OverrideState = 'scheduled' | 'in-force' | 'ended';

/** An override as it is kept. Times are UTC ms; it is in force when `from <= t < until` and it has not ended. */
export type OverrideRecord = {
  readonly id: string;
  readonly site: string;
  readonly names: readonly string[];
  readonly scope: Scope;
  readonly from: number;
  readonly until: number;
  readonly reason: string;
  readonly requestedBy: string;
  readonly decidedBy: string;
  readonly grantedAt: number;
  /** granted by one person alone: the coordinator or the head looks at it afterwards */
  readonly review: boolean;
  readonly endedAt: number | null;
  readonly endedWhy: EndedWhy | null;
  readonly endedBy: string | null;
  readonly endReason: string | null;
};

export type OverridePage = { readonly items: OverrideRecord[]; readonly next: string | null };

export type Overrides = {
  /** Throws OverrideError; a refused attempt on a sealed name is in the change log. */
  grant(request: GrantRequest, author: Author): OverrideRecord;
  /** Ends one early. A second time changes nothing and says `already`. Throws OverrideError. */
  revoke(id: string, reason: string, author: Author): { override: OverrideRecord; already: boolean };
  /** Marks those whose time is over, and returns them. Call at start and whenever `nextTurn` comes. */
  expire(): OverrideRecord[];
  get(id: string): OverrideRecord | null;
  /** In force at this moment. */
  inForce(at: number): OverrideRecord[];
  /** In force or still to begin: what the data threads need, which watch the clock themselves. */
  current(): Override[];
  /** The next moment (UTC ms) at which one begins or ends by itself, or null. */
  nextTurn(): number | null;
  /** Sends a copy of every one to audit.db again, whose file was lost. */
  republish(): void;
  /** Newest first; `cursor` is the `next` of the page before. */
  list(filter: { state: OverrideState | null; limit: number; cursor: string | null }): OverridePage;
};

export const overrideMigrations: readonly Migration[] = [
  {
    room: 'overrides',
    version: 1,
    sql: `
CREATE TABLE overrides (
  id TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  names TEXT NOT NULL,
  scope TEXT NOT NULL,
  from_at INTEGER NOT NULL,
  until_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  decided_by TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  review INTEGER NOT NULL,
  ended_at INTEGER,
  ended_why TEXT CHECK (ended_why IN ('time', 'revoked')),
  ended_by TEXT,
  end_reason TEXT
) STRICT;
CREATE INDEX overrides_open ON overrides (until_at) WHERE ended_at IS NULL`,
  },
];

type Row = {
  id: string;
  site: string;
  names: string;
  scope: string;
  from_at: number;
  until_at: number;
  reason: string;
  requested_by: string;
  decided_by: string;
  granted_at: number;
  review: number;
  ended_at: number | null;
  ended_why: EndedWhy | null;
  ended_by: string | null;
  end_reason: string | null;
};

/** What ends by the clock is nobody's deed. */
const CLOCK: Author = { who: 'schoolgate', role: 'system' };

export const createOverrides = (deps: {
  state: State;
  outbox: Outbox;
  changeLog: ChangeLog;
  site: string;
  now: () => number;
  checks: GrantChecks;
}): Overrides => {
  const { state, outbox, changeLog, site, now, checks } = deps;
  const { db } = state;
  const newest = db.prepare('SELECT max(id) FROM overrides').pluck();
  const nextId = createIds({ site, now, after: newest.get() as string | null });
  const insert = db.prepare(`
    INSERT INTO overrides (id, site, names, scope, from_at, until_at, reason, requested_by, decided_by, granted_at, review)
    VALUES (@id, @site, @names, @scope, @from, @until, @reason, @requestedBy, @decidedBy, @grantedAt, @review)`);
  const byId = db.prepare('SELECT * FROM overrides WHERE id = ?');
  const everyId = db.prepare('SELECT id FROM overrides ORDER BY id').pluck();
  const open = db.prepare('SELECT * FROM overrides WHERE ended_at IS NULL ORDER BY id');
  const openCount = db.prepare('SELECT count(*) FROM overrides WHERE ended_at IS NULL').pluck();
  const overdue = db.prepare(
    'SELECT * FROM overrides WHERE ended_at IS NULL AND until_at <= ? ORDER BY until_at',
  );
  const close = db.prepare(`
    UPDATE overrides SET ended_at = @at, ended_why = @why, ended_by = @by, end_reason = @reason
    WHERE id = @id AND ended_at IS NULL`);
  const turns = db.prepare(`
    SELECT min(turn) FROM (
      SELECT until_at AS turn FROM overrides WHERE ended_at IS NULL
      UNION ALL SELECT from_at FROM overrides WHERE ended_at IS NULL AND from_at > ?)`);
  turns.pluck();
  const pages = {
    all: db.prepare('SELECT * FROM overrides WHERE id < @cursor ORDER BY id DESC LIMIT @limit'),
    scheduled: db.prepare(
      'SELECT * FROM overrides WHERE id < @cursor AND ended_at IS NULL AND from_at > @at AND until_at > @at ORDER BY id DESC LIMIT @limit',
    ),
    'in-force': db.prepare(
      'SELECT * FROM overrides WHERE id < @cursor AND ended_at IS NULL AND from_at <= @at AND until_at > @at ORDER BY id DESC LIMIT @limit',
    ),
    ended: db.prepare(
      'SELECT * FROM overrides WHERE id < @cursor AND (ended_at IS NOT NULL OR until_at <= @at) ORDER BY id DESC LIMIT @limit',
    ),
  };
  const read = (id: string): OverrideRecord | null => {
    const row = byId.get(id) as Row | undefined;
    return row ? toRecord(row) : null;
  };
  const publish = (id: string): OverrideRecord => {
    const record = toRecord(byId.get(id) as Row);
    outbox.put('override', record);
    return record;
  };

  const republish = (): void => {
    state.transaction(() => {
      for (const id of everyId.all() as string[]) publish(id);
    });
  };

  const grant: Overrides['grant'] = (request, author) => {
    const at = now();
    const wanted = checkGrant(request, checks, at);
    const sealed = wanted.names.filter((name) => checks.isSealed(name));
    if (sealed.length > 0) {
      changeLog.append({
        author,
        what: 'override.refused',
        before: null,
        after: { names: wanted.names, scope: wanted.scope, sealed },
        reason: wanted.reason,
        review: true,
      });
      throw new OverrideError(
        'sealed',
        'names',
        `${sealed.join(', ')} is on a list of illegal content. Nobody can unblock it. The attempt is recorded.`,
      );
    }
    return state.transaction(() => {
      if ((openCount.get() as number) >= checks.maxOpen) {
        throw new OverrideError(
          'too-many',
          'names',
          `There are ${checks.maxOpen} overrides already. Revoke some first.`,
        );
      }
      const id = nextId();
      insert.run({
        id,
        site,
        names: JSON.stringify(wanted.names),
        scope: JSON.stringify(wanted.scope),
        from: wanted.from,
        until: wanted.until,
        reason: wanted.reason,
        requestedBy: author.who,
        decidedBy: author.who,
        grantedAt: at,
        review: 1,
      });
      const record = publish(id);
      changeLog.append({
        author,
        what: 'override.granted',
        before: null,
        after: shown(record),
        reason: record.reason,
        review: true,
      });
      return record;
    });
  };

  /** Ends one row, in a transaction of the caller. */
  const end = (
    before: OverrideRecord,
    why: EndedWhy,
    at: number,
    reason: string,
    author: Author,
  ): OverrideRecord => {
    close.run({ id: before.id, at, why, by: author.who, reason });
    const record = publish(before.id);
    changeLog.append({
      author,
      what: why === 'time' ? 'override.ended' : 'override.revoked',
      before: shown(before),
      after: { id: record.id, endedAt: record.endedAt, endedWhy: why },
      reason,
    });
    return record;
  };

  const expire: Overrides['expire'] = () =>
    state.transaction(() =>
      (overdue.all(now()) as Row[])
        .map(toRecord)
        .map((record) => end(record, 'time', record.until, 'its time was over', CLOCK)),
    );

  const revoke: Overrides['revoke'] = (id, reason, author) =>
    state.transaction(() => {
      const said = checkReason(reason);
      // One whose time is over has ended by itself, even if nobody has written that down yet.
      expire();
      const record = read(id);
      if (!record) throw new OverrideError('unknown', 'id', 'There is no override with this id.');
      if (record.endedAt !== null) return { override: record, already: true };
      return { override: end(record, 'revoked', now(), said, author), already: false };
    });

  const list: Overrides['list'] = ({ state: wanted, limit, cursor }) => {
    const rows = pages[wanted ?? 'all'].all({ cursor: cursor ?? '~', limit: limit + 1, at: now() }) as Row[];
    const items = rows.slice(0, limit).map(toRecord);
    return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
  };

  return {
    grant,
    revoke,
    expire,
    republish,
    get: read,
    inForce: (at) => (open.all() as Row[]).map(toRecord).filter((item) => item.from <= at && at < item.until),
    current: () =>
      (open.all() as Row[])
        .filter((row) => row.until_at > now())
        .map(toRecord)
        .map(({ id, names, scope, from, until }) => ({ id, names, scope, from, until })),
    nextTurn: () => turns.get(now()) as number | null,
    list,
  };
};

/** Which state a record is in at a moment (UTC ms). */
export const stateOf = (record: OverrideRecord, at: number): OverrideState => {
  if (record.endedAt !== null || record.until <= at) return 'ended';
  return record.from > at ? 'scheduled' : 'in-force';
};

/** What the change log keeps of an override. */
const shown = (record: OverrideRecord): object => ({
  id: record.id,
  names: record.names,
  scope: record.scope,
  from: record.from,
  until: record.until,
});

const toRecord = (row: Row): OverrideRecord => ({
  id: row.id,
  site: row.site,
  names: JSON.parse(row.names) as string[],
  scope: JSON.parse(row.scope) as Scope,
  from: row.from_at,
  until: row.until_at,
  reason: row.reason,
  requestedBy: row.requested_by,
  decidedBy: row.decided_by,
  grantedAt: row.granted_at,
  review: row.review === 1,
  endedAt: row.ended_at,
  endedWhy: row.ended_why,
  endedBy: row.ended_by,
  endReason: row.end_reason,
});

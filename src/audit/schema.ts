// The shape of audit.db: tables, indexes, the public views, and how an older file is brought up to date. No writes of
// events here. The views are the contract; the tables behind them are not.

import type { Database } from 'better-sqlite3';

/** Marks a file as an audit database of this project ("SGAU"). */
export const APPLICATION_ID = 0x53474155;

/** What a word in the dictionary stands for. Stored: numbers are never reused. */
export const WORD = {
  site: 1,
  channel: 2,
  client: 3,
  device: 4,
  user: 5,
  group: 6,
  class: 7,
  inCharge: 8,
  method: 9,
  category: 10,
  list: 11,
  rating: 12,
  action: 13,
  reason: 14,
  rule: 15,
  override: 16,
} as const;

export type WordKind = (typeof WORD)[keyof typeof WORD];

/** Columns of `entries` that hold a word, with what the word stands for and the view's name for it. */
export const WORD_COLUMNS: readonly { column: string; kind: WordKind; view: string }[] = [
  { column: 'site_id', kind: WORD.site, view: 'site' },
  { column: 'channel_id', kind: WORD.channel, view: 'channel' },
  { column: 'client_id', kind: WORD.client, view: 'client' },
  { column: 'device_id', kind: WORD.device, view: 'device' },
  { column: 'user_id', kind: WORD.user, view: 'user' },
  { column: 'group_id', kind: WORD.group, view: 'grp' },
  { column: 'class_id', kind: WORD.class, view: 'class' },
  { column: 'in_charge_id', kind: WORD.inCharge, view: 'in_charge' },
  { column: 'method_id', kind: WORD.method, view: 'qtype_or_method' },
  { column: 'category_id', kind: WORD.category, view: 'category' },
  { column: 'list_id', kind: WORD.list, view: 'list' },
  { column: 'rating_id', kind: WORD.rating, view: 'rating' },
  { column: 'action_id', kind: WORD.action, view: 'action' },
  { column: 'reason_id', kind: WORD.reason, view: 'reason' },
  { column: 'rule_id', kind: WORD.rule, view: 'rule' },
  { column: 'override_id', kind: WORD.override, view: 'override_id' },
];

/** Every column of `entries` that a row's hash covers, in the order of the hash. The text comes last. */
export const HASHED_COLUMNS: readonly string[] = [
  'id',
  'at',
  'kind',
  ...WORD_COLUMNS.map((word) => word.column),
  'host_id',
  'policy_generation',
  'index_generation',
  'bytes_in',
  'bytes_out',
  'duration_us',
  'count',
  'path',
];

const wordColumns = WORD_COLUMNS.map(({ column }) => `  ${column} INTEGER,`).join('\n');

const tables = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE words (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, text TEXT NOT NULL, salt BLOB, UNIQUE (kind, text)
);
-- key is the name with its labels turned round, so that a name and all below it lie side by side
CREATE TABLE hosts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, key TEXT NOT NULL UNIQUE, salt BLOB
);
-- kind: 0 allowed visits, 1 blocks, 2 allows by override; link: the batch of the chain that holds the row
CREATE TABLE entries (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind INTEGER NOT NULL,
${wordColumns}
  host_id INTEGER NOT NULL,
  policy_generation INTEGER NOT NULL,
  index_generation INTEGER NOT NULL,
  bytes_in INTEGER NOT NULL,
  bytes_out INTEGER NOT NULL,
  duration_us INTEGER NOT NULL,
  count INTEGER NOT NULL,
  path TEXT,
  link INTEGER
);
CREATE INDEX entries_at ON entries (at);
CREATE INDEX entries_kind ON entries (kind, at);
CREATE INDEX entries_host ON entries (host_id, at);
CREATE INDEX entries_client ON entries (client_id, at);
CREATE INDEX entries_user ON entries (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX entries_class ON entries (class_id, at) WHERE class_id IS NOT NULL;
CREATE INDEX entries_open ON entries (id) WHERE kind > 0 AND link IS NULL;
-- kind: 0 rows, 1 rows removed, 2 older batches pruned; live: rows of the batch still held (not hashed)
CREATE TABLE links (
  no INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, live INTEGER NOT NULL,
  data BLOB NOT NULL, hash BLOB NOT NULL
);
CREATE INDEX links_pruned ON links (no) WHERE kind = 2;
CREATE TABLE rollups (
  hour INTEGER NOT NULL, group_id INTEGER NOT NULL, class_id INTEGER NOT NULL, category_id INTEGER NOT NULL,
  action_id INTEGER NOT NULL, channel_id INTEGER NOT NULL,
  count INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
  PRIMARY KEY (hour, group_id, class_id, category_id, action_id, channel_id)
) WITHOUT ROWID;
CREATE TABLE override_copies (
  id TEXT PRIMARY KEY, names TEXT NOT NULL, scope TEXT NOT NULL, requested_by TEXT, decided_by TEXT, reason TEXT,
  from_at INTEGER NOT NULL, until_at INTEGER NOT NULL, ended_at INTEGER, ended_why TEXT
) WITHOUT ROWID;
CREATE INDEX override_copies_from ON override_copies (from_at, id);
CREATE TABLE override_uses (id TEXT PRIMARY KEY, uses INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE change_copies (
  id TEXT PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, role TEXT, what TEXT NOT NULL, before TEXT, after TEXT,
  reason TEXT, approved_by TEXT, prev_hash TEXT, hash TEXT
) WITHOUT ROWID;
CREATE INDEX change_copies_at ON change_copies (at, id);
CREATE TABLE spills_taken (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE removed (
  day TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, rows INTEGER NOT NULL, last_at INTEGER NOT NULL,
  PRIMARY KEY (day, kind, why)
) WITHOUT ROWID;
`;

const word = (view: string) => `w_${view}.text AS ${view}`;
const joins = WORD_COLUMNS.map(
  ({ column, view }) => `LEFT JOIN words w_${view} ON w_${view}.id = e.${column}`,
).join('\n  ');

const views = `
CREATE VIEW events AS SELECT
  e.id, e.at, ${word('site')}, ${word('channel')}, ${word('client')}, ${word('device')}, ${word('user')},
  ${word('grp')}, ${word('class')}, ${word('in_charge')}, h.name AS host, e.path, ${word('qtype_or_method')},
  ${word('category')}, ${word('list')}, ${word('rating')}, ${word('action')}, ${word('reason')}, ${word('rule')},
  ${word('override_id')}, e.policy_generation, e.index_generation, e.bytes_in, e.bytes_out,
  e.duration_us / 1000.0 AS duration_ms, e.count
FROM entries e
  LEFT JOIN hosts h ON h.id = e.host_id
  ${joins};
CREATE VIEW overrides AS SELECT
  o.id, o.names, o.scope, o.requested_by, o.decided_by, o.reason, o.from_at, o.until_at, o.ended_at, o.ended_why,
  coalesce(u.uses, 0) AS uses
FROM override_copies o LEFT JOIN override_uses u ON u.id = o.id;
CREATE VIEW changes AS SELECT
  id, at, who, role, what, before, after, reason, approved_by, prev_hash, hash FROM change_copies;
`;

const MIGRATIONS: readonly string[] = [tables + views];

/** The version a file has after `migrate`; it is kept in `user_version`. */
const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Settings of the writing connection, before the first table is made: WAL, freed pages overwritten (deleted means
 * deleted) and given back in steps. `full` syncs every commit to disk; `normal` only at checkpoints (SD cards).
 */
export function configure(db: Database, sync: 'full' | 'normal'): void {
  db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('journal_mode = WAL');
  db.pragma(`synchronous = ${sync === 'full' ? 'FULL' : 'NORMAL'}`);
  db.pragma('secure_delete = ON');
  db.pragma('journal_size_limit = 8388608');
  db.pragma('cache_size = -8192');
}

/** Brings a new or older file to this version, in one transaction. Throws on a file of a newer version. */
export function migrate(db: Database): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > SCHEMA_VERSION) {
    throw new Error(
      `${db.name} was written by a newer version (schema ${version}, this one knows ${SCHEMA_VERSION}): upgrade, or move the file away`,
    );
  }
  if (version === SCHEMA_VERSION) return;
  db.transaction(() => {
    for (const sql of MIGRATIONS.slice(version)) db.exec(sql);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
  }).immediate();
}

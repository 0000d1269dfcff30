// Local DNS records that were added while the gateway runs, beside those of its files: adds, removes and lists them; each
// step is one transaction with its row in the change log. How a name is answered is the dns room's.

import { domainToASCII } from 'node:url';
import { isPrivateAddress } from '../policy/private-address.ts';
import {
  DEFAULT_TTL,
  MAX_RECORDS,
  MAX_TTL,
  parseRecordName,
  parseRecordValue,
} from '../resolver/local-record.ts';
import type { LocalRecord, RecordType, Understood } from '../resolver/local-record.ts';
import { findRecordProblems, leadingTo, mergeRecords } from '../resolver/record-rules.ts';
import type { Migration, State } from '../state/open-state.ts';
import type { Author, ChangeLog } from './change-log.ts';
import { checkReason } from './grant-check.ts';
import { createIds } from './ids.ts';

/** `file`: gateway.yaml, `hosts`: its hosts file, `api`: added while it ran. */
export type RecordOrigin = 'file' | 'hosts' | 'api';

/** A record as it is shown. What is null is only known of records that were added; times are UTC ms. */
export type RecordItem = LocalRecord & {
  readonly id: string | null;
  readonly origin: RecordOrigin;
  /** false when a file says something else of the same name and type */
  readonly inForce: boolean;
  readonly reason: string | null;
  readonly addedBy: string | null;
  readonly addedAt: number | null;
};

export type RecordWish = {
  readonly name: string;
  readonly type: RecordType;
  readonly value: string;
  readonly ttl?: number;
  readonly reason: string;
};

export type RecordErrorCode = 'invalid' | 'unknown' | 'taken' | 'in-use' | 'too-many';

/** `field` is what is wrong of the request; `message` says what to write instead. */
export class RecordError extends Error {
  readonly code: RecordErrorCode;
  readonly field: string;
  constructor(code: RecordErrorCode, field: string, message: string) {
    super(message);
    this.name = 'RecordError';
    this.code = code;
    this.field = field;
  }
}

export type Records = {
  /** Throws RecordError. */
  add(wish: RecordWish, author: Author): RecordItem;
  /** Throws RecordError; gives what was removed. */
  remove(id: string, reason: string, author: Author): RecordItem;
  /** By name and type; `cursor` is the `next` of the page before. */
  list(page: { limit: number; cursor: string | null }): { items: RecordItem[]; next: string | null };
  /** What the files say from now on. */
  takeFiles(records: readonly (LocalRecord & { readonly origin: 'file' | 'hosts' })[]): void;
  /** All that are in force: what the data threads need. */
  current(): LocalRecord[];
};

export const recordMigrations: readonly Migration[] = [
  {
    room: 'records',
    version: 1,
    sql: `
CREATE TABLE local_records (
  id TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  value TEXT NOT NULL,
  ttl INTEGER NOT NULL,
  reason TEXT NOT NULL,
  added_by TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  UNIQUE (name, type, value)
) STRICT`,
  },
];

type Row = LocalRecord & { id: string; reason: string; addedBy: string; addedAt: number };

const COLUMNS = 'id, name, type, value, ttl, reason, added_by AS addedBy, added_at AS addedAt';

export const createRecords = (deps: {
  state: State;
  changeLog: ChangeLog;
  site: string;
  now: () => number;
}): Records => {
  const { state, changeLog, site, now } = deps;
  const { db } = state;
  const newest = db.prepare('SELECT max(id) FROM local_records').pluck();
  const nextId = createIds({ site, now, after: newest.get() as string | null });
  const insert = db.prepare(`
    INSERT INTO local_records (id, site, name, type, value, ttl, reason, added_by, added_at)
    VALUES (@id, @site, @name, @type, @value, @ttl, @reason, @addedBy, @addedAt)`);
  const byId = db.prepare(`SELECT ${COLUMNS} FROM local_records WHERE id = ?`);
  const all = db.prepare(`SELECT ${COLUMNS} FROM local_records ORDER BY id`);
  const count = db.prepare('SELECT count(*) FROM local_records').pluck();
  const forget = db.prepare('DELETE FROM local_records WHERE id = ?');
  let files: readonly RecordItem[] = [];

  const added = (): RecordItem[] =>
    (all.all() as Row[]).map((row) => ({ ...row, origin: 'api', inForce: true }));
  const inForce = (): RecordItem[] => mergeRecords(files, added());
  /** Every record there is, those that a file hides too. */
  const everything = (): RecordItem[] => {
    const heard = new Set(inForce().map(({ id }) => id));
    return [...files, ...added().map((item) => ({ ...item, inForce: heard.has(item.id) }))];
  };

  const add: Records['add'] = (wish, author) =>
    state.transaction(() => {
      const record = checkRecord(wish);
      const reason = checkReason(wish.reason);
      if ((count.get() as number) >= MAX_RECORDS)
        throw new RecordError(
          'too-many',
          'name',
          `There are ${MAX_RECORDS} records already. Remove some first.`,
        );
      if (mergeRecords<LocalRecord>(files, [record]).length === files.length) {
        throw new RecordError(
          'taken',
          'name',
          `gateway.yaml or its hosts file has a record of ${record.name}. Change it there.`,
        );
      }
      const before = inForce();
      const [problem] = findNew(before, record);
      if (problem !== undefined)
        throw new RecordError('taken', 'value', `${problem.problem}: ${problem.advice}.`);
      const row: Row = { ...record, id: nextId(), reason, addedBy: author.who, addedAt: now() };
      insert.run({ ...row, site });
      changeLog.append({
        author,
        what: 'record.added',
        before: null,
        after: shown(row),
        reason,
        review: leadsOutside(record),
      });
      return { ...row, origin: 'api', inForce: true };
    });

  const remove: Records['remove'] = (id, reason, author) =>
    state.transaction(() => {
      const said = checkReason(reason);
      const row = byId.get(id) as Row | undefined;
      if (row === undefined) throw new RecordError('unknown', 'id', 'There is no added record with this id.');
      const heard = inForce();
      const at = heard.findIndex((item) => item.id === id);
      const [lost] = at < 0 ? [] : leadingTo(heard, at);
      if (lost !== undefined)
        throw new RecordError('in-use', 'id', `${lost.name} leads to ${row.name}. Remove that record first.`);
      forget.run(id);
      changeLog.append({ author, what: 'record.removed', before: shown(row), after: null, reason: said });
      return { ...row, origin: 'api', inForce: false };
    });

  const list: Records['list'] = ({ limit, cursor }) => {
    const items = everything().sort(byName);
    const keys = keysOf(items);
    const from = cursor === null ? 0 : keys.findIndex((key) => compare(key, cursor) > 0);
    if (from < 0) return { items: [], next: null };
    const to = from + limit;
    return { items: items.slice(from, to), next: to < items.length ? (keys[to - 1] as string) : null };
  };

  return {
    add,
    remove,
    list,
    takeFiles: (records) => {
      files = records.map((record) => ({
        ...record,
        id: null,
        inForce: true,
        reason: null,
        addedBy: null,
        addedAt: null,
      }));
    },
    current: () => inForce().map(({ name, type, value, ttl }) => ({ name, type, value, ttl })),
  };
};

/** The wish in the form it is kept in. Throws RecordError for the first thing that is wrong. */
const checkRecord = ({ name, type, value, ttl = DEFAULT_TTL }: RecordWish): LocalRecord => {
  const take = <T>(field: string, understood: Understood<T>): T => {
    if (understood.ok) return understood.value;
    throw new RecordError('invalid', field, `${understood.problem}: ${understood.advice}.`);
  };
  if (!Number.isSafeInteger(ttl) || ttl < 0 || ttl > MAX_TTL)
    throw new RecordError('invalid', 'ttl', `Give 0 to ${MAX_TTL} seconds.`);
  return {
    name: take('name', parseRecordName(name, type, domainToASCII)),
    type,
    value: take('value', parseRecordValue(type, value, domainToASCII)),
    ttl,
  };
};

/** What would be wrong with one more record that is not wrong without it. */
const findNew = (records: readonly LocalRecord[], record: LocalRecord) => {
  const before = new Set(findRecordProblems(records).map(({ index }) => index));
  return findRecordProblems([...records, record]).filter(({ index }) => !before.has(index));
};

/** A name that leads out of the school passes by the policy, so another person looks at it afterwards. */
const leadsOutside = ({ type, value }: LocalRecord): boolean =>
  (type === 'A' || type === 'AAAA') && !isPrivateAddress(value);

/** What the change log keeps of a record. */
const shown = ({ id, name, type, value, ttl }: Row): object => ({ id, name, type, value, ttl });

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const byName = (a: LocalRecord, b: LocalRecord): number => compare(a.name, b.name) || compare(a.type, b.type);

/** A key for each of sorted records: name, type and its place among those of both. */
const keysOf = (items: readonly LocalRecord[]): string[] => {
  let place = 0;
  return items.map(({ name, type }, at) => {
    const last = items[at - 1];
    place = last !== undefined && last.name === name && last.type === type ? place + 1 : 0;
    return `${name} ${type} ${String(place).padStart(5, '0')}`;
  });
};

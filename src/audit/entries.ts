// Writes rows, roll-ups and batches of the chain into an open audit database: the inside of one transaction. What to
// write is rows.ts, when and what if it fails is store.ts.

import type { Database } from 'better-sqlite3';
import { createChain, type Chain } from './chain.ts';
import { hashRow, type Leaf } from './chain-codec.ts';
import { createDictionary, type Dictionary } from './dictionary.ts';
import type { DecodedDecision } from './event.ts';
import type { Rollup, Row } from './rows.ts';
import { HASHED_COLUMNS, WORD } from './schema.ts';

type Batch = {
  readonly rows: readonly Row[];
  readonly rollups: readonly Rollup[];
  /** rows that are final and go into the chain; those also in `rows` are written first */
  readonly sealed: readonly Row[];
  /** spill files whose events are in this batch */
  readonly spills: readonly string[];
  /** how far each source is with this batch, by its name */
  readonly marks: Readonly<Record<string, string>>;
};

export type EntryWriter = {
  readonly db: Database;
  readonly chain: Chain;
  readonly dictionary: Dictionary;
  /** Writes a batch in one transaction, all or nothing; throws what SQLite throws and leaves the rows as they were. */
  write(batch: Batch, now: number): void;
  /** the events of this spill file are in the database already */
  hasSpill(name: string): boolean;
  /** how far a source was with the last batch of it in the database */
  markOf(source: string): string | null;
  /** chains rows that an earlier run left open; returns how many */
  sealLeftovers(now: number): number;
};

const ID = HASHED_COLUMNS.indexOf('id');
const COUNT = HASHED_COLUMNS.indexOf('count');
const BYTES_IN = HASHED_COLUMNS.indexOf('bytes_in');
const BYTES_OUT = HASHED_COLUMNS.indexOf('bytes_out');
const DURATION = HASHED_COLUMNS.indexOf('duration_us');
const PATH = HASHED_COLUMNS.indexOf('path');
const MARKS = HASHED_COLUMNS.map(() => '?').join(', ');

type Coded = (number | string | null)[];

/** `site` is the school's site id; `cached` bounds the texts remembered per kind. */
export function createEntryWriter(db: Database, site: string, cached: number): EntryWriter {
  const dictionary = createDictionary(db, cached);
  const chain = createChain(db);
  const insert = db.prepare(`INSERT INTO entries (${HASHED_COLUMNS.join(', ')}, link) VALUES (${MARKS}, ?)`);
  const update = db.prepare(
    'UPDATE entries SET count = ?, bytes_in = ?, bytes_out = ?, duration_us = ?, path = ? WHERE id = ?',
  );
  const setLink = db.prepare('UPDATE entries SET link = ? WHERE id = ?');
  const sum = db.prepare(
    `INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET count = count + excluded.count, bytes_in = bytes_in + excluded.bytes_in,
       bytes_out = bytes_out + excluded.bytes_out`,
  );
  const use = db.prepare(
    'INSERT INTO override_uses VALUES (?, ?) ON CONFLICT DO UPDATE SET uses = uses + excluded.uses',
  );
  const tookSpill = db.prepare('INSERT OR IGNORE INTO spills_taken VALUES (?, ?)');
  const knownSpill = db.prepare('SELECT 1 FROM spills_taken WHERE name = ?');
  const noteId = db.prepare("INSERT OR REPLACE INTO meta VALUES ('last_id', ?)");
  const setMark = db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
  const findMark = db.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck();

  // An id is never given twice, also when the newest rows were erased: the chain and the pages of a search rely on it.
  let lastId = Number(
    db
      .prepare(
        "SELECT max((SELECT coalesce(max(id), 0) FROM entries), coalesce((SELECT value FROM meta WHERE name = 'last_id'), 0) + 0)",
      )
      .pluck()
      .get(),
  );

  const code = (row: Row, id: number): Coded => {
    const e: DecodedDecision = row.event;
    const keep = row.kind > 0;
    const word = (kind: (typeof WORD)[keyof typeof WORD], text: string | null) =>
      text === null ? null : dictionary.word(kind, text, keep);
    return [
      id,
      e.at,
      row.kind,
      word(WORD.site, site),
      word(WORD.channel, e.channel),
      word(WORD.client, e.client),
      word(WORD.device, e.device),
      word(WORD.user, e.user),
      word(WORD.group, e.group),
      word(WORD.class, e.class),
      word(WORD.inCharge, e.inCharge),
      word(WORD.method, e.method),
      word(WORD.category, e.category),
      word(WORD.list, e.list),
      word(WORD.rating, e.rating),
      word(WORD.action, e.action),
      word(WORD.reason, e.reason),
      word(WORD.rule, e.rule),
      word(WORD.override, e.overrideId),
      dictionary.host(e.host, keep),
      e.policyGeneration,
      e.indexGeneration,
      row.bytesIn,
      row.bytesOut,
      Math.round(row.durationMs * 1000),
      row.count,
      row.path,
    ];
  };

  const refresh = (row: Row, coded: Coded): Coded => {
    const fresh = coded.slice();
    fresh[COUNT] = row.count;
    fresh[BYTES_IN] = row.bytesIn;
    fresh[BYTES_OUT] = row.bytesOut;
    fresh[DURATION] = Math.round(row.durationMs * 1000);
    fresh[PATH] = row.path;
    return fresh;
  };

  const addRollup = ({ event, hour, count, bytesIn, bytesOut }: Rollup) => {
    const word = (kind: (typeof WORD)[keyof typeof WORD], text: string | null) =>
      text === null ? 0 : dictionary.word(kind, text, false);
    sum.run(
      hour,
      word(WORD.group, event.group),
      word(WORD.class, event.class),
      word(WORD.category, event.category),
      word(WORD.action, event.action),
      word(WORD.channel, event.channel),
      count,
      bytesIn,
      bytesOut,
    );
  };

  /** `linked`: rows that were inserted with the number of this batch. */
  const seal = (now: number, rows: readonly Coded[], linked: ReadonlySet<number>) => {
    const words = dictionary.takeNewlyKept();
    if (rows.length === 0 && words.length === 0) return;
    const leaves: Leaf[] = rows.map((coded) => ({ id: coded[ID] as number, hash: hashRow(coded) }));
    const no = chain.addRows(now, leaves, words);
    for (const { id } of leaves) if (!linked.has(id)) setLink.run(no, id);
  };

  const writeAll = db.transaction((batch: Batch, now: number, done: Map<Row, Coded>) => {
    const uses = new Map<string, number>();
    const sealed = new Set(batch.sealed);
    const linked = new Set<number>();
    // Most blocks are final at once: they are inserted with their batch, instead of being changed again below.
    const add = (row: Row): Coded => {
      const coded = code(row, ++lastId);
      const final = sealed.has(row);
      insert.run(coded, final ? chain.head.no + 1 : null);
      if (final) linked.add(lastId);
      return coded;
    };
    for (const row of batch.rows) {
      let coded: Coded;
      if (row.coded === null) {
        coded = add(row);
      } else {
        coded = refresh(row, row.coded);
        if (
          update.run(coded[COUNT], coded[BYTES_IN], coded[BYTES_OUT], coded[DURATION], coded[PATH], row.id)
            .changes === 0
        ) {
          // Removed meanwhile by retention or erasure: what came since is a row of its own.
          row.count -= row.saved.count;
          row.bytesIn -= row.saved.bytesIn;
          row.bytesOut -= row.saved.bytesOut;
          row.saved = { count: 0, bytesIn: 0, bytesOut: 0 };
          coded = add(row);
        }
      }
      done.set(row, coded);
      if (row.kind === 2 && row.event.overrideId !== null) {
        const { overrideId } = row.event;
        uses.set(overrideId, (uses.get(overrideId) ?? 0) + row.count - row.saved.count);
      }
    }
    for (const [id, more] of uses) use.run(id, more);
    for (const rollup of batch.rollups) addRollup(rollup);
    for (const name of batch.spills) tookSpill.run(name, now);
    for (const [source, mark] of Object.entries(batch.marks)) setMark.run(`mark ${source}`, mark);
    seal(
      now,
      batch.sealed.map((row) => done.get(row) ?? row.coded!),
      linked,
    );
    if (batch.rows.length > 0) noteId.run(String(lastId));
  });

  const leftovers = db
    .prepare<[], Coded>(
      `SELECT ${HASHED_COLUMNS.join(', ')} FROM entries WHERE kind > 0 AND link IS NULL ORDER BY id`,
    )
    .raw();

  return {
    db,
    chain,
    dictionary,
    write(batch, now) {
      const done = new Map<Row, Coded>();
      const before = lastId;
      try {
        writeAll.immediate(batch, now, done);
      } catch (error) {
        lastId = before;
        dictionary.clear();
        chain.reload();
        throw error;
      }
      for (const [row, coded] of done) {
        row.id = coded[ID] as number;
        row.coded = coded;
      }
    },
    markOf: (source) => findMark.get(`mark ${source}`) ?? null,
    hasSpill: (name) => knownSpill.get(name) !== undefined,
    sealLeftovers(now) {
      const rows = leftovers.all();
      db.transaction(() => seal(now, rows, new Set())).immediate();
      return rows.length;
    },
  };
}

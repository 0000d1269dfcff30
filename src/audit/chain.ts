// The hash chain over blocks and overrides, as the writer grows it: a batch of rows, a removal by retention or
// erasure, the pruning of batches that hold nothing any more. Works inside the store's transactions. Checking the
// chain is verify.ts. There is no secret in it: it shows what was changed afterwards, to whoever noted the head.

import type { Database } from 'better-sqlite3';
import {
  decodePruned,
  decodeRows,
  encodePruned,
  encodeRemoved,
  encodeRows,
  GENESIS,
  hashLink,
  hashWord,
  type Leaf,
  type LinkKind,
  type WordLeaf,
} from './chain-codec.ts';
import { HOSTS, type NewlyKept } from './dictionary.ts';

type Head = { readonly no: number; readonly hash: Uint8Array };

export type Chain = {
  readonly head: Head;
  /** a batch: rows now final, and texts used by chained rows for the first time; returns its number */
  addRows(at: number, leaves: readonly Leaf[], words: readonly NewlyKept[]): number;
  /** rows about to be deleted; `links` are the batches that hold them, one entry a row */
  addRemoval(at: number, ids: readonly number[], links: readonly number[]): void;
  /** drops at most `limit` of the oldest batches when all their rows are gone; returns how many */
  prune(at: number, limit: number, least: number): number;
  /** after a rollback: back to what the database holds */
  reload(): void;
};

type LinkRow = { no: number; kind: LinkKind; live: number; data: Buffer; hash: Buffer };

export function createChain(db: Database): Chain {
  const last = db.prepare<[], Head>('SELECT no, hash FROM links ORDER BY no DESC LIMIT 1');
  const add = db.prepare('INSERT INTO links (no, at, kind, live, data, hash) VALUES (?, ?, ?, ?, ?, ?)');
  const note = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('head', ?)");
  const lower = db.prepare('UPDATE links SET live = live - ? WHERE no = ?');
  const oldest = db.prepare<[number], LinkRow>(
    'SELECT no, kind, live, data, hash FROM links ORDER BY no LIMIT ?',
  );
  const drop = db.prepare('DELETE FROM links WHERE no <= ?');
  const wordExists = db.prepare('SELECT 1 FROM words WHERE id = ? AND kind = ?').pluck();
  const hostExists = db.prepare('SELECT 1 FROM hosts WHERE id = ?').pluck();

  const load = (): Head => last.get() ?? { no: 0, hash: GENESIS };
  let head = load();

  const append = (at: number, kind: LinkKind, live: number, data: Buffer): number => {
    const no = head.no + 1;
    const hash = hashLink(head.hash, no, at, kind, data);
    add.run(no, at, kind, live, data, hash);
    note.run(`${no}:${Buffer.from(hash).toString('hex')}`);
    head = { no, hash };
    return no;
  };

  const survives = (word: WordLeaf) =>
    word.kind === HOSTS ? hostExists.get(word.id) : wordExists.get(word.id, word.kind);

  return {
    get head() {
      return head;
    },
    addRows(at, leaves, words) {
      const kept = words.map(({ kind, id, salt, text }) => ({
        kind,
        id,
        hash: hashWord(kind, id, salt, text),
      }));
      return append(at, 0, leaves.length, encodeRows(leaves, kept));
    },
    addRemoval(at, ids, links) {
      const perLink = new Map<number, number>();
      for (const no of links) perLink.set(no, (perLink.get(no) ?? 0) + 1);
      for (const [no, rows] of perLink) lower.run(rows, no);
      append(at, 1, 0, encodeRemoved(ids));
    },
    prune(at, limit, least) {
      const prefix: LinkRow[] = [];
      for (const link of oldest.all(limit)) {
        // The head stays: the next batch and whoever noted it refer to it.
        if (link.live > 0 || link.no === head.no) break;
        prefix.push(link);
      }
      const end = prefix.at(-1);
      if (end === undefined || prefix.length < least) return 0;
      const words = new Map<string, WordLeaf>();
      for (const { kind, data } of prefix) {
        const held = kind === 0 ? decodeRows(data) : kind === 2 ? decodePruned(data) : null;
        for (const word of held?.words ?? []) if (survives(word)) words.set(`${word.kind}.${word.id}`, word);
      }
      append(at, 2, 0, encodePruned(end.no, end.hash, [...words.values()]));
      drop.run(end.no);
      return prefix.length;
    },
    reload() {
      head = load();
    },
  };
}

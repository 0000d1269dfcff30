// Words and host names as small numbers: each text is stored once. Works inside the store's transaction; the cache is
// bounded and is thrown away when a transaction fails. Also the order in which host names are searched.

import { randomBytes } from 'node:crypto';
import type { Database } from 'better-sqlite3';
import type { WordKind } from './schema.ts';

/** Number of the hosts table where the chain names a dictionary; words have their own kinds from 1. */
export const HOSTS = 0;

/** A text that the chain has to vouch for from now on. */
export type NewlyKept = {
  readonly kind: WordKind | typeof HOSTS;
  readonly id: number;
  readonly text: string;
  readonly salt: Uint8Array;
};

export type Dictionary = {
  /** the number of a text, made if new; `keep` says that a chained row uses it */
  word(kind: WordKind, text: string, keep: boolean): number;
  host(name: string, keep: boolean): number;
  /** texts that chained rows used for the first time since the last call */
  takeNewlyKept(): NewlyKept[];
  forgetHost(name: string): void;
  forgetWord(kind: WordKind, text: string): void;
  /** after a rollback: nothing remembered may be trusted */
  clear(): void;
  /** texts remembered now */
  size(): number;
};

type Entry = { readonly id: number; kept: boolean };

/** `a.b.example` as `example.b.a`, so that a name and all below it are neighbours; an address stays as it is. */
export function hostKey(name: string): string {
  return name.includes(':') || /^[0-9.]+$/.test(name) ? name : name.split('.').reverse().join('.');
}

/** `limit`: how many texts are remembered per kind before the oldest are dropped. */
export function createDictionary(db: Database, limit: number): Dictionary {
  const caches: Map<string, Entry>[] = [];
  let newlyKept: NewlyKept[] = [];

  const findWord = db.prepare<[number, string], { id: number; salt: Uint8Array | null }>(
    'SELECT id, salt FROM words WHERE kind = ? AND text = ?',
  );
  const addWord = db.prepare<[number, string]>('INSERT INTO words (kind, text) VALUES (?, ?)');
  const keepWord = db.prepare<[Uint8Array, number]>('UPDATE words SET salt = ? WHERE id = ?');
  const findHost = db.prepare<[string], { id: number; salt: Uint8Array | null }>(
    'SELECT id, salt FROM hosts WHERE key = ?',
  );
  const addHost = db.prepare<[string, string]>('INSERT INTO hosts (name, key) VALUES (?, ?)');
  const keepHost = db.prepare<[Uint8Array, number]>('UPDATE hosts SET salt = ? WHERE id = ?');

  const resolve = (kind: WordKind | typeof HOSTS, text: string, keep: boolean): number => {
    const cache = (caches[kind] ??= new Map());
    let entry = cache.get(text);
    if (entry === undefined) {
      const key = kind === HOSTS ? hostKey(text) : text;
      const found = kind === HOSTS ? findHost.get(key) : findWord.get(kind, text);
      entry =
        found !== undefined
          ? { id: found.id, kept: found.salt !== null }
          : {
              id: Number((kind === HOSTS ? addHost.run(text, key) : addWord.run(kind, text)).lastInsertRowid),
              kept: false,
            };
      if (cache.size >= limit) cache.delete(cache.keys().next().value!);
      cache.set(text, entry);
    }
    if (keep && !entry.kept) {
      // Salted, so that what the chain remembers of an erased name cannot be guessed back.
      const salt = new Uint8Array(randomBytes(8));
      (kind === HOSTS ? keepHost : keepWord).run(salt, entry.id);
      newlyKept.push({ kind, id: entry.id, text, salt });
      entry.kept = true;
    }
    return entry.id;
  };

  return {
    word: resolve,
    host: (name, keep) => resolve(HOSTS, name, keep),
    takeNewlyKept() {
      const taken = newlyKept;
      newlyKept = [];
      return taken;
    },
    forgetHost: (name) => void caches[HOSTS]?.delete(name),
    forgetWord: (kind, text) => void caches[kind]?.delete(text),
    clear() {
      caches.length = 0;
      newlyKept = [];
    },
    size: () => caches.reduce((sum, cache) => sum + (cache?.size ?? 0), 0),
  };
}

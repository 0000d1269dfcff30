// The bytes of the hash chain: how a row, a word and a batch are hashed, and how a batch remembers them. No database.

import { hash } from 'node:crypto';

/** 0 rows added, 1 rows removed, 2 older batches pruned. */
export type LinkKind = 0 | 1 | 2;

/** A row as a batch remembers it. */
export type Leaf = { readonly id: number; readonly hash: Uint8Array };

/** A dictionary text as a batch remembers it; kind 0 is a host. */
export type WordLeaf = { readonly kind: number; readonly id: number; readonly hash: Uint8Array };

/** What stands before the first batch. */
export const GENESIS: Uint8Array = new Uint8Array(32);

// Half of SHA-256: 128 bits against a second row that hashes alike, at half the disk.
const LEAF_HASH = 16;
const LEAF = 6 + LEAF_HASH;
const WORD_LEAF = 7 + LEAF_HASH;

/** The hash of a row's coded values, in the order of HASHED_COLUMNS; null is the empty text. */
export function hashRow(values: readonly (number | string | null)[]): Uint8Array {
  return hash('sha256', values.join('|'), 'buffer').subarray(0, LEAF_HASH);
}

export function hashWord(kind: number, id: number, salt: Uint8Array, text: string): Uint8Array {
  const salted = `${kind}|${id}|${Buffer.from(salt).toString('hex')}|${text}`;
  return hash('sha256', salted, 'buffer').subarray(0, LEAF_HASH);
}

/** The hash of a batch: over the one before it, its own number, time, kind and data. */
export function hashLink(
  previous: Uint8Array,
  no: number,
  at: number,
  kind: LinkKind,
  data: Uint8Array,
): Uint8Array {
  const head = Buffer.from(`|${no}|${at}|${kind}|`);
  return hash('sha256', Buffer.concat([previous, head, data]), 'buffer');
}

export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function encodeRows(leaves: readonly Leaf[], words: readonly WordLeaf[]): Buffer {
  const data = Buffer.alloc(8 + leaves.length * LEAF + words.length * WORD_LEAF);
  let at = data.writeUInt32LE(leaves.length, 0);
  for (const leaf of leaves) {
    at = data.writeUIntLE(leaf.id, at, 6);
    data.set(leaf.hash, at);
    at += LEAF_HASH;
  }
  writeWords(data, at, words);
  return data;
}

/** Null when the bytes are not those of a batch of rows. */
export function decodeRows(data: Buffer): { leaves: Leaf[]; words: WordLeaf[] } | null {
  if (data.length < 8) return null;
  const count = data.readUInt32LE(0);
  if (data.length < 8 + count * LEAF) return null;
  const leaves: Leaf[] = [];
  for (let i = 0, at = 4; i < count; i++, at += LEAF) {
    leaves.push({ id: data.readUIntLE(at, 6), hash: data.subarray(at + 6, at + LEAF) });
  }
  const words = readWords(data, 4 + count * LEAF);
  return words === null ? null : { leaves, words };
}

/** Ids of removed rows, six bytes each. */
export function encodeRemoved(ids: readonly number[]): Buffer {
  const data = Buffer.alloc(ids.length * 6);
  ids.forEach((id, i) => data.writeUIntLE(id, i * 6, 6));
  return data;
}

export function decodeRemoved(data: Buffer): number[] {
  const ids: number[] = [];
  for (let at = 0; at + 6 <= data.length; at += 6) ids.push(data.readUIntLE(at, 6));
  return ids;
}

/** Every batch up to `upto`, whose hash was `hash`, was dropped; `words` are the texts of theirs still in use. */
export function encodePruned(upto: number, linkHash: Uint8Array, words: readonly WordLeaf[]): Buffer {
  const data = Buffer.alloc(6 + 32 + 4 + words.length * WORD_LEAF);
  data.writeUIntLE(upto, 0, 6);
  data.set(linkHash, 6);
  writeWords(data, 38, words);
  return data;
}

export function decodePruned(data: Buffer): { upto: number; hash: Buffer; words: WordLeaf[] } | null {
  if (data.length < 42) return null;
  const words = readWords(data, 38);
  return words === null ? null : { upto: data.readUIntLE(0, 6), hash: data.subarray(6, 38), words };
}

function writeWords(data: Buffer, from: number, words: readonly WordLeaf[]): void {
  let at = data.writeUInt32LE(words.length, from);
  for (const word of words) {
    at = data.writeUInt8(word.kind, at);
    at = data.writeUIntLE(word.id, at, 6);
    data.set(word.hash, at);
    at += LEAF_HASH;
  }
}

function readWords(data: Buffer, from: number): WordLeaf[] | null {
  const count = data.readUInt32LE(from);
  if (data.length !== from + 4 + count * WORD_LEAF) return null;
  const words: WordLeaf[] = [];
  for (let i = 0, at = from + 4; i < count; i++, at += WORD_LEAF) {
    words.push({
      kind: data.readUInt8(at),
      id: data.readUIntLE(at + 1, 6),
      hash: data.subarray(at + 7, at + WORD_LEAF),
    });
  }
  return words;
}

// Makes a BlockIndex of a buffer that the builder filled, here or in a run before: checks the header, makes the
// views, copies nothing. Whether the bytes are those once written is for the snapshot's checksum to say.

import { HEADER, HEADER_WORDS, INDEX_MAGIC, INDEX_VERSION, offsetsOf } from './layout.ts';
import type { AddressTable, BlockIndex, ListInfo } from './types.ts';

/** Throws an Error, in words for a log, when the buffer does not hold an index this program can read. */
export function openIndex(buffer: SharedArrayBuffer): BlockIndex {
  const refuse = (why: string): never => {
    throw new Error(`not a usable block index: ${why}`);
  };
  if (buffer.byteLength < HEADER_WORDS * 4) refuse(`only ${buffer.byteLength} bytes, less than its header`);
  const header = new Uint32Array(buffer, 0, HEADER_WORDS);
  const word = (at: number): number => header[at] as number;
  if (word(HEADER.magic) === swapped(INDEX_MAGIC)) refuse('written on a machine with another byte order');
  if (word(HEADER.magic) !== INDEX_MAGIC) refuse('it does not begin as an index does');
  if (word(HEADER.version) !== INDEX_VERSION) {
    refuse(`its version is ${word(HEADER.version)}, this program reads ${INDEX_VERSION}`);
  }
  const slots = word(HEADER.slots);
  const sets = word(HEADER.sets);
  const members = word(HEADER.members);
  const notesBytes = word(HEADER.notesBytes);
  const capacity = word(HEADER.capacity);
  const names = word(HEADER.names);
  const v4 = word(HEADER.v4);
  const v6 = word(HEADER.v6);
  const offsets = offsetsOf({ slots, sets, members, v4, v6, notesBytes });
  if (offsets.bytes !== buffer.byteLength || word(HEADER.bytes) !== buffer.byteLength) {
    refuse(`its header speaks of ${offsets.bytes} bytes, there are ${buffer.byteLength}`);
  }
  if (capacity === 0 || slots <= capacity || names >= slots) refuse('its table has an impossible size');
  const notes = readNotes(new Uint8Array(buffer, offsets.notes, notesBytes));
  if (notes === null) return refuse('its notes on the lists cannot be read');
  const index: BlockIndex = {
    buffer,
    seed: { lo: word(HEADER.seedLo), hi: word(HEADER.seedHi) },
    lists: notes.lists,
    names,
    capacity,
    bytes: buffer.byteLength,
    digest: notes.digest,
    table: new Uint32Array(buffer, offsets.table * 4, slots * 3),
    setStart: new Uint32Array(buffer, offsets.setStart * 4, sets + 2),
    members: new Uint32Array(buffer, offsets.members * 4, members),
    v4: addressTable(buffer, offsets.v4, v4, 1),
    v6: addressTable(buffer, offsets.v6, v6, 4),
  };
  // a search ends at an empty slot: without one at the end it could run on
  if (index.table[slots * 3 - 1] !== 0) refuse('its table does not end with an empty slot');
  if (!setsFit(index)) refuse('its sets of lists do not fit together');
  if (!rangesFit(index.v4, 1, sets) || !rangesFit(index.v6, 4, sets)) {
    refuse('its ranges of addresses are not in order');
  }
  return index;
}

function addressTable(buffer: SharedArrayBuffer, at: number, count: number, words: 1 | 4): AddressTable {
  const part = (from: number, length: number): Uint32Array =>
    new Uint32Array(buffer, (at + from) * 4, length);
  const ends = count * words;
  return { count, first: part(0, ends), last: part(ends, ends), set: part(ends * 2, count) };
}

/** A search by halves relies on the order; a set that is not there would read past the members. */
function rangesFit({ count, first, last, set }: AddressTable, words: 1 | 4, sets: number): boolean {
  const rises = (a: Uint32Array, b: Uint32Array, aAt: number, bAt: number): number => {
    for (let i = 0; i < words; i++) {
      const x = a[aAt + i] as number;
      const y = b[bAt + i] as number;
      if (x !== y) return x < y ? 1 : -1;
    }
    return 0;
  };
  for (let at = 0; at < count; at++) {
    if (set[at] === 0 || (set[at] as number) > sets) return false;
    if (rises(first, last, at * words, at * words) < 0) return false;
    if (at > 0 && rises(last, first, (at - 1) * words, at * words) <= 0) return false;
  }
  return true;
}

function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

function setsFit({ setStart, members, lists }: BlockIndex): boolean {
  let before = 0;
  for (const start of setStart) {
    if (start < before) return false;
    before = start;
  }
  return before === members.length && members.every((member) => member >>> 2 < lists.length);
}

type Notes = { readonly digest: string; readonly lists: readonly ListInfo[] };

/** The notes as bytes; escaped to ASCII, so that neither side needs a text codec. */
export function encodeNotes(notes: Notes): Uint8Array {
  const json = JSON.stringify(notes).replace(
    /[\u0080-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return Uint8Array.from(json, (c) => c.charCodeAt(0));
}

function readNotes(bytes: Uint8Array): Notes | null {
  let json = '';
  for (const byte of bytes) json += String.fromCharCode(byte);
  try {
    const notes = JSON.parse(json) as Notes;
    const sound =
      typeof notes.digest === 'string' &&
      Array.isArray(notes.lists) &&
      notes.lists.every(
        (list: ListInfo, id) =>
          list.id === id &&
          typeof list.name === 'string' &&
          typeof list.category === 'string' &&
          typeof list.sealed === 'boolean' &&
          typeof list.entries === 'number',
      );
    return sound ? notes : null;
  } catch {
    return null;
  }
}

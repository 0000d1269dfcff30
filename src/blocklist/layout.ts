// Where everything lies in an index's one buffer, and where a hash has its home. Shared by the builder, which
// writes a buffer once, and by openIndex, which makes views of it. All words are 32 bits, in the machine's own order.
//
//   header (16 words) | table (slots * 3) | setStart (sets + 2) | members | v4 | v6 | notes: JSON in ASCII bytes
//   v4, v6: first address of each range | last address | set, in that order, sorted

/** Read on a machine of the other byte order, this is another number, and the index is refused. */
export const INDEX_MAGIC = 0x58494753;
/** Also the version of the snapshot file: an index of another layout is built anew. */
export const INDEX_VERSION = 2;
export const HEADER_WORDS = 16;

/** Numbers of header words. */
export const HEADER = {
  magic: 0,
  version: 1,
  seedLo: 2,
  seedHi: 3,
  names: 4,
  capacity: 5,
  slots: 6,
  sets: 7,
  members: 8,
  notesBytes: 9,
  bytes: 10,
  v4: 11,
  v6: 12,
} as const;

/** Words of a range: both ends and the set. */
const RANGE_WORDS = { v4: 3, v6: 9 } as const;

/** What the header says of the sizes; `sets` does not count the empty set 0. */
export type IndexSizes = {
  readonly slots: number;
  readonly sets: number;
  readonly members: number;
  /** ranges of each family */
  readonly v4: number;
  readonly v6: number;
  readonly notesBytes: number;
};

/** Offsets in words, except `notes` and `bytes` in bytes. */
export type IndexOffsets = {
  readonly table: number;
  readonly setStart: number;
  readonly members: number;
  readonly v4: number;
  readonly v6: number;
  readonly notes: number;
  readonly bytes: number;
};

export function offsetsOf(sizes: IndexSizes): IndexOffsets {
  const table = HEADER_WORDS;
  const setStart = table + sizes.slots * 3;
  const members = setStart + sizes.sets + 2;
  const v4 = members + sizes.members;
  const v6 = v4 + sizes.v4 * RANGE_WORDS.v4;
  const notes = (v6 + sizes.v6 * RANGE_WORDS.v6) * 4;
  return { table, setStart, members, v4, v6, notes, bytes: Math.ceil((notes + sizes.notesBytes) / 4) * 4 };
}

/**
 * The home slot of a hash in a table of any capacity: multiply and shift, so a greater hash never has a smaller
 * home, and a table filled in the order of hashes is sorted throughout.
 */
export function homeSlot(lo: number, capacity: number): number {
  return Math.floor((lo * capacity) / 0x100000000);
}

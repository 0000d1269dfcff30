// The words of the blocklist room: what a list is, what it says of a name, what the index answers.
// Types only; parsing, building and looking up have files of their own.

/** How a list's file is written. `auto` is settled by the first lines of the file. */
export type ListFormat =
  'auto' | 'hosts' | 'domains' | 'wildcard' | 'adblock' | 'dnsmasq' | 'squidguard' | 'rpz' | 'ips';

/** What an entry covers: the name alone, the name and all below it, or an exception to its own list. */
export type EntryKind = 'exact' | 'suffix' | 'except-exact' | 'except-suffix';

/** A list as the configuration declares it; `match` overrules what the format would cover. */
export type ListSource = {
  readonly name: string;
  readonly category: string;
  readonly sealed: boolean;
  readonly format: ListFormat;
  readonly match: 'format' | 'suffix' | 'exact';
};

/** A list as the index remembers it; `id` is its place in `BlockIndex.lists`. */
export type ListInfo = {
  readonly id: number;
  readonly name: string;
  readonly category: string;
  readonly sealed: boolean;
  /** entries taken from the file, after duplicates within the list were dropped */
  readonly entries: number;
};

/** Two 32-bit halves of the secret that keys the name hash; unsigned. */
export type Seed = { readonly lo: number; readonly hi: number };

/**
 * The hashes of a name and of every parent: suffix 0 is the last label (`uk`), suffix `count - 1` the whole name.
 * Filled in place and reused, so that no decision allocates.
 */
export type NameHashes = {
  count: number;
  readonly lo: Uint32Array;
  readonly hi: Uint32Array;
  /** scratch of the wire reader: where each label begins in the packet, leftmost first */
  readonly starts: Uint32Array;
};

/**
 * Which lists hold a name: `lists[0 .. count)` are ids, longest match first, each list once; `suffix[i]` is the
 * suffix number that matched. Room for every list there can be, so nothing is ever left out. Reused.
 */
export type Matches = {
  count: number;
  readonly lists: Uint16Array;
  readonly suffix: Uint8Array;
  /** scratch: what the present lookup has seen of each list, as `turn` (found) or `turn + 1` (excepted) */
  readonly marks: Uint32Array;
  turn: number;
};

/** Ranges of addresses of one family: sorted, disjoint, both ends included; each with the set of lists that hold it. */
export type AddressTable = {
  readonly count: number;
  /** one word a range for IPv4, four for IPv6 */
  readonly first: Uint32Array;
  readonly last: Uint32Array;
  readonly set: Uint32Array;
};

/** A built index over one SharedArrayBuffer; the views are made once by `openIndex` and never written. */
export type BlockIndex = {
  readonly buffer: SharedArrayBuffer;
  readonly seed: Seed;
  readonly lists: readonly ListInfo[];
  /** distinct names in the table */
  readonly names: number;
  /** home slots; the table has a few more at its end, for runs that pass the last home slot */
  readonly capacity: number;
  /** bytes of the whole buffer */
  readonly bytes: number;
  /** hash of what the index was built from, as the builder was told */
  readonly digest: string;
  /**
   * three words a slot: hash low, hash high, set id (0 is an empty slot). Sorted by hash over the whole table,
   * so that a search for what is not there stops early; the last slot is always empty.
   */
  readonly table: Uint32Array;
  /** where each set's members begin in `members`; set s has members[setStart[s] .. setStart[s + 1]) */
  readonly setStart: Uint32Array;
  /** list id * 4 + kind (0 exact, 1 suffix, 2 except-exact, 3 except-suffix) */
  readonly members: Uint32Array;
  readonly v4: AddressTable;
  readonly v6: AddressTable;
};
